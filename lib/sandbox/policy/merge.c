/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draft.h"
#include "problem.h"
#include "syscalls/syscalls.h"

#define NOTES_MAX 256

static struct draft_rule *rules_free(struct draft_rule *rules)
{
    while (rules) {
        struct draft_rule *next = rules->next;
        free(rules);
        rules = next;
    }
    return NULL;
}

struct layer *layer_free(struct layer *layer)
{
    if (!layer)
        return NULL;
    for (int i = 0; i <= SYSCALL_NEWEST; i++)
        rules_free(layer->calls[i].rules);
    free(layer);
    return NULL;
}

void layer_freep(struct layer **p)
{
    *p = layer_free(*p);
}

void draft_done(struct draft *draft)
{
    for (int i = 0; i <= SYSCALL_NEWEST; i++)
        draft->calls[i].rules = rules_free(draft->calls[i].rules);
    while (draft->sources) {
        struct source *next = draft->sources->next;
        free(draft->sources);
        draft->sources = next;
    }
    draft->notes = policy_notes_free(draft->notes);
}

const struct source *draft_source(struct draft *draft, const char *name)
{
    size_t n = strlen(name) + 1;
    struct source *source = malloc(sizeof(*source) + n);

    if (!source)
        return NULL;
    memcpy(source->name, name, n);
    source->next = draft->sources;
    draft->sources = source;
    return source;
}

void draft_note(struct draft *draft, struct place place, const char *format, ...)
{
    struct policy_note **end = &draft->notes;
    char message[sizeof(((ait_sandbox_problem *)NULL)->message)];
    va_list arguments;

    if (draft->n_notes == NOTES_MAX)
        return;
    struct policy_note *note = calloc(1, sizeof(*note));
    if (!note)
        return;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    note->text.size = sizeof(note->text);
    problem_at(&note->text, 0, place.source->name, place.line, place.column, "%s", message);
    while (*end)
        end = &(*end)->next;
    *end = note;
    draft->n_notes++;
}

static unsigned strictness(ait_policy_action action)
{
    static const unsigned ranks[] = {
        [AIT_POLICY_ALLOW] = 0, [AIT_POLICY_LOG] = 1,  [AIT_POLICY_NOTIFY] = 2,
        [AIT_POLICY_ERRNO] = 3, [AIT_POLICY_TRAP] = 4, [AIT_POLICY_KILL] = 5,
    };

    return ranks[action.kind];
}

/* ---- a file upon what it includes ------------------------------------------------------------ */

static int fail_at(ait_sandbox_problem *problem, int error, struct place place, const char *message,
                   const char *name, struct place other)
{
    return problem_at(problem, error, place.source->name, place.line, place.column, message, name,
                      other.source == place.source ? "line" : other.source->name, other.line);
}

static int check_dropped(const struct layer_call *call, int number, ait_sandbox_problem *problem)
{
    if (!call->dropped || (!call->has_action && !call->rules))
        return 0;
    struct place place = call->has_action ? call->action_place : call->rules->place;
    return fail_at(problem, -EINVAL, place,
                   "there is both '!%1$s' and a rule for %1$s (%2$s %3$u); leave one of them out",
                   ait_syscall_name(number), call->drop_place);
}

static int check_pair(const struct draft_rule *rule, const struct draft_rule *other, int number,
                      ait_sandbox_problem *problem)
{
    if (ait_policy_action_is_equal(rule->action, other->action) || rule_disjoint(rule, other))
        return 0;
    return fail_at(problem, -EINVAL, rule->place,
                   "conflicting: a call of %s can match both this rule and the one at %s %u, which "
                   "has another action; compare one argument with different values in both, or "
                   "replace both by a rule without conditions",
                   ait_syscall_name(number), other->place);
}

static int check_ordering(struct draft_rule *rules, int number, ait_sandbox_problem *problem)
{
    const struct draft_rule *seen = NULL;

    for (const struct draft_rule *r = rules; r; r = r->next)
        for (unsigned i = 0; i < r->n_compares; i++) {
            if (!compare_is_ordering(&r->compares[i]))
                continue;
            if (seen)
                return fail_at(problem, -EINVAL, r->place,
                               "a second comparison by <, <=, > or >= for %s (the first: %s %u); "
                               "only one per system call is possible, use == with a mask",
                               ait_syscall_name(number), seen->place);
            seen = r;
        }
    return 0;
}

static void remove_rule(struct draft_rule **at)
{
    struct draft_rule *gone = *at;

    *at = gone->next;
    free(gone);
}

static bool covered(const struct draft_rule *rule, const struct draft_rule *from,
                    const struct draft_rule *to)
{
    for (; from != to; from = from->next)
        if (rule_covers(from, rule))
            return true;
    return false;
}

static int check_rules(struct layer_call *call, int number, ait_sandbox_problem *problem)
{
    for (const struct draft_rule *r = call->rules; r; r = r->next)
        for (const struct draft_rule *before = call->rules; before != r; before = before->next) {
            int e = check_pair(r, before, number, problem);
            if (e < 0)
                return e;
        }
    for (struct draft_rule **at = &call->rules; *at;) {
        if (covered(*at, call->rules, *at))
            remove_rule(at);
        else
            at = &(*at)->next;
    }
    return 0;
}

