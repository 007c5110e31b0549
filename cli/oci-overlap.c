/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules of one call that hold for the same arguments and give them different actions, such as
 * "argument 0 is 40: errno" and "argument 0 is not 16: allow". libseccomp makes a tree of them, and
 * which of them is met first in it depends on operators, values and masks, but not on their order.
 * So libseccomp itself is asked: a filter of the call's rules is made and run for arguments that
 * both hold for. The arguments of the one that wins are then taken out of the other one, since the
 * policy's rules must not overlap.
 *
 * libseccomp 2.5 gets some filters wrong and does not end with others: it is not asked about
 * orderings, nor about rules that compare with "not equal" and go on to another argument.
 *
 * At the end the rules and the filter are compared with many arguments. Where they differ, the
 * profile is refused.
 */
#include "oci-profile.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "architecture.h"
#include "bpf.h"

#define PIECES_MAX 1024 /* of the rules of a call */
#define ASKED_MAX  16   /* rules that libseccomp is asked about */
#define TRIES      2000 /* arguments to compare at the end */

struct overlap {
    struct oci_import *import;
    int number;
    const struct oci_rule *rules;  /* as they were read */
    uint64_t width[OCI_ARGUMENTS]; /* of what the kernel reads */
    struct sock_filter *program;   /* of libseccomp */
    size_t n;
};

/* ---- arguments that rules hold for ----------------------------------------------------------- */

static bool holds(const ait_policy_compare *c, uint64_t arg)
{
    uint64_t x = arg & c->mask;

    switch ((ait_policy_op)c->op) {
    case AIT_POLICY_EQ:
        return x == c->value;
    case AIT_POLICY_NE:
        return x != c->value;
    case AIT_POLICY_LT:
        return x < c->value;
    case AIT_POLICY_LE:
        return x <= c->value;
    case AIT_POLICY_GT:
        return x > c->value;
    case AIT_POLICY_GE:
        return x >= c->value;
    }
    return false;
}

static bool all_hold(const struct oci_rule *rule, unsigned arg, uint64_t value)
{
    for (size_t i = 0; i < rule->n_compares; i++)
        if (rule->compares[i].arg == arg && !holds(&rule->compares[i], value))
            return false;
    return true;
}

/* A value near that of a comparison; step counts from 0 to N_NEAR - 1. */
#define N_NEAR 70

static uint64_t near(const ait_policy_compare *c, unsigned step, uint64_t width)
{
    switch (step) {
    case 0:
        return c->value;
    case 1:
        return (c->value + 1) & width;
    case 2:
        return (c->value - 1) & width;
    case 3:
        return (c->value | ~c->mask) & width;
    case 4:
        return 0;
    case 5:
        return width;
    default:
        return (c->value ^ UINT64_C(1) << (step - 6)) & width;
    }
}

static bool find_value(const struct overlap *o, const struct oci_rule *a, const struct oci_rule *b,
                       unsigned arg, uint64_t *ret)
{
    const struct oci_rule *of[] = {a, b};

    *ret = 0;
    if (all_hold(a, arg, 0) && all_hold(b, arg, 0))
        return true;
    for (unsigned k = 0; k < 2; k++)
        for (size_t i = 0; i < of[k]->n_compares; i++)
            for (unsigned step = 0; step < N_NEAR && of[k]->compares[i].arg == arg; step++) {
                *ret = near(&of[k]->compares[i], step, o->width[arg]);
                if (all_hold(a, arg, *ret) && all_hold(b, arg, *ret))
                    return true;
            }
    return false;
}

/* Each comparison is about one argument, so the arguments are found one by one. */
static bool find_common(const struct overlap *o, const struct oci_rule *a, const struct oci_rule *b,
                        uint64_t args[OCI_ARGUMENTS])
{
    for (unsigned arg = 0; arg < OCI_ARGUMENTS; arg++)
        if (!find_value(o, a, b, arg, &args[arg]))
            return false;
    return true;
}

static bool is_conflict(const struct overlap *o, const struct oci_rule *a, const struct oci_rule *b,
                        uint64_t args[OCI_ARGUMENTS])
{
    return a->action.word != b->action.word && find_common(o, a, b, args);
}

static bool has_actions(const struct oci_rule *rules)
{
    for (const struct oci_rule *r = rules; r; r = r->next)
        if (r->action.word != rules->action.word)
            return true;
    return false;
}

