/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes rules as text of the language. Errors are found by ferror(3). */

#include <stdio.h>

#include <aiotools-sd/policy.h>

/*
 * Writes one rule as it stands in a file, with names of constants and without a newline. The rule
 * must have a name.
 */
void policy_write_rule(FILE *out, const ait_policy_rule *rule);
