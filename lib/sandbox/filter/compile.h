/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Compiles a policy to a finished seccomp program.
 *
 * The program is a head of our own, followed by parts that libseccomp made. The head checks the
 * architecture, the two keys and the newest known number (the x32 bit lies above every number), and
 * jumps to the part of the call. The first part is for all calls whose arguments do not matter.
 * Each other part tests the arguments of one call. Where a part of libseccomp's returns, the
 * finished program returns the answer or continues with the next test. So rules are tried in the
 * order of the model, no complement and no product of conditions is needed, and libseccomp never
 * sees rules of one call together that look at different arguments: its time explodes with these.
 *
 * libseccomp runs in a forked child, so all of its memory is released. The program comes through a
 * sealed file, and is verified in the caller's process (verify.h) before it is used. The caller
 * loses one SIGCHLD, which may arrive late. No other child of the caller is waited for.
 *
 * Invariants:
 * - program is mapped read-only from a file that cannot be written any more; quiet is allocated.
 * - quiet is loaded last, without SECCOMP_FILTER_FLAG_LOG: it gives intended ENOSYS answers, which
 *   do not belong in the audit log. There is none if a listener counts them.
 * - A key of zero is none. A call that carries its key is allowed before anything else is checked:
 *   execve and execveat with exec_key in args[5], sendmsg with send_key in the high half of
 *   args[0]. The kernel ignores both places.
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
    uint32_t send_key; /* if a listener is handed over: EXPLAIN and LEARN */
};

/*
 * Of flags, only AIT_SANDBOX_EXEC is used. policy may be NULL with AIT_SANDBOX_DENY_LEARN: then
 * every call is notified. -E2BIG: the policy needs more than a seccomp program may have. -EBADMSG:
 * the program that libseccomp made is not what the policy says.
 */
int filter_compile(const ait_policy *policy, ait_sandbox_deny deny, unsigned flags,
                   struct sandbox_filter *ret, ait_sandbox_problem *problem);
void filter_done(struct sandbox_filter *filter);
