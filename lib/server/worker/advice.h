/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What an operator can do about the end of a worker, as far as what it wrote tells: an address that
 * is in use, a lock that another process of the program holds, files that it is not allowed to
 * reach. Each is said once, and again after a reload.
 *
 * Only a young worker is listened to: what an old one dies of is not how it was started.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker;

/* What all workers share of it. */
struct advice {
    uint64_t generation; /* that the rest is about */
    unsigned n_in_use;   /* ends because of an address */
    unsigned said;       /* bits of what has been said */
    uint64_t files;      /* a hash of what was said last about files */
    bool hung;           /* to look at files takes too long: it is not done any more */
};

/* Remembers what a worker has written. */
void advice_listen(struct worker *w, const char *data, size_t n);
/* Logs what to do about an end that nobody has asked for, after that was logged. */
void advice_give(struct worker *w);
