/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * System calls made by a child process under a seccomp program.
 *
 * The child loads the program, makes the calls one after the other, and notes each result in memory
 * that it shares with the test; it needs exit_group from the program, or is killed once all results
 * are there.
 */

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

struct made_call {
    long number;
    uint64_t args[6];
    long result; /* a negative errno, or what the call returned */
};

/* The signal that ended the child before it had made all calls, 0, or a negative errno where the
 * program could not be loaded. *ret_made: how many have returned. */
int calls_under_filter(const struct sock_filter *program, size_t n, struct made_call *calls,
                       size_t n_calls, size_t *ret_made);
/* The same for one call. */
int call_under_filter(const struct sock_filter *program, size_t n, long number,
                      const uint64_t args[6], long *ret_result);
