/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a program did, call by call, and the policy that would have let it.
 *
 * It is counted against two policies. The base is what every program needs: what it allows is not written. The reference (usually the service
 * preset) is the measure for the arguments: a call that it restricts is learned with these restrictions, but for those that were in the program's way.
 *
 * Invariants:
 *  - Counting allocates nothing.
 *  - What is written allows everything that was counted: each line that allows was needed, so that without it the program is denied that call.
 *  - Where the reference answers ENOSYS, so does what is written.
 *
 * Ownership: references to both policies.
 *
 * What this is not: it does not decide what becomes of a call, and it knows no listener.
 */

#include <stdint.h>
#include <stdio.h>

#include "policy/model.h"

struct learned {
    ait_policy *reference; /* NULL: nothing is restricted */
    ait_policy *base;      /* NULL: it allows nothing */
    /* By number: where in hits[] its rules begin; the one behind them is for what none of them meets. */
    unsigned first[SYSCALL_NEWEST + 1];
    uint64_t beyond[SYSCALL_NEWEST + 1]; /* calls that the base does not allow */
    uint64_t hits[];
};

int learned_new(struct learned **ret, ait_policy *reference, ait_policy *base);
struct learned *learned_free(struct learned *learned);
/* number is one that is known. */
void learned_count(struct learned *learned, int number, const uint64_t args[6]);
/* flags: AIT_LEARN_... */
int learned_write(const struct learned *learned, FILE *out, const char *title, unsigned flags);