static void drop_below(struct draft_call *call)
{
    call->said = call->named = call->own = false;
    call->rules = rules_free(call->rules);
}

/*
 * A group must not loosen what included text says about arguments, or by name: an author who lists
 * a group does not think of each call in it. It must tighten it.
 */
static void put_group(struct draft_call *call, ait_policy_action action)
{
    if (call->named && strictness(call->action) > strictness(action))
        return;
    for (struct draft_rule **at = &call->rules; *at;) {
        if (strictness((*at)->action) <= strictness(action))
            remove_rule(at);
        else
            at = &(*at)->next;
    }
    call->said = true;
    call->named = call->own = false;
    call->action = action;
}

static void put_action(struct draft_call *call, const struct layer_call *upper, bool own)
{
    if (upper->dropped || upper->has_action || upper->group == LAYER_GROUP_DROP)
        drop_below(call);
    if (upper->has_action) {
        call->said = call->named = true;
        call->own = own;
        call->action = upper->action;
    } else if (!upper->dropped && upper->group == LAYER_GROUP_ACTION)
        put_group(call, upper->group_action);
}

/* This may be intended, but is easily a mistake. */
static void note_opened(struct draft *draft, const struct draft_call *call,
                        const struct layer_call *upper, int number)
{
    if (!upper->has_action || ait_policy_action_is_denial(upper->action))
        return;
    for (const struct draft_rule *r = call->rules; r; r = r->next)
        if (ait_policy_action_is_denial(r->action)) {
            draft_note(draft, upper->action_place,
                       "%s is allowed with any arguments: this replaces the rules that deny some "
                       "of them (%s %u); rules with conditions would be added to them",
                       ait_syscall_name(number), r->place.source->name, r->place.line);
            return;
        }
}

static int put_rules(struct draft_call *call, struct layer_call *upper, int number, bool own,
                     ait_sandbox_problem *problem)
{
    struct draft_rule **end = &upper->rules;

    for (struct draft_rule **at = &call->rules; *at;) {
        if (covered(*at, upper->rules, NULL))
            remove_rule(at);
        else
            at = &(*at)->next;
    }
    for (; *end; end = &(*end)->next) {
        (*end)->own = own;
        for (const struct draft_rule *below = call->rules; below; below = below->next) {
            int e = check_pair(*end, below, number, problem);
            if (e < 0)
                return e;
        }
    }
    *end = call->rules;
    call->rules = upper->rules;
    upper->rules = NULL;
    return check_ordering(call->rules, number, problem);
}

int draft_put(struct draft *draft, struct layer *layer, ait_sandbox_problem *problem)
{
    if (layer->has_fallback) {
        draft->has_fallback = true;
        draft->fallback = layer->fallback;
    }
    for (int i = 0; i <= SYSCALL_NEWEST; i++) {
        struct layer_call *upper = &layer->calls[i];
        int e = check_dropped(upper, i, problem);
        if (e >= 0)
            e = check_rules(upper, i, problem);
        if (e < 0)
            return e;
        note_opened(draft, &draft->calls[i], upper, i);
        put_action(&draft->calls[i], upper, layer->own);
        e = put_rules(&draft->calls[i], upper, i, layer->own, problem);
        if (e < 0)
            return e;
    }
    return 0;
}

/* ---- the policy ------------------------------------------------------------------------------ */

/*
 * A rule that repeats the default answer is left out: it is disjoint from all rules with other
 * answers. One that allows, of a user's own, stays: it holds also where more is denied later
 * (policy_add_root()).
 */
static int finish_call(const struct draft_call *call, int number, ait_policy *policy,
                       ait_sandbox_problem *problem)
{
    if (call->said)
        policy->calls[number].otherwise = call->action;
    policy->calls[number].own = call->own;
    for (const struct draft_rule *r = call->rules; r; r = r->next) {
        bool kept = r->own && !ait_policy_action_is_denial(r->action);
        if (!kept && ait_policy_action_is_equal(r->action, policy->calls[number].otherwise))
            continue;
        int e = policy_add_rule(policy, number, r->action, r->compares, r->n_compares);
        if (e == -E2BIG)
            return problem_at(problem, e, r->place.source->name, r->place.line, r->place.column,
                              "more than %d rules for %s, or more than %d that look at arguments",
                              POLICY_RULES_A_CALL, ait_syscall_name(number), POLICY_RULES_MAX);
        if (e < 0)
            return e;
        policy_last_rule(&policy->calls[number])->own = r->own;
    }
    return 0;
}

int draft_finish(struct draft *draft, const char *name, ait_policy **ret,
                 ait_sandbox_problem *problem)
{
    const ait_policy_action refuse = {.kind = AIT_POLICY_ERRNO, .error = EPERM};
    __attribute__((cleanup(ait_policy_unrefp))) ait_policy *policy = NULL;
    int e = policy_new(&policy, name, draft->has_fallback ? draft->fallback : refuse);

    for (int i = 0; i <= SYSCALL_NEWEST && e >= 0; i++)
        e = finish_call(&draft->calls[i], i, policy, problem);
    if (e < 0)
        return e;
    policy->notes = draft->notes;
    draft->notes = NULL;
    *ret = policy;
    policy = NULL;
    return 0;
}
