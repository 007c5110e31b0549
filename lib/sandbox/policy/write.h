/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Rules as text of the language. What cannot be written is found by ferror(3).
 */

#include <stdio.h>

#include <aiotools-sd/policy.h>

/* One rule as it stands in a file, with the constants' names, and without a newline. The rule has a name. */
void policy_write_rule(FILE *out, const ait_policy_rule *rule);
