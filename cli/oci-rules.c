/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes text of our language of the rules. */
#include "oci-profile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 65536

uint64_t oci_bits_of(const char *name, unsigned arg)
{
    ait_policy *policy AIT_CLEANUP(ait_policy_unrefp) = NULL;
    static const unsigned widths[] = {16, 32};
    uint64_t args[OCI_ARGUMENTS] = {0};
    char text[128];
    int n = snprintf(text, sizeof(text), "policy 1\n%s arg%u == 1\n", name, arg);

    if (ait_policy_from_text(&policy, name, text, (size_t)n, NULL) < 0)
        return UINT64_MAX;
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        args[arg] = (UINT64_C(1) << widths[i]) | 1;
        if (ait_policy_evaluate(policy, ait_syscall_from_name(name), args).kind == AIT_POLICY_ALLOW)
            return (UINT64_C(1) << widths[i]) - 1;
    }
    return UINT64_MAX;
}

/* Negative numbers are written with all 64 bits. */
static void narrow(const char *name, struct oci_rule *rule)
{
    for (size_t i = 0; i < rule->n_compares; i++) {
        ait_policy_compare *c = &rule->compares[i];

        if (c->value <= UINT16_MAX && (c->mask <= UINT16_MAX || c->mask == UINT64_MAX))
            continue;
        uint64_t bits = oci_bits_of(name, c->arg);
        if ((c->value | bits) == UINT64_MAX)
            c->value &= bits;
        /* What remains too wide is refused by the parser of the text. */
        if (c->mask != UINT64_MAX && c->value <= bits)
            c->mask &= bits;
    }
}

static int put_rule(struct oci_import *im, const char *name, const struct oci_rule *rule)
{
    static const char *const words[] = {"==", "!=", "<", "<=", ">", ">="};
    char action[AIT_POLICY_ACTION_SIZE];

    if (im->n_lines == LINES_MAX) {
        oci_enter_entry(im, rule->entry);
        return oci_fail(im, "more rules than a policy may have");
    }
    im->entries[im->n_lines++] = rule->entry;
    (void)fprintf(im->out, "%s", name);
    for (size_t i = 0; i < rule->n_compares; i++) {
        const ait_policy_compare *c = &rule->compares[i];

        (void)fprintf(im->out, "%s arg%u", i ? " &&" : "", c->arg);
        if (c->mask != UINT64_MAX)
            (void)fprintf(im->out, " & %#" PRIx64, c->mask);
        (void)fprintf(im->out, " %s %#" PRIx64, words[c->op], c->value);
    }
    (void)fprintf(im->out, ": %s\n", ait_policy_action_text(rule->action.meaning, action));
    return 0;
}

static bool is_ordering(const ait_policy_compare *c)
{
    return c->op != AIT_POLICY_EQ && c->op != AIT_POLICY_NE;
}

/*
 * An ordering, bit by bit from the highest one: a value that first differs from the constant at a
 * bit is less or greater, whatever follows.
 */
static int put_alternatives(struct oci_import *im, const char *name, const struct oci_rule *rule,
                            size_t from)
{
    struct oci_rule one = *rule;
    int r = 0;

    while (from < rule->n_compares && !is_ordering(&rule->compares[from]))
        from++;
    if (from == rule->n_compares)
        return put_rule(im, name, rule);
    const ait_policy_compare *order = &rule->compares[from];
    ait_policy_compare *c = &one.compares[from];
    uint64_t width = oci_bits_of(name, order->arg);
    bool less = order->op == AIT_POLICY_LT || order->op == AIT_POLICY_LE;
    if (order->value > width) /* the parser of the text refuses that */
        return put_rule(im, name, rule);
    c->op = AIT_POLICY_EQ;
    for (uint64_t bit = width ^ width >> 1; bit && r >= 0; bit >>= 1) {
        if (!(order->value & bit) == less)
            continue;
        c->mask = width & ~(bit - 1);
        c->value = (order->value & c->mask) ^ bit;
        r = put_alternatives(im, name, &one, from + 1);
    }
    if (r < 0 || order->op == AIT_POLICY_LT || order->op == AIT_POLICY_GT)
        return r;
    c->mask = width;
    c->value = order->value;
    return put_alternatives(im, name, &one, from + 1);
}

