/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of the language share: cmocka's headers in their order, parsing a text, and tables
 * of what becomes of a call.
 *
 * Actions stand in tables as text of the language ("errno(EPERM)").
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/model.h"

#define ELEMENTS(a) (sizeof(a) / sizeof(*(a)))
#define P           "policy 1\n"

/* A call that this architecture may lack; then the row is passed over. */
struct call_row {
    const char *name;
    uint64_t args[6];
    const char *action;
};

/* Parses what must be right; the name in messages is "text". */
ait_policy *parse(const char *text);
/* What a text is refused with. */
int parse_wrong(const char *text, size_t n, ait_sandbox_problem *problem);

const char *action_of(const ait_policy *policy, const char *name, const uint64_t args[6]);
void check_calls(const char *what, const ait_policy *policy, const struct call_row *rows, size_t n);

/* Whether two rules of one call with different actions both hold for these arguments: they never
 * may. */
bool rules_overlap(const ait_policy *policy, int number, const uint64_t args[6]);

/* What ait_policy_write() makes of it; to be freed. */
char *written(const ait_policy *policy, ait_policy_format format, size_t *ret_length);
