/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "root.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policy/draft.h"
#include "policy/model.h"

struct open_calls {
    char *text;
    size_t size, n;
};

static bool was_said(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (; *list; list += strspn(list, ", ")) {
        size_t length = strcspn(list, ",");
        if (length == n && strncmp(list, name, n) == 0)
            return true;
        list += length;
    }
    return false;
}

/* Once. What does not fit is told by dots. */
static void say_open(struct open_calls *open, int number)
{
    const char *name = ait_syscall_name(number);

    if (was_said(open->text, name))
        return;
    if (open->n + strlen(name) + sizeof(", ...") < open->size)
        open->n += (size_t)snprintf(open->text + open->n, open->size - open->n, "%s%s",
                                    open->n > 0 ? ", " : "", name);
    else if (open->n < 3 || strcmp(open->text + open->n - 3, "...") != 0)
        open->n += (size_t)snprintf(open->text + open->n, open->size - open->n, ", ...");
}

static bool allows(const struct policy_call *call)
{
    bool any = !ait_policy_action_is_denial(call->otherwise);

    for (unsigned i = 0; i < call->n_rules; i++)
        any |= !ait_policy_action_is_denial(call->rules[i].action);
    return any;
}

static bool is_exception(const struct policy_rule *rule)
{
    return rule->own && !ait_policy_action_is_denial(rule->action);
}

static bool overlap(const struct policy_rule *a, const struct policy_rule *b)
{
    for (unsigned i = 0; i < a->n_compares; i++)
        for (unsigned k = 0; k < b->n_compares; k++)
            if (compare_contradicts(&a->compares[i], &b->compares[k]))
                return false;
    return true;
}

/* Whether a user's own rules let through some of what root's would deny. */
static bool opens(const struct policy_call *call, const struct policy_call *root)
{
    bool whole = ait_policy_action_is_denial(root->otherwise);

    for (unsigned i = 0; i < call->n_rules; i++) {
        if (!is_exception(&call->rules[i]))
            continue;
        if (whole)
            return true;
        for (unsigned k = 0; k < root->n_rules; k++)
            if (overlap(&call->rules[i], &root->rules[k]))
                return true;
    }
    return false;
}

static int add_rules(ait_policy *to, int number, const struct policy_call *from,
                     bool (*select)(const struct policy_rule *))
{
    int r = 0;

    for (unsigned i = 0; i < from->n_rules && r >= 0; i++) {
        const struct policy_rule *rule = &from->rules[i];
        if (select && !select(rule))
            continue;
        r = policy_add_rule(to, number, rule->action, rule->compares, rule->n_compares);
        if (r >= 0)
            policy_last_rule(&to->calls[number])->own = rule->own;
    }
    return r;
}

static bool is_own(const struct policy_rule *rule)
{
    return rule->own;
}

static bool is_others(const struct policy_rule *rule)
{
    return !rule->own;
}

static bool is_others_denial(const struct policy_rule *rule)
{
    return !rule->own && ait_policy_action_is_denial(rule->action);
}

static bool is_whole(const struct policy_call *root)
{
    return ait_policy_action_is_denial(root->otherwise);
}

/* A bare name in a user's policy stands for all arguments only if root's rules look at none. */
static bool is_untouched(const struct policy_call *from, const struct policy_call *root)
{
    return (!is_whole(root) && root->n_rules == 0) || !allows(from) ||
           (is_whole(root) && from->own);
}

static int put_call(ait_policy *to, int number, const struct policy_call *from,
                    const struct policy_call *root, struct open_calls *open)
{
    struct policy_call *call = &to->calls[number];
    int r;

    call->otherwise = from->otherwise;
    call->own = from->own;
    if (is_untouched(from, root)) {
        if (is_whole(root) && allows(from))
            say_open(open, number);
        return add_rules(to, number, from, NULL);
    }
    if (opens(from, root))
        say_open(open, number);
    r = add_rules(to, number, from, is_own);
    if (r >= 0)
        r = add_rules(to, number, root, NULL);
    if (r >= 0)
        r = add_rules(to, number, from, is_whole(root) ? is_others_denial : is_others);
    if (is_whole(root) && !ait_policy_action_is_denial(from->otherwise))
        call->otherwise = root->otherwise;
    return r;
}

static int add(ait_policy **ret, const ait_policy *policy, const char *preset,
               struct open_calls *open)
{
    ait_policy *root AIT_CLEANUP(ait_policy_unrefp) = NULL;
    ait_policy *sum AIT_CLEANUP(ait_policy_unrefp) = NULL;
    int r = ait_policy_from_preset(&root, preset, NULL);

    if (r >= 0)
        r = policy_new(&sum, policy->name, policy->fallback);
    for (int i = 0; i <= SYSCALL_NEWEST && r >= 0; i++)
        r = put_call(sum, i, &policy->calls[i], &root->calls[i], open);
    if (r < 0)
        return r;
    *ret = sum;
    sum = NULL;
    return 0;
}

int policy_add_root(ait_policy **ret, const ait_policy *policy, const char *const *presets,
                    char *ret_open, size_t size)
{
    ait_policy *last AIT_CLEANUP(ait_policy_unrefp) = NULL;
    struct open_calls open = {ret_open, size, 0};

    *ret_open = '\0';
    for (; *presets; presets++) {
        ait_policy *next;
        int r = add(&next, last ?: policy, *presets, &open);
        if (r < 0)
            return r;
        ait_policy_unref(last);
        last = next;
    }
    if (!last)
        return -EINVAL;
    *ret = last;
    last = NULL;
    return 0;
}
