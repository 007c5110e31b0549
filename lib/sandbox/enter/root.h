/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Confines root to the files that Landlock lets it open, by denying the system calls by which root
 * changes or reaches others.
 *
 * The result is a new policy: the given one, with the rules of presets ("root" and others) between
 * what a file of a user says by name and all else. A user who names such a call in a policy has
 * decided, and open says what that leaves open. Calls that the policy denies entirely keep their
 * answer.
 *
 * What this is not: it confines nobody by itself, and knows neither paths nor the kernel.
 */

#include <stddef.h>

#include <aiotools-sd/policy.h>

/*
 * presets: their names, up to NULL. ret_open: names of the calls that stay allowed since the policy
 * names them, or "". -E2BIG: the policy has no room for the rules. *ret belongs to the caller.
 */
int policy_add_root(ait_policy **ret, const ait_policy *policy, const char *const *presets,
                    char *ret_open, size_t size);
