/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of sets of listening sockets share: cmocka's headers in their order, a folder for
 * socket files, sets that are opened, or refused in which words, and clients of them.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sockets/set.h"

/* Group setup and teardown, which fails where a test has left anything behind. */
extern char listen_folder[32];
int make_folder(void **state);
int remove_folder(void **state);
/* "PREFIX" and the path of a name in it; returns the buffer. */
char *in_folder(char *buffer, const char *prefix, const char *name);

struct given {
    const char *texts[4];
    enum listen_model model;
    unsigned n_slots;
};

int try_open(const struct given *g, struct listen_set **ret, struct problem *p);
struct listen_set *open_set(const struct given *g);
struct listen_set *open_one(const char *text, unsigned n_slots);
/* The status and the words of a failure; nothing stays open. */
void assert_refused(const struct given *g, int error, int status, const char *words);
unsigned count_fds(void);

/*
 * listen_set_check() of each socket, for a worker that has it alone: how much was repaired, or the
 * last error.
 */
int check_all(struct listen_set *s, unsigned slot, unsigned seat, struct problem *p);

/* Connects to the i-th address of a set; the fd, or negative. */
int connect_to(const struct listen_set *s, size_t i);
void assert_serves(const struct listen_set *s, size_t i, int listener);
