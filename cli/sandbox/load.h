/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Policies by name: a preset or a file. A preset's name is never taken for a file (write
 * ./service).
 */

#include <stdbool.h>
#include <stdio.h>

#include <aiotools-sd/policy.h>

/* The languages of --from, by ait_policy_format. */
extern const char *const sandbox_from_words[];

bool sandbox_is_preset(const char *name);
/* -errno, with the place in problem. */
int sandbox_load(ait_policy **ret, const char *name, ait_policy_format from,
                 ait_sandbox_problem *problem);
/* "file:line:column: message" as compilers have it. */
void sandbox_print_problem(FILE *file, const ait_sandbox_problem *problem);
/* The same after the command's name; returns the exit status for a policy that cannot be read. */
int sandbox_report(const ait_sandbox_problem *problem);