static unsigned count_orderings(const struct oci_rule *rules)
{
    unsigned n = 0;

    for (; rules; rules = rules->next)
        for (size_t i = 0; i < rules->n_compares; i++)
            n += is_ordering(&rules->compares[i]);
    return n;
}

/* The first one that compares nothing: libseccomp lets it decide, wherever it stands. */
static const struct oci_rule *find_plain(const struct oci_rule *rules)
{
    while (rules && rules->n_compares > 0)
        rules = rules->next;
    return rules;
}

static int put_plain(struct oci_import *im, const char *name, const struct oci_rule *rules,
                     const struct oci_rule *plain)
{
    char theirs[AIT_POLICY_ACTION_SIZE], ours[AIT_POLICY_ACTION_SIZE];

    for (; rules; rules = rules->next) {
        if (ait_policy_action_is_equal(plain->action.meaning, rules->action.meaning))
            continue;
        oci_enter_entry(im, rules->entry);
        oci_note(im, "%s: %s never applies; container runtimes let %s/syscalls/%zu decide, %s (%s)",
                 name, ait_policy_action_text(rules->action.meaning, ours), im->root, plain->entry,
                 rules->n_compares == 0 ? "which comes first" : "which looks at no arguments",
                 ait_policy_action_text(plain->action.meaning, theirs));
    }
    return put_rule(im, name, plain);
}

static int put_call(struct oci_import *im, int number)
{
    const char *name = ait_syscall_name(number);
    const struct oci_rule *plain = find_plain(im->calls[number]);

    if (plain)
        return put_plain(im, name, im->calls[number], plain);
    for (struct oci_rule *rule = im->calls[number]; rule; rule = rule->next)
        narrow(name, rule);
    int r = oci_separate(im, number);
    unsigned orderings = count_orderings(im->calls[number]);
    for (struct oci_rule *rule = im->calls[number]; rule && r >= 0; rule = rule->next)
        r = orderings > 1 ? put_alternatives(im, name, rule, 0) : put_rule(im, name, rule);
    return r;
}

/* "line 7" of the text, which nobody sees, becomes the entry that it was made from. */
static void put_places(const struct oci_import *im, const char *message, char *text, size_t size)
{
    const unsigned head = 2;
    size_t n = 0;

    while (*message && n < size - 1) {
        unsigned line = 0;
        int length = 0;

        if (sscanf(message, "line %u%n", &line, &length) == 1 && line > head &&
            line - head <= im->n_lines) {
            n += (size_t)snprintf(text + n, size - n, "%s/syscalls/%zu", im->root,
                                  im->entries[line - head - 1]);
            message += length;
        } else
            text[n++] = *message++;
    }
    text[n < size ? n : size - 1] = '\0';
}

/* A problem of the text is one of the entry that the line was made from. */
static int translate(struct oci_import *im, int error, const ait_sandbox_problem *of_text)
{
    const unsigned head = 2;
    unsigned line = of_text->line;
    char message[sizeof(of_text->message)];

    *im->path = '\0';
    if (line > head && line - head <= im->n_lines)
        oci_enter_entry(im, im->entries[line - head - 1]);
    put_places(im, of_text->message[0] ? of_text->message : strerror(-error), message,
               sizeof(message));
    (void)oci_fail(im, "%s", message);
    if (im->problem)
        im->problem->error = error;
    return error;
}

int oci_make_policy(struct oci_import *im, ait_policy **ret)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    char *text = NULL, action[AIT_POLICY_ACTION_SIZE];
    size_t size = 0;
    int r = 0;

    im->out = open_memstream(&text, &size);
    im->entries = calloc(LINES_MAX, sizeof(*im->entries));
    if (!im->out || !im->entries)
        r = -ENOMEM;
    if (r >= 0)
        (void)fprintf(im->out, "policy 1\ndefault %s\n",
                      ait_policy_action_text(im->fallback.meaning, action));
    for (int i = 0; i <= im->newest && r >= 0; i++)
        r = put_call(im, i);
    if (im->out && fclose(im->out) == EOF && r >= 0)
        r = -ENOMEM;
    if (r >= 0) {
        r = ait_policy_from_text(ret, im->name, text, size, &problem);
        if (r < 0)
            r = translate(im, r, &problem);
    }
    for (size_t i = 0; i < im->n_notes && r >= 0; i++)
        (void)ait_policy_add_note(*ret, &im->notes[i]);
    free(text);
    free(im->entries);
    return r;
}
