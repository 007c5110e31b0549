/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * From a policy to a finished seccomp program.
 *
 * The program is our own head, and behind it parts that libseccomp made. The head looks at the architecture, at the two keys and at the
 * newest number that is known (the x32 bit lies above every number), and jumps to the part of the call. The first part is for all calls
 * whose arguments do not matter; each other one is a test of the arguments of one call. Where a part of libseccomp's returns, the
 * finished program returns the answer or goes on with the next test, so that rules are tried in the order of the model, no complement and no product of
 * conditions has to be formed, and libseccomp never sees rules of one call together that look at different arguments: its time explodes
 * with these.
 *
 * libseccomp runs in a forked child, whose memory is given back whole; the bytes come through a sealed file, and are verified in the caller's
 * process (verify.h) before anybody sees them. The caller loses one SIGCHLD, which may arrive late, and no other child of it is waited for.
 *
 * Invariants:
 *  - program is mapped read-only from a file that nobody can write any more; quiet is ours.
 *  - quiet is loaded last, without SECCOMP_FILTER_FLAG_LOG: it answers designed ENOSYS, which nobody wants in the audit log. There is none
 *    where a listener counts it.
 *  - A key of zero is none. A call that carries its key is let through before all else: execve and execveat with exec_key in args[5],
 *    sendmsg with send_key in the high half of args[0]; the kernel ignores both places.
 *
 * What this is not: it loads nothing, and knows nothing of files and capabilities.
 */

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#include <aiotools-sd/sandbox.h>

#include "verify.h"

struct sandbox_filter {
    const struct sock_filter *program;
    size_t n;
    size_t map_size;
    struct sock_filter *quiet; /* NULL: none */
    size_t n_quiet;
    uint64_t exec_key; /* with AIT_SANDBOX_EXEC */
    uint32_t send_key; /* where a listener is handed over: EXPLAIN and LEARN */
};

/*
 * Of flags, AIT_SANDBOX_EXEC counts. policy may be NULL with AIT_SANDBOX_DENY_LEARN: then every call is notified. -E2BIG: the
 * policy needs more than a seccomp program may have; -EBADMSG: what libseccomp made is not what the policy says.
 */
int filter_compile(const ait_policy *policy, ait_sandbox_deny deny, unsigned flags,
                   struct sandbox_filter *ret, ait_sandbox_problem *problem);
void filter_done(struct sandbox_filter *filter);