static bool has_conflict(const struct overlap *o)
{
    uint64_t args[OCI_ARGUMENTS];

    for (const struct oci_rule *a = o->rules; a; a = a->next)
        for (const struct oci_rule *b = a->next; b; b = b->next)
            if (is_conflict(o, a, b, args))
                return true;
    return false;
}

/* ---- libseccomp ------------------------------------------------------------------------------ */

/* All that libseccomp does with actions is to compare them: an errno stands for each. */
static uint32_t errno_of(const struct overlap *o, uint32_t word)
{
    uint32_t n = 1;

    for (const struct oci_rule *r = o->rules; r && r->action.word != word; r = r->next)
        n++;
    return SCMP_ACT_ERRNO(n);
}

static int add_rule(const struct overlap *o, scmp_filter_ctx context, const struct oci_rule *rule)
{
    static const enum scmp_compare ops[] = {
        [AIT_POLICY_EQ] = SCMP_CMP_EQ, [AIT_POLICY_NE] = SCMP_CMP_NE, [AIT_POLICY_LT] = SCMP_CMP_LT,
        [AIT_POLICY_LE] = SCMP_CMP_LE, [AIT_POLICY_GT] = SCMP_CMP_GT, [AIT_POLICY_GE] = SCMP_CMP_GE,
    };
    struct scmp_arg_cmp compares[OCI_COMPARES];

    for (size_t i = 0; i < rule->n_compares; i++) {
        const ait_policy_compare *c = &rule->compares[i];

        compares[i] = c->mask == UINT64_MAX
                          ? (struct scmp_arg_cmp){c->arg, ops[c->op], c->value, 0}
                          : (struct scmp_arg_cmp){c->arg, SCMP_CMP_MASKED_EQ, c->mask, c->value};
    }
    return seccomp_rule_add_array(context, errno_of(o, rule->action.word), o->number,
                                  (unsigned)rule->n_compares, compares);
}

static int export_filter(struct overlap *o, scmp_filter_ctx context)
{
    int file = memfd_create("filter", MFD_CLOEXEC), r = file < 0 ? -errno : 0;

    if (r >= 0)
        r = seccomp_export_bpf(context, file);
    o->program = r >= 0 ? calloc(BPF_MAXINSNS, sizeof(*o->program)) : NULL;
    ssize_t n = o->program ? pread(file, o->program, BPF_MAXINSNS * sizeof(*o->program), 0) : 0;
    if (file >= 0)
        (void)close(file);
    if (r >= 0 && n <= 0)
        r = -ENOMEM;
    o->n = r >= 0 ? (size_t)n / sizeof(*o->program) : 0;
    return r;
}

/* As it is for an entry: what it refuses, the runtimes refuse. */
static int make_filter(struct overlap *o)
{
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
    int r = context ? 0 : -ENOMEM;

    for (const struct oci_rule *rule = o->rules; rule && r >= 0; rule = rule->next) {
        r = add_rule(o, context, rule);
        if (r == -EEXIST || r == -EINVAL) {
            oci_enter_entry(o->import, rule->entry);
            r = oci_fail(o->import,
                         "conflicting: another entry gives %s another action for the same "
                         "arguments, which libseccomp refuses; leave one of them out",
                         ait_syscall_name(o->number));
        }
    }
    if (r >= 0)
        r = export_filter(o, context);
    seccomp_release(context);
    return r;
}

static uint32_t ask(const struct overlap *o, const uint64_t args[OCI_ARGUMENTS])
{
    struct seccomp_data data = {.nr = o->number, .arch = NATIVE_ARCHITECTURE};

    memcpy(data.args, args, sizeof(data.args));
    return bpf_run(o->program, o->n, &data);
}

/* ---- taking a rule out of another ------------------------------------------------------------ */

static ait_policy_compare opposite(ait_policy_compare c)
{
    static const uint8_t ops[] = {
        [AIT_POLICY_EQ] = AIT_POLICY_NE, [AIT_POLICY_NE] = AIT_POLICY_EQ,
        [AIT_POLICY_LT] = AIT_POLICY_GE, [AIT_POLICY_GE] = AIT_POLICY_LT,
        [AIT_POLICY_GT] = AIT_POLICY_LE, [AIT_POLICY_LE] = AIT_POLICY_GT,
    };

    c.op = ops[c.op];
    return c;
}

