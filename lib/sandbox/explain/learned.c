/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <aiotools-sd/sandbox.h>

#include "syscalls/families.h"
#include "learned.h"
#include "policy/write.h"
#include "syscalls/syscalls.h"

#define COMMENT_COLUMN 28

/* ---- counting -------------------------------------------------------------------------------- */

static unsigned n_rules_of(const ait_policy *policy, int number)
{
    return policy ? policy->calls[number].n_rules : 0;
}

int learned_new(struct learned **ret, ait_policy *reference, ait_policy *base)
{
    size_t n = 0;

    for (int i = 0; i <= SYSCALL_NEWEST; i++)
        n += n_rules_of(reference, i) + 1;
    struct learned *learned = calloc(1, sizeof(*learned) + n * sizeof(learned->hits[0]));
    if (!learned)
        return -ENOMEM;
    unsigned at = 0;
    for (int i = 0; i <= SYSCALL_NEWEST; i++) {
        learned->first[i] = at;
        at += n_rules_of(reference, i) + 1;
    }
    learned->reference = ait_policy_ref(reference);
    learned->base = ait_policy_ref(base);
    *ret = learned;
    return 0;
}

struct learned *learned_free(struct learned *learned)
{
    if (!learned)
        return NULL;
    ait_policy_unref(learned->reference);
    ait_policy_unref(learned->base);
    free(learned);
    return NULL;
}

/* The rule of the reference that decides; the number of rules if none applies. */
static unsigned find_rule(const ait_policy *reference, int number, const uint64_t args[6])
{
    unsigned n = n_rules_of(reference, number), i = 0;

    while (i < n && !policy_rule_holds(&reference->calls[number].rules[i], args))
        i++;
    return i;
}

static ait_policy_action action_of(const struct learned *l, int number, unsigned rule)
{
    if (!l->reference)
        return (ait_policy_action){.kind = AIT_POLICY_ALLOW};
    const struct policy_call *call = &l->reference->calls[number];
    return rule < call->n_rules ? call->rules[rule].action : call->otherwise;
}

/* Whether the base alone does to it what is to be written. */
static bool base_has(const struct learned *l, int number, const uint64_t args[6],
                     ait_policy_action wanted)
{
    if (!l->base)
        return false;
    ait_policy_action action = ait_policy_evaluate(l->base, number, args);
    return policy_action_is_absent(wanted) ? policy_action_is_absent(action)
                                           : !ait_policy_action_is_denial(action);
}

void learned_count(struct learned *learned, int number, const uint64_t args[6])
{
    unsigned rule = find_rule(learned->reference, number, args);

    learned->hits[learned->first[number] + rule]++;
    if (!base_has(learned, number, args, action_of(learned, number, rule)))
        learned->beyond[number]++;
}

/* ---- what was learned about one call --------------------------------------------------------- */

static uint64_t hits_of(const struct learned *l, int number, unsigned rule)
{
    return l->hits[l->first[number] + rule];
}

static uint64_t all_hits_of(const struct learned *l, int number)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i <= n_rules_of(l->reference, number); i++)
        sum += hits_of(l, number, i);
    return sum;
}

/* Whether it is to be allowed for arguments of which the reference says nothing. */
static bool is_general(const struct learned *l, int number)
{
    unsigned n = n_rules_of(l->reference, number);

    return hits_of(l, number, n) > 0 && !policy_action_is_absent(action_of(l, number, n));
}

/* Whether some call of this number was let through. */
static bool was_let_through(const struct learned *l, int number)
{
    unsigned n = n_rules_of(l->reference, number);

    for (unsigned i = 0; i < n; i++)
        if (hits_of(l, number, i) > 0 &&
            !policy_action_is_absent(l->reference->calls[number].rules[i].action))
            return true;
    return is_general(l, number);
}

