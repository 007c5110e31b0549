/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Keeps one process outside from being signalled and re-scheduled by those inside, where they run as its user and the kernel would let them.
 *
 * The result is a policy of its own: what the given one says, and before the rules of a call those that refuse the process, and the group that it is in
 * now, with EPERM. A call that the policy lets nobody make keeps its answer.
 *
 * What this is not: it knows the process by its number, so that the threads that it has besides the first one can be named all the same; and a
 * signal through a descriptor of a process is refused where the descriptor is made, not where it came from elsewhere.
 */

#include <stdbool.h>
#include <sys/types.h>

#include <aiotools-sd/policy.h>

/* signals: refuse signals, too; else only the scheduling. -ESRCH: there is no such process; -E2BIG: the policy has no room for the rules. *ret is the caller's. */
int policy_protect(ait_policy **ret, const ait_policy *policy, pid_t process, bool signals);