static bool is_same(const ait_policy_compare *a, const ait_policy_compare *b)
{
    return a->arg == b->arg && a->op == b->op && a->mask == b->mask && a->value == b->value;
}

/* -EEXIST: with the comparison the rule would never hold. */
static int restrict_rule(struct oci_rule *rule, ait_policy_compare compare)
{
    ait_policy_compare excluded = opposite(compare);

    for (size_t i = 0; i < rule->n_compares; i++) {
        const ait_policy_compare *c = &rule->compares[i];

        if (is_same(c, &compare))
            return 0;
        if (is_same(c, &excluded) || (c->arg == compare.arg && c->op == AIT_POLICY_EQ &&
                                      c->mask == UINT64_MAX && !holds(&compare, c->value)))
            return -EEXIST;
    }
    if (rule->n_compares == OCI_COMPARES)
        return -E2BIG;
    rule->compares[rule->n_compares++] = compare;
    return 0;
}

/* Rules of which none is of the list. */
struct pieces {
    size_t n;
    struct oci_rule list[PIECES_MAX];
};

static int add_piece(struct pieces *pieces, const struct oci_rule *rule)
{
    if (pieces->n == PIECES_MAX)
        return -E2BIG;
    pieces->list[pieces->n++] = *rule;
    return 0;
}

/*
 * What is left of a rule without another one: where the first of its comparisons is false, where
 * the first is true and the second is false, and so on.
 */
static int add_rest(struct pieces *pieces, const struct oci_rule *rule,
                    const struct oci_rule *without)
{
    struct oci_rule rest = *rule;
    int r = 0;

    for (size_t i = 0; i < without->n_compares && r >= 0; i++) {
        struct oci_rule piece = rest;

        r = restrict_rule(&piece, opposite(without->compares[i]));
        if (r >= 0)
            r = add_piece(pieces, &piece);
        if (r >= 0 || r == -EEXIST)
            r = restrict_rule(&rest, without->compares[i]);
    }
    return r == -EEXIST ? 0 : r; /* nothing is left for both to hold */
}

/* From the piece at a place on. */
static int take_out(struct pieces *pieces, size_t from, const struct oci_rule *winner)
{
    size_t end = pieces->n;
    int r = 0;

    for (size_t i = from; i < end && r >= 0; i++)
        r = add_rest(pieces, &pieces->list[i], winner);
    memmove(&pieces->list[from], &pieces->list[end], (pieces->n - end) * sizeof(pieces->list[0]));
    pieces->n -= end - from;
    return r;
}

static void note_winner(const struct overlap *o, const struct oci_rule *rule,
                        const struct oci_rule *winner)
{
    char theirs[AIT_POLICY_ACTION_SIZE], ours[AIT_POLICY_ACTION_SIZE];

    oci_enter_entry(o->import, rule->entry);
    oci_note(o->import,
             "%s: for some arguments %s/syscalls/%zu applies, too; libseccomp then decides for %s, "
             "not for %s",
             ait_syscall_name(o->number), o->import->root, winner->entry,
             ait_policy_action_text(winner->action.meaning, theirs),
             ait_policy_action_text(rule->action.meaning, ours));
}

/* A rule without what others win. */
static int separate_rule(const struct overlap *o, const struct oci_rule *rule,
                         struct pieces *pieces)
{
    size_t from = pieces->n;
    uint64_t args[OCI_ARGUMENTS];
    int r = add_piece(pieces, rule);

    for (const struct oci_rule *other = o->rules; other && r >= 0; other = other->next)
        if (is_conflict(o, rule, other, args) && ask(o, args) == errno_of(o, other->action.word)) {
            note_winner(o, rule, other);
            r = take_out(pieces, from, other);
        }
    return r;
}

/* ---- the proof ------------------------------------------------------------------------------- */

