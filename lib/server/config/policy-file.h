/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The file of --policy, in whichever language it is written: its first line with anything on it tells.
 *
 *     policy 1                        our own (libaiotools-sd-policy(7))
 *     SystemCallFilter=..., @group    what systemd has: a piece of a unit file, or the bare values, one a line
 *     {                               JSON as container runtimes have it; read by the importer that is given
 *
 * Nothing is kept open; the policy is the caller's.
 */

#include <aiotools-sd/policy.h>

/* As ait_policy_from_text(). */
typedef int (*policy_importer)(ait_policy **ret, const char *name, const char *text, size_t length,
                               ait_sandbox_problem *problem);

/* import may be NULL. Errors as ait_policy_from_file() has them, with the place in problem. */
int policy_file_load(ait_policy **ret, const char *path, policy_importer import,
                     ait_sandbox_problem *problem);

/* From a unit file to the values of SystemCallFilter=, line by line (what else is there becomes an empty line), in place. *ret_error: of
 * SystemCallErrorNumber=, else 0. Returns how many lists were found; -EINVAL with the line in *ret_line: an errno that does not exist. */
int policy_file_strip_unit(char *text, int *ret_error, unsigned *ret_line);
