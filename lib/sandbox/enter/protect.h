/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Protects one process outside from signals and rescheduling by processes inside, if they run as
 * its user and the kernel would permit it.
 *
 * The result is a new policy. It is the given one plus rules, tried before a call's own, that
 * refuse the process and its current process group with EPERM. Calls that the policy denies
 * entirely keep their answer.
 *
 * What this is not: the process is known by its pid only, so its threads other than the first can
 * still be named. A signal through a pidfd is refused by refusing to open the pidfd; one that was
 * received from elsewhere still works.
 */

#include <stdbool.h>
#include <sys/types.h>

#include <aiotools-sd/policy.h>

/*
 * signals: also refuse signals; else only rescheduling. -ESRCH: there is no such process. -E2BIG:
 * the policy has no room for the rules. *ret belongs to the caller.
 */
int policy_protect(ait_policy **ret, const ait_policy *policy, pid_t process, bool signals);
