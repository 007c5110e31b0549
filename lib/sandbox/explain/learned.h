/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a program did, call by call, and the policy that would have allowed it.
 *
 * Calls are counted against two policies. The base is what every program needs: calls that it
 * allows are not written. The reference (usually the service preset) is the model for arguments: a
 * call that it restricts is learned with these restrictions, except for those that denied a call of
 * the program.
 *
 * Invariants:
 * - Counting allocates nothing.
 * - The result allows everything that was counted, and each line that allows was needed: without it
 *   the program is denied that call.
 * - Where the reference answers ENOSYS, the result does too.
 *
 * Ownership: references to both policies.
 *
 * What this is not: it does not decide how a call is answered, and knows no listener.
 */

#include <stdint.h>
#include <stdio.h>

#include "policy/model.h"

struct learned {
    ait_policy *reference; /* NULL: nothing is restricted */
    ait_policy *base;      /* NULL: it allows nothing */
    /*
     * By number: the index in hits[] at which the call's rules begin. The entry after them is for
     * calls that match none of them.
     */
    unsigned first[SYSCALL_NEWEST + 1];
    uint64_t beyond[SYSCALL_NEWEST + 1]; /* calls that the base does not allow */
    uint64_t hits[];
};

int learned_new(struct learned **ret, ait_policy *reference, ait_policy *base);
struct learned *learned_free(struct learned *learned);
/* number must be known. */
void learned_count(struct learned *learned, int number, const uint64_t args[6]);
/* flags: AIT_LEARN_... */
int learned_write(const struct learned *learned, FILE *out, const char *title, unsigned flags);
