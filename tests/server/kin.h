/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A worker that starts processes of each kind that has to be found: what the tests of the guardian
 * and of process trees share. */

#include "spawned.h"

#define WAIT_MS 20000

/* In the order of kin_kinds. */
enum { MEMBERS = 5 };
extern const char *const kin_kinds[MEMBERS];

struct kin {
    pid_t pids[MEMBERS];
    int pidfds[MEMBERS];
};

/* how: "end" lets the leader end at once; NULL lets it stay. */
void kin_begin(struct spawned *s, struct kin *f, char *how);
/* The same in two steps, without asserts, for a process that is not the test. */
int kin_start(struct spawned *s, struct kin *f);
void kin_hold(struct kin *f);
/* All of it gone; what is left is named, and killed. */
void kin_expect_gone(struct kin *f, const char *what);
