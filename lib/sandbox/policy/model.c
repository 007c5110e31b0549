/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "options.h"

int policy_new(ait_policy **ret, const char *name, ait_policy_action fallback)
{
    ait_policy *policy = calloc(1, sizeof(*policy));

    if (!policy)
        return -ENOMEM;
    policy->refs = 1;
    policy->fallback = fallback;
    for (int i = 0; i <= SYSCALL_NEWEST; i++)
        policy->calls[i].otherwise = fallback;
    policy->name = strdup(name ? name : "");
    if (!policy->name) {
        free(policy);
        return -ENOMEM;
    }
    *ret = policy;
    return 0;
}

struct policy_note *policy_notes_free(struct policy_note *notes)
{
    while (notes) {
        struct policy_note *next = notes->next;
        free(notes);
        notes = next;
    }
    return NULL;
}

AIT_PUBLIC ait_policy *ait_policy_ref(ait_policy *policy)
{
    if (policy)
        __atomic_add_fetch(&policy->refs, 1, __ATOMIC_RELAXED);
    return policy;
}

AIT_PUBLIC ait_policy *ait_policy_unref(ait_policy *policy)
{
    if (!policy || __atomic_sub_fetch(&policy->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return NULL;
    for (int i = 0; i <= SYSCALL_NEWEST; i++) {
        for (unsigned k = 0; k < policy->calls[i].n_rules; k++)
            free(policy->calls[i].rules[k].compares);
        free(policy->calls[i].rules);
    }
    policy_notes_free(policy->notes);
    free(policy->name);
    free(policy);
    return NULL;
}

int policy_add_rule(ait_policy *policy, int number, ait_policy_action action,
                    const ait_policy_compare *compares, size_t n_compares)
{
    if (number < 0 || number > SYSCALL_NEWEST || n_compares == 0)
        return -EINVAL;
    struct policy_call *call = &policy->calls[number];
    if (n_compares > POLICY_COMPARES_MAX || call->n_rules >= POLICY_RULES_A_CALL ||
        policy->n_rules >= POLICY_RULES_MAX)
        return -E2BIG;
    ait_policy_compare *copy = malloc(n_compares * sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    memcpy(copy, compares, n_compares * sizeof(*copy));
    struct policy_rule *rules = realloc(call->rules, (call->n_rules + 1) * sizeof(*rules));
    if (!rules) {
        free(copy);
        return -ENOMEM;
    }
    rules[call->n_rules++] = (struct policy_rule){
        .action = action, .n_compares = (unsigned)n_compares, .compares = copy};
    call->rules = rules;
    policy->n_rules++;
    return 0;
}

void policy_disown(ait_policy *policy)
{
    for (int i = 0; i <= SYSCALL_NEWEST; i++) {
        policy->calls[i].own = false;
        for (unsigned k = 0; k < policy->calls[i].n_rules; k++)
            policy->calls[i].rules[k].own = false;
    }
}

bool policy_compare_holds(const ait_policy_compare *compare, const uint64_t args[6])
{
    uint64_t x = args[compare->arg] & compare->mask;

    switch ((ait_policy_op)compare->op) {
    case AIT_POLICY_EQ:
        return x == compare->value;
    case AIT_POLICY_NE:
        return x != compare->value;
    case AIT_POLICY_LT:
        return x < compare->value;
    case AIT_POLICY_LE:
        return x <= compare->value;
    case AIT_POLICY_GT:
        return x > compare->value;
    case AIT_POLICY_GE:
        return x >= compare->value;
    }
    return false;
}

bool policy_rule_holds(const struct policy_rule *rule, const uint64_t args[6])
{
    for (unsigned i = 0; i < rule->n_compares; i++)
        if (!policy_compare_holds(&rule->compares[i], args))
            return false;
    return true;
}

AIT_PUBLIC ait_policy_action ait_policy_evaluate(const ait_policy *policy, int number,
                                                 const uint64_t args[6])
{
    if (number < 0 || number > SYSCALL_NEWEST)
        return (ait_policy_action){.kind = AIT_POLICY_ERRNO, .error = ENOSYS};
    const struct policy_call *call = &policy->calls[number];
    for (unsigned i = 0; i < call->n_rules; i++)
        if (policy_rule_holds(&call->rules[i], args))
            return call->rules[i].action;
    return call->otherwise;
}

AIT_PUBLIC ait_policy_action ait_policy_fallback(const ait_policy *policy)
{
    return policy->fallback;
}

static bool same_rule(const struct policy_rule *a, const struct policy_rule *b)
{
    if (!ait_policy_action_is_equal(a->action, b->action) || a->n_compares != b->n_compares)
        return false;
    for (unsigned i = 0; i < a->n_compares; i++) {
        const ait_policy_compare *x = &a->compares[i], *y = &b->compares[i];
        if (x->arg != y->arg || x->op != y->op || x->mask != y->mask || x->value != y->value)
            return false;
    }
    return true;
}

bool policy_equal(const ait_policy *a, const ait_policy *b)
{
    if (!ait_policy_action_is_equal(a->fallback, b->fallback))
        return false;
    for (int i = 0; i <= SYSCALL_NEWEST; i++) {
        const struct policy_call *x = &a->calls[i], *y = &b->calls[i];
        if (!ait_policy_action_is_equal(x->otherwise, y->otherwise) || x->n_rules != y->n_rules)
            return false;
        for (unsigned k = 0; k < x->n_rules; k++)
            if (!same_rule(&x->rules[k], &y->rules[k]))
                return false;
    }
    return true;
}

/* ---- telling --------------------------------------------------------------------------------- */

static int tell_call(const struct policy_call *call, int number, ait_policy_action fallback,
                     ait_policy_rule_cb cb, void *userdata)
{
    ait_policy_rule rule = {
        .size = sizeof(rule), .number = number, .name = ait_syscall_name(number)};

    for (unsigned k = 0; k < call->n_rules; k++) {
        rule.action = call->rules[k].action;
        rule.n_compares = call->rules[k].n_compares;
        rule.compares = call->rules[k].compares;
        int r = cb(&rule, userdata);
        if (r != 0)
            return r;
    }
    if (ait_policy_action_is_equal(call->otherwise, fallback))
        return 0;
    rule.action = call->otherwise;
    rule.n_compares = 0;
    rule.compares = NULL;
    return cb(&rule, userdata);
}

AIT_PUBLIC int ait_policy_foreach_rule(const ait_policy *policy, ait_policy_rule_cb cb,
                                       void *userdata)
{
    if (!policy || !cb)
        return -EINVAL;
    for (int i = 0; i <= SYSCALL_NEWEST; i++) {
        int r = tell_call(&policy->calls[i], i, policy->fallback, cb, userdata);
        if (r != 0)
            return r;
    }
    return 0;
}

AIT_PUBLIC int ait_policy_foreach_note(const ait_policy *policy, ait_policy_note_cb cb,
                                       void *userdata)
{
    if (!policy || !cb)
        return -EINVAL;
    for (const struct policy_note *note = policy->notes; note; note = note->next) {
        int r = cb(&note->text, userdata);
        if (r != 0)
            return r;
    }
    return 0;
}

AIT_PUBLIC int ait_policy_add_note(ait_policy *policy, const ait_sandbox_problem *note)
{
    if (!policy || !note)
        return -EINVAL;
    struct policy_note **end = &policy->notes, *copy = calloc(1, sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    int r = options_copy(&copy->text, sizeof(copy->text), note);
    if (r < 0) {
        free(copy);
        return r;
    }
    copy->text.size = sizeof(copy->text);
    copy->text.file[sizeof(copy->text.file) - 1] = '\0';
    copy->text.message[sizeof(copy->text.message) - 1] = '\0';
    while (*end)
        end = &(*end)->next;
    *end = copy;
    return 0;
}