static bool base_allows_some(const ait_policy *base, int number)
{
    if (!base)
        return false;
    const struct policy_call *call = &base->calls[number];
    for (unsigned i = 0; i < call->n_rules; i++)
        if (!ait_policy_action_is_denial(call->rules[i].action))
            return true;
    return !ait_policy_action_is_denial(call->otherwise);
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* Pads to the column of comments, so that they are aligned where possible. */
static void begin_line(FILE *out, int number, const struct policy_rule *rule,
                       ait_policy_action action)
{
    const ait_policy_rule text = {
        .size = sizeof(text),
        .number = number,
        .name = ait_syscall_name(number),
        .action = action,
        .n_compares = rule ? rule->n_compares : 0,
        .compares = rule ? rule->compares : NULL,
    };
    size_t width = rule || action.kind != AIT_POLICY_ALLOW ? COMMENT_COLUMN : strlen(text.name);

    policy_write_rule(out, &text);
    (void)fprintf(out, "%*s# ", width < COMMENT_COLUMN ? (int)(COMMENT_COLUMN - width) : 1, "");
}

static void write_needed(FILE *out, int number, const struct policy_rule *rule,
                         ait_policy_action reference, uint64_t hits)
{
    const ait_policy_action allow = {.kind = AIT_POLICY_ALLOW};

    begin_line(out, number, rule, policy_action_is_absent(reference) ? reference : allow);
    (void)fprintf(out, "%" PRIu64 "%s\n", hits,
                  policy_action_is_absent(reference) || !ait_policy_action_is_denial(reference)
                      ? ""
                      : ", which the reference would deny");
}

static void write_kept(FILE *out, int number, const struct policy_rule *rule)
{
    begin_line(out, number, rule, rule->action);
    (void)fprintf(out, "restriction kept\n");
}

static void write_call(const struct learned *l, FILE *out, int number)
{
    unsigned n = n_rules_of(l->reference, number);
    const struct policy_rule *rules = n > 0 ? l->reference->calls[number].rules : NULL;
    bool general = is_general(l, number);
    uint64_t hits = hits_of(l, number, n);

    if (hits > 0)
        write_needed(out, number, NULL, action_of(l, number, n), hits);
    for (unsigned i = 0; i < n; i++) {
        ait_policy_action action = rules[i].action;

        hits = hits_of(l, number, i);
        if (hits > 0 && (!general || policy_action_is_absent(action)))
            write_needed(out, number, &rules[i], action, hits);
        else if (hits == 0 && general && ait_policy_action_is_denial(action))
            write_kept(out, number, &rules[i]);
    }
}

/* ---- the file -------------------------------------------------------------------------------- */

struct entry {
    int number;
    unsigned group; /* n_groups: none */
    uint64_t count;
};

struct entries {
    size_t n;
    unsigned current; /* the group that is being looked at */
    unsigned group[SYSCALL_NEWEST + 1];
    struct entry entry[SYSCALL_NEWEST + 1];
};

/* Everything is in these. */
static bool is_collection(const char *group)
{
    return strcmp(group, "@known") == 0 || strcmp(group, "@system-service") == 0 ||
           strcmp(group, "@default") == 0;
}

static int note_group(int number, void *userdata)
{
    struct entries *e = userdata;

    if (number >= 0 && number <= SYSCALL_NEWEST && e->group[number] == syscall_n_groups)
        e->group[number] = e->current;
    return 0;
}

static void find_groups(struct entries *e)
{
    for (int i = 0; i <= SYSCALL_NEWEST; i++)
        e->group[i] = (unsigned)syscall_n_groups;
    for (e->current = 0; e->current < syscall_n_groups; e->current++)
        if (!is_collection(syscall_groups[e->current].name))
            (void)syscall_group_expand(syscall_groups[e->current].name, note_group, e);
}

static int compare_by_group(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return strcmp(ait_syscall_name(x->number), ait_syscall_name(y->number));
}

static int compare_by_count(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return compare_by_group(a, b);
}

static void collect(const struct learned *l, struct entries *e, unsigned flags)
{
    find_groups(e);
    for (int i = 0; i <= SYSCALL_NEWEST; i++)
        if (l->beyond[i] > 0 && ait_syscall_name(i))
            e->entry[e->n++] =
                (struct entry){.number = i, .group = e->group[i], .count = all_hits_of(l, i)};
    qsort(e->entry, e->n, sizeof(e->entry[0]),
          flags & AIT_LEARN_BY_COUNT ? compare_by_count : compare_by_group);
}

static void write_calls(const struct learned *l, FILE *out, unsigned flags, const struct entries *e)
{
    unsigned group = UINT32_MAX;

    for (size_t i = 0; i < e->n; i++) {
        if (!(flags & AIT_LEARN_BY_COUNT) && e->entry[i].group != group) {
            group = e->entry[i].group;
            (void)fprintf(out, "\n# %s\n",
                          group < syscall_n_groups ? syscall_groups[group].name : "others");
        }
        write_call(l, out, e->entry[i].number);
    }
}

static bool is_open(const struct learned *l, const char *name)
{
    int number = ait_syscall_from_name(name);

    return number >= 0 && number <= SYSCALL_NEWEST &&
           (was_let_through(l, number) || base_allows_some(l->base, number));
}

static void write_members(const struct learned *l, FILE *out, const struct family *family,
                          bool open)
{
    const char *comma = "";

    for (size_t i = 0; i < FAMILY_MEMBERS_MAX && family->members[i]; i++) {
        if (ait_syscall_from_name(family->members[i]) < 0 || is_open(l, family->members[i]) != open)
            continue;
        (void)fprintf(out, "%s%s", comma, family->members[i]);
        comma = ", ";
    }
}

static unsigned count_members(const struct learned *l, const struct family *family, bool open)
{
    unsigned n = 0;

    for (size_t i = 0; i < FAMILY_MEMBERS_MAX && family->members[i]; i++)
        n += ait_syscall_from_name(family->members[i]) >= 0 &&
             is_open(l, family->members[i]) == open;
    return n;
}

static void write_families(const struct learned *l, FILE *out)
{
    (void)fprintf(out, "\n# What remains possible, and by which calls:\n");
    for (size_t i = 0; i < n_families; i++) {
        if (count_members(l, &families[i], true) == 0)
            continue;
        (void)fprintf(out, "#   %s: ", families[i].purpose);
        write_members(l, out, &families[i], true);
        if (count_members(l, &families[i], false) > 0) {
            (void)fprintf(out, "; not by ");
            write_members(l, out, &families[i], false);
        }
        (void)fputc('\n', out);
    }
}

static void write_head(FILE *out, const struct entries *e, const char *title, bool base)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < e->n; i++)
        sum += e->entry[i].count;
    (void)fprintf(out, "policy 1\n\n# Learned");
    if (title)
        (void)fprintf(out, " from ");
    /* Replaces control characters, so that the title is one line. */
    for (const char *p = title; p && *p; p++)
        (void)fputc((unsigned char)*p < ' ' || *p == 0x7f ? ' ' : *p, out);
    (void)fprintf(out,
                  ": %zu system calls%s, used %" PRIu64
                  " times. A number tells how often a call was used.\n",
                  e->n, base ? " beyond the base" : "", sum);
    if (base)
        (void)fprintf(out, "\ninclude base\n");
}

int learned_write(const struct learned *learned, FILE *out, const char *title, unsigned flags)
{
    struct entries *e = calloc(1, sizeof(*e));

    if (!e)
        return -ENOMEM;
    collect(learned, e, flags);
    write_head(out, e, title, learned->base != NULL);
    if (flags & AIT_LEARN_BY_COUNT)
        (void)fputc('\n', out);
    write_calls(learned, out, flags, e);
    write_families(learned, out);
    free(e);
    return fflush(out) == EOF || ferror(out) ? -EIO : 0;
}
