/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Proves that a seccomp program does what the policy says that it was made from: for each number,
 * with and without the keys, for all values of all arguments, on this and on all other
 * architectures (prove.h).
 *
 * Nothing here makes a system call or keeps state.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aiotools-sd/sandbox.h>

#include "bpf.h"

/* What a program must do. */
struct filter_terms {
    const ait_policy *policy; /* NULL: everything is notified */
    ait_sandbox_deny deny;
    uint64_t exec_key; /* 0: none */
    uint32_t send_key; /* 0: none */
};

/* Denied calls come to a listener. */
static inline bool filter_listens(ait_sandbox_deny deny)
{
    return deny == AIT_SANDBOX_DENY_EXPLAIN || deny == AIT_SANDBOX_DENY_LEARN;
}

/* What a filter of these terms answers: a SECCOMP_RET_ value with its data. */
uint32_t filter_action(ait_policy_action action, ait_sandbox_deny deny);
uint32_t filter_expected(const struct filter_terms *terms, const struct seccomp_data *data);
/* The answer of the quiet filter: ENOSYS, or SECCOMP_RET_ALLOW if the main filter decides. */
uint32_t filter_expected_quiet(const struct filter_terms *terms, const struct seccomp_data *data);

/*
 * -EBADMSG: the program is wrong, or cannot be proved right; problem (may be NULL) has an input
 * with what was expected and answered, or the instruction where the proof ended.
 */
int filter_verify(const struct filter_terms *terms, const struct sock_filter *program, size_t n,
                  ait_sandbox_problem *problem);
int filter_verify_quiet(const struct filter_terms *terms, const struct sock_filter *program,
                        size_t n, ait_sandbox_problem *problem);