static uint64_t chance(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void choose(const struct overlap *o, uint64_t *state, uint64_t args[OCI_ARGUMENTS])
{
    for (unsigned arg = 0; arg < OCI_ARGUMENTS; arg++) {
        unsigned n = 0;

        args[arg] = chance(state) & o->width[arg];
        for (const struct oci_rule *rule = o->rules; rule; rule = rule->next)
            for (size_t i = 0; i < rule->n_compares; i++)
                if (rule->compares[i].arg == arg && chance(state) % ++n == 0)
                    args[arg] = near(&rule->compares[i],
                                     (unsigned)(chance(state) % (chance(state) % 2 ? 4 : N_NEAR)),
                                     o->width[arg]);
    }
}

static uint32_t answer(const struct overlap *o, const struct pieces *pieces,
                       const uint64_t args[OCI_ARGUMENTS])
{
    for (size_t i = 0; i < pieces->n; i++) {
        bool all = true;

        for (unsigned arg = 0; arg < OCI_ARGUMENTS; arg++)
            all = all && all_hold(&pieces->list[i], arg, args[arg]);
        if (all)
            return errno_of(o, pieces->list[i].action.word);
    }
    return SCMP_ACT_ALLOW;
}

static bool is_proved(const struct overlap *o, const struct pieces *pieces)
{
    uint64_t args[OCI_ARGUMENTS], state = 1;

    for (const struct oci_rule *a = o->rules; a; a = a->next)
        for (const struct oci_rule *b = a; b; b = b->next)
            if (find_common(o, a, b, args) && answer(o, pieces, args) != ask(o, args))
                return false;
    for (unsigned i = 0; i < TRIES; i++) {
        choose(o, &state, args);
        if (answer(o, pieces, args) != ask(o, args))
            return false;
    }
    return true;
}

/* ---- all rules ------------------------------------------------------------------------------- */

static int replace(struct oci_rule **at, const struct pieces *pieces)
{
    while (*at) {
        struct oci_rule *next = (*at)->next;

        free(*at);
        *at = next;
    }
    for (size_t i = 0; i < pieces->n; i++, at = &(*at)->next) {
        *at = malloc(sizeof(**at));
        if (!*at)
            return -ENOMEM;
        **at = pieces->list[i];
        (*at)->next = NULL;
    }
    return 0;
}

/* "Not equal" at the end of a branch only: libseccomp orders comparisons by argument. */
static bool is_simple(const struct oci_rule *rule)
{
    unsigned last = 0;

    for (size_t i = 0; i < rule->n_compares; i++)
        if (rule->compares[i].arg > last)
            last = rule->compares[i].arg;
    for (size_t i = 0; i < rule->n_compares; i++) {
        const ait_policy_compare *c = &rule->compares[i];

        if (c->op != AIT_POLICY_EQ && (c->op != AIT_POLICY_NE || c->arg != last))
            return false;
    }
    return true;
}

static bool can_ask(const struct oci_rule *rules)
{
    unsigned n = 0;

    for (; rules; rules = rules->next)
        if (++n > ASKED_MAX || !is_simple(rules))
            return false;
    return true;
}

static int separate(struct overlap *o, struct pieces *pieces)
{
    int r = can_ask(o->rules) ? make_filter(o) : -E2BIG;

    for (const struct oci_rule *rule = o->rules; rule && r >= 0; rule = rule->next)
        r = separate_rule(o, rule, pieces);
    if (r == -E2BIG || (r >= 0 && !is_proved(o, pieces))) {
        oci_enter_entry(o->import, o->rules->entry);
        r = oci_fail(o->import,
                     "conflicting: entries of %s, of which this is the first, give the same "
                     "arguments different actions, and it cannot be told which one counts; write "
                     "entries that exclude each other",
                     ait_syscall_name(o->number));
    }
    return r;
}

int oci_separate(struct oci_import *im, int number)
{
    struct overlap o = {.import = im, .number = number, .rules = im->calls[number]};
    struct pieces *pieces;

    if (!has_actions(o.rules))
        return 0;
    for (unsigned arg = 0; arg < OCI_ARGUMENTS; arg++)
        o.width[arg] = UINT64_MAX;
    for (const struct oci_rule *rule = o.rules; rule; rule = rule->next)
        for (size_t i = 0; i < rule->n_compares; i++) {
            unsigned arg = rule->compares[i].arg;

            o.width[arg] = oci_bits_of(ait_syscall_name(number), arg);
        }
    if (!has_conflict(&o))
        return 0;
    pieces = calloc(1, sizeof(*pieces));
    int r = pieces ? separate(&o, pieces) : -ENOMEM;
    if (r >= 0)
        r = replace(&im->calls[number], pieces);
    free(pieces);
    free(o.program);
    return r;
}
