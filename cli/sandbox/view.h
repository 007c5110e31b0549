/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A policy in readable form, call by call, and words in columns.
 *
 * A view is made from a policy and owns what it holds.
 */

#include <stdbool.h>
#include <stddef.h>

#include <aiotools-sd/policy.h>

/* What a policy does with each call. */
struct view_call {
    const char *name;            /* NULL: no call has this number */
    ait_policy_action otherwise; /* if no rule applies */
    unsigned n_rules;
};

struct view {
    int newest;
    ait_policy_action fallback;
    unsigned n_allowed, n_denied, n_by_arguments, n_rules; /* the first three add up to all calls */
    struct view_call *calls;
    char *text; /* the rules in our language, one per line */
};

int view_init(struct view *view, const ait_policy *policy);
void view_done(struct view *view);
/* Whether the call is the first one of its action, among the calls without rules. */
bool view_is_first(const struct view *view, int number);
/* Prints the rules on a call's arguments, with name and action, one per line after indent. */
void view_print_rules(const struct view *view, const char *name, const char *indent,
                      bool with_name);

/* Words side by side, up to a maximum column. Lines begin with indent. */
struct columns {
    const char *indent;
    size_t at;
};
void columns_put(struct columns *columns, const char *word);
void columns_end(struct columns *columns);
