/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "scan.h"
#include "problem.h"
#include "syscalls/syscalls.h"

#define NAME_SIZE   64
#define QUOTED_MAX  60
#define QUOTED(s)   (int)((s)->n < QUOTED_MAX ? (s)->n : QUOTED_MAX), (s)->text
#define ARGUMENTS_N 6

struct parser {
    struct draft *draft;
    const struct reading *reading;
    struct layer *layer;
    ait_sandbox_problem *problem;
    struct scan scan;
    unsigned line;
    bool has_header;
    bool has_rules; /* after which include is not allowed */
};

/* A rule of which the name has been read. */
struct statement {
    struct place place;
    bool negated;
    int number; /* of the call; -1: this architecture has none */
    const struct syscall_group *group;
    struct draft_rule *rule;
    ait_policy_action action;
};

__attribute__((format(printf, 4, 5))) static int fail(struct parser *p, unsigned column, int error,
                                                      const char *format, ...)
{
    char message[sizeof(p->problem->message)];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    return problem_at(p->problem, error, p->reading->source->name, p->line, column, "%s", message);
}

static int fail_here(struct parser *p, const char *message)
{
    const struct scan *s = &p->scan;

    if (s->kind == SCAN_END)
        return fail(p, s->column, -EINVAL, "%s, but the line ends here", message);
    return fail(p, s->column, -EINVAL, "%s, not '%.*s'", message, QUOTED(s));
}

static void text_freep(char **p)
{
    free(*p);
}

static struct place here(const struct parser *p)
{
    return (struct place){p->reading->source, p->line, p->scan.column};
}

static bool accept_symbol(struct parser *p, const char *symbol)
{
    if (!scan_is(&p->scan, SCAN_SYMBOL, symbol))
        return false;
    scan_next(&p->scan);
    return true;
}

static void copy_name(const struct scan *scan, char name[static NAME_SIZE])
{
    (void)snprintf(name, NAME_SIZE, "%.*s", (int)(scan->n < NAME_SIZE ? scan->n : NAME_SIZE - 1),
                   scan->text);
}

static int parse_end(struct parser *p)
{
    return p->scan.kind == SCAN_END ? 0 : fail_here(p, "the end of the line is expected");
}

/* ---- actions --------------------------------------------------------------------------------- */

static int parse_error(struct parser *p, ait_policy_action *action)
{
    const struct scan *s = &p->scan;

    action->error = s->kind == SCAN_WORD || s->kind == SCAN_NUMBER
                        ? (uint16_t)policy_errno_from_text(s->text, s->n)
                        : 0;
    if (action->error == 0)
        return fail_here(p,
                         "an error's name is expected, like EPERM, or its number, from 1 to 4095");
    scan_next(&p->scan);
    return accept_symbol(p, ")") ? 0 : fail_here(p, "')' is expected");
}

static int parse_action(struct parser *p, ait_policy_action *ret)
{
    if (p->scan.kind != SCAN_WORD || !policy_action_kind(p->scan.text, p->scan.n, ret))
        return fail_here(
            p, "an action is expected: allow, errno(NAME), enosys, log, trap, notify or kill");
    bool is_errno = scan_is(&p->scan, SCAN_WORD, "errno");
    bool takes_error = is_errno || ret->kind == AIT_POLICY_NOTIFY;
    scan_next(&p->scan);
    if (takes_error && accept_symbol(p, "("))
        return parse_error(p, ret);
    return is_errno ? fail_here(
                          p, "'(' and an error's name are expected after errno, as in errno(EPERM)")
                    : 0;
}

/* ---- conditions ------------------------------------------------------------------------------ */

static int parse_value(struct parser *p, struct scan_value *ret)
{
    unsigned column = p->scan.column;
    const char *wrong = scan_read_value(&p->scan, ret);

    if (!wrong)
        return 0;
    if (p->scan.kind != SCAN_WORD)
        return fail_here(p, wrong);
    const char *nearest = policy_constant_nearest(p->scan.text, p->scan.n);
    return fail(p, p->scan.column > column ? p->scan.column : column, -EINVAL,
                "%s '%.*s'%s%s%s; its number can be written as well", wrong, QUOTED(&p->scan),
                nearest ? ": is it " : "", nearest ? nearest : "", nearest ? "?" : "");
}

/* Fits a value into the bits of an argument that the kernel reads. */
static int narrow(struct parser *p, unsigned column, uint64_t bits, struct scan_value *value)
{
    if (value->value <= bits)
        return 0;
    /* The sign is the highest bit that is left. */
    if (!value->negative || ~value->value > bits >> 1)
        return fail(p, column, -EINVAL,
                    "the kernel reads %d bits of this argument, and the value has more",
                    __builtin_popcountll(bits));
    value->value &= bits;
    return 0;
}

static int parse_argument(struct parser *p, uint8_t *ret)
{
    const struct scan *s = &p->scan;

    if (s->kind != SCAN_WORD || s->n != 4 || memcmp(s->text, "arg", 3) != 0 || s->text[3] < '0' ||
        s->text[3] >= '0' + ARGUMENTS_N)
        return fail_here(p, "an argument is expected, arg0 to arg5");
    *ret = (uint8_t)(s->text[3] - '0');
    scan_next(&p->scan);
    return 0;
}

static int parse_op(struct parser *p, uint8_t *ret)
{
    static const char *const ops[] = {
        [AIT_POLICY_EQ] = "==", [AIT_POLICY_NE] = "!=", [AIT_POLICY_LT] = "<",
        [AIT_POLICY_LE] = "<=", [AIT_POLICY_GT] = ">",  [AIT_POLICY_GE] = ">=",
    };

    for (uint8_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        if (accept_symbol(p, ops[i])) {
            *ret = i;
            return 0;
        }
    return fail_here(p, "a comparison is expected: ==, !=, <, <=, > or >=");
}

static int parse_mask(struct parser *p, uint64_t bits, uint64_t *mask)
{
    struct scan_value value;

    *mask = bits;
    if (!accept_symbol(p, "&"))
        return 0;
    unsigned column = p->scan.column;
    int e = parse_value(p, &value);
    if (e >= 0)
        e = narrow(p, column, bits, &value);
    if (e < 0)
        return e;
    if (value.value == 0)
        return fail(p, column, -EINVAL, "a mask of 0 leaves nothing to compare");
    *mask = value.value;
    return 0;
}

/* argN, argN & MASK, or that in parentheses. */
static int parse_left(struct parser *p, int number, ait_policy_compare *compare, uint64_t *bits)
{
    bool nested = accept_symbol(p, "(");
    int e = parse_argument(p, &compare->arg);

    if (e < 0)
        return e;
    *bits = syscall_argument_mask(number, compare->arg);
    e = parse_mask(p, *bits, &compare->mask);
    if (e < 0 || !nested)
        return e;
    return accept_symbol(p, ")") ? 0 : fail_here(p, "')' is expected");
}

static int check_compare(struct parser *p, unsigned column, const ait_policy_compare *compare)
{
    if (compare_never(compare))
        return fail(p, column, -EINVAL,
                    "this is never true: the value %#llx has bits outside the mask %#llx",
                    (unsigned long long)compare->value, (unsigned long long)compare->mask);
    if (compare_always(compare))
        return fail(p, column, -EINVAL,
                    "this is always true, with the value %#llx and the mask %#llx; leave it out",
                    (unsigned long long)compare->value, (unsigned long long)compare->mask);
    return 0;
}

static int parse_compare(struct parser *p, int number, ait_policy_compare *ret)
{
    ait_policy_compare compare = {0};
    struct scan_value value;
    unsigned column = p->scan.column;
    uint64_t bits;
    int e = parse_left(p, number, &compare, &bits);

    if (e >= 0)
        e = parse_op(p, &compare.op);
    unsigned value_column = p->scan.column;
    if (e >= 0)
        e = parse_value(p, &value);
    if (e >= 0 && value.negative && compare_is_ordering(&compare))
        e = fail(p, value_column, -EINVAL,
                 "<, <=, > and >= compare unsigned values; a negative value has no meaning here");
    if (e >= 0)
        e = narrow(p, value_column, bits, &value);
    if (e < 0)
        return e;
    compare.value = value.value;
    e = check_compare(p, column, &compare);
    if (e >= 0)
        *ret = compare;
    return e;
}

/* Adds a comparison, unless it exists. columns are its possible places in an error message. */
static int add_compare(struct parser *p, unsigned column, struct draft_rule *rule,
                       const ait_policy_compare *compare)
{
    for (unsigned i = 0; i < rule->n_compares; i++)
        if (compare_contradicts(&rule->compares[i], compare))
            return fail(p, column, -EINVAL,
                        "this rule never applies: two of its conditions exclude each other");
    if (rule->n_compares == POLICY_COMPARES_MAX)
        return fail(p, column, -E2BIG, "more than %d conditions in one rule", POLICY_COMPARES_MAX);
    rule->compares[rule->n_compares++] = *compare;
    return 0;
}

static int parse_conditions(struct parser *p, struct statement *st)
{
    st->rule = calloc(1, sizeof(*st->rule));
    if (!st->rule)
        return -ENOMEM;
    st->rule->place = st->place;
    do {
        ait_policy_compare compare;
        unsigned column = p->scan.column;
        int e = parse_compare(p, st->number, &compare);
        if (e >= 0)
            e = add_compare(p, column, st->rule, &compare);
        if (e < 0)
            return e;
    } while (accept_symbol(p, "&&"));
    if (scan_is(&p->scan, SCAN_SYMBOL, "||"))
        return fail_here(p, "conditions are joined by &&; for 'or' write a second rule");
    return 0;
}

/* ---- rules ----------------------------------------------------------------------------------- */

static int parse_name(struct parser *p, struct statement *st)
{
    char name[NAME_SIZE];

    copy_name(&p->scan, name);
    st->number = ait_syscall_from_name(name);
    if (st->number == -EOPNOTSUPP) {
        if (!p->reading->preset)
            draft_note(p->draft, st->place,
                       "this architecture has no system call %s: the rule is skipped", name);
        st->number = -1;
    }
    if (st->number < -1) {
        const char *nearest = syscall_nearest(name);
        return fail(p, p->scan.column, -EINVAL, "unknown system call '%.*s'%s%s%s",
                    QUOTED(&p->scan), nearest ? ": is it " : "", nearest ? nearest : "",
                    nearest ? "?" : "");
    }
    scan_next(&p->scan);
    return 0;
}

static int parse_group(struct parser *p, struct statement *st)
{
    char name[NAME_SIZE];

    copy_name(&p->scan, name);
    st->group = syscall_group_find(name);
    if (!st->group) {
        const char *nearest = syscall_nearest(name);
        return fail(p, p->scan.column, -EINVAL, "unknown group '%.*s'%s%s%s", QUOTED(&p->scan),
                    nearest ? ": is it " : "", nearest ? nearest : "", nearest ? "?" : "");
    }
    scan_next(&p->scan);
    return 0;
}

static int say_action(struct parser *p, const struct statement *st)
{
    struct layer_call *call = &p->layer->calls[st->number];

    if (call->has_action && !ait_policy_action_is_equal(call->action, st->action))
        return fail(p, st->place.column, -EINVAL,
                    "conflicting: line %u gives %s another action; leave one of them out",
                    call->action_place.line, ait_syscall_name(st->number));
    if (!call->has_action)
        call->action_place = st->place;
    call->has_action = true;
    call->action = st->action;
    return 0;
}

static int say_rule(struct parser *p, struct statement *st)
{
    struct layer_call *call = &p->layer->calls[st->number];

    if (call->n_rules == POLICY_RULES_A_CALL || p->draft->n_rules == POLICY_RULES_MAX)
        return fail(
            p, st->place.column, -E2BIG,
            "too many rules that look at arguments: at most %d for one system call, and %d in all",
            POLICY_RULES_A_CALL, POLICY_RULES_MAX);
    if (!call->end)
        call->end = &call->rules;
    st->rule->action = st->action;
    *call->end = st->rule;
    call->end = &st->rule->next;
    call->n_rules++;
    p->draft->n_rules++;
    st->rule = NULL;
    return 0;
}

struct group_saying {
    struct layer *layer;
    const struct statement *st;
};

static int say_group_member(int number, void *userdata)
{
    const struct group_saying *g = userdata;
    struct layer_call *call = &g->layer->calls[number];

    call->group = g->st->negated ? LAYER_GROUP_DROP : LAYER_GROUP_ACTION;
    call->group_action = g->st->action;
    return 0;
}

static int say(struct parser *p, struct statement *st)
{
    if (st->group) {
        struct group_saying g = {p->layer, st};
        return syscall_group_expand(st->group->name, say_group_member, &g);
    }
    if (st->number < 0)
        return 0;
    if (st->rule)
        return say_rule(p, st);
    if (!st->negated)
        return say_action(p, st);
    p->layer->calls[st->number].dropped = true;
    p->layer->calls[st->number].drop_place = st->place;
    return 0;
}

static int parse_rest(struct parser *p, struct statement *st)
{
    int e = 0;

    if (st->negated)
        return p->scan.kind == SCAN_END ? 0 : fail_here(p, "nothing may follow a name after '!'");
    if (p->scan.kind == SCAN_WORD || scan_is(&p->scan, SCAN_SYMBOL, "(")) {
        if (st->group)
            return fail_here(
                p,
                "a group takes no conditions: ':' and an action, or the line's end, are expected");
        e = parse_conditions(p, st);
    }
    if (e >= 0 && accept_symbol(p, ":"))
        return parse_action(p, &st->action);
    if (e >= 0 && p->scan.kind != SCAN_END)
        return fail_here(p, "':' and an action are expected, or a condition like arg0 == 1");
    return e;
}

static int parse_rule(struct parser *p)
{
    struct statement st = {.place = here(p), .number = -1};

    p->has_rules = true;
    if (++p->draft->n_lines > POLICY_LINES_MAX)
        return fail(p, 0, -E2BIG, "more than %d rules; use groups", POLICY_LINES_MAX);
    st.negated = accept_symbol(p, "!");
    int e = p->scan.kind == SCAN_GROUP  ? parse_group(p, &st)
            : p->scan.kind == SCAN_WORD ? parse_name(p, &st)
                                        : fail_here(p, "a system call or a group is expected");
    if (e >= 0)
        e = parse_rest(p, &st);
    if (e >= 0)
        e = parse_end(p);
    if (e >= 0)
        e = say(p, &st);
    free(st.rule);
    return e;
}

/* ---- the other statements -------------------------------------------------------------------- */

static int parse_header(struct parser *p)
{
    if (p->has_header)
        return fail(p, p->scan.column, -EINVAL,
                    "there is a line 'policy' before this one; leave one of them out");
    scan_next(&p->scan);
    if (!scan_is(&p->scan, SCAN_NUMBER, "1"))
        return fail_here(p, "the language's version is expected; this program knows version 1");
    p->has_header = true;
    scan_next(&p->scan);
    return parse_end(p);
}

static int parse_default(struct parser *p)
{
    if (p->layer->has_fallback)
        return fail(p, p->scan.column, -EINVAL,
                    "there is a line 'default' before this one; leave one of them out");
    scan_next(&p->scan);
    int e = parse_action(p, &p->layer->fallback);
    if (e >= 0)
        e = parse_end(p);
    if (e >= 0)
        p->layer->has_fallback = true;
    return e;
}

static int parse_include(struct parser *p)
{
    struct place place = here(p);

    if (p->has_rules)
        return fail(p, place.column, -EINVAL, "include must stand before the first rule of a file");
    scan_next(&p->scan);
    if (p->scan.kind == SCAN_END)
        return fail_here(p, "a preset or a path is expected");
    bool is_path = p->scan.kind == SCAN_STRING;
    if (!is_path)
        scan_path(&p->scan);
    if (p->scan.n == 0)
        return fail_here(p, "a preset or a path is expected");
    if (memchr(p->scan.text, '"', p->scan.n))
        return fail(p, p->scan.column, -EINVAL, "a '\"' that is not closed; add the closing '\"'");
    __attribute__((cleanup(text_freep))) char *what = malloc(p->scan.n + 1);
    if (!what)
        return -ENOMEM;
    (void)snprintf(what, p->scan.n + 1, "%.*s", (int)p->scan.n, p->scan.text);
    scan_next(&p->scan);
    int e = parse_end(p);
    return e < 0 ? e : p->reading->include(p->draft, p->reading, place, what, is_path, p->problem);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static int parse_statement(struct parser *p)
{
    static const struct {
        const char *word;
        int (*parse)(struct parser *p);
    } statements[] = {
        {"policy", parse_header}, {"default", parse_default}, {"include", parse_include}};
    const struct scan *s = &p->scan;

    if (s->kind == SCAN_END)
        return 0;
    if (!p->has_header && !scan_is(s, SCAN_WORD, "policy"))
        return fail(p, s->column, -EINVAL, "the first line must be 'policy 1'");
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
        if (scan_is(s, SCAN_WORD, statements[i].word))
            return statements[i].parse(p);
    return parse_rule(p);
}

static int parse_line(struct parser *p, const char *line, size_t n)
{
    const char *nul = memchr(line, 0, n);

    if (nul)
        return fail(p, (unsigned)(nul - line) + 1, -EINVAL, "a NUL byte; a policy is text");
    if (n > SCAN_LINE_MAX)
        return fail(p, SCAN_LINE_MAX + 1, -EINVAL, "a line of more than %d characters",
                    SCAN_LINE_MAX);
    scan_begin(&p->scan, line, n);
    return parse_statement(p);
}

static int parse_lines(struct parser *p, const char *text, size_t length)
{
    const char *end = text + length;

    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((newline ? newline : end) - text);
        p->line++;
        int e = parse_line(p, text, n);
        if (e < 0)
            return e;
        text = newline ? newline + 1 : end;
    }
    if (!p->has_header)
        return problem_at(p->problem, -EINVAL, p->reading->source->name, p->line ? p->line : 1, 0,
                          "an empty policy: the first line must be 'policy 1'");
    return 0;
}

int policy_parse_text(struct draft *draft, const struct reading *reading, const char *text,
                      size_t length, ait_sandbox_problem *problem)
{
    __attribute__((cleanup(layer_freep))) struct layer *layer = calloc(1, sizeof(*layer));
    struct parser p = {.draft = draft, .reading = reading, .layer = layer, .problem = problem};

    if (!layer)
        return -ENOMEM;
    if (length > POLICY_TEXT_MAX)
        return problem_at(problem, -E2BIG, reading->source->name, 0, 0, "larger than %d bytes",
                          POLICY_TEXT_MAX);
    layer->own = !reading->preset;
    size_t mark = text ? text_mark(text, length) : 0;
    int e = parse_lines(&p, text + mark, length - mark);
    if (e >= 0)
        e = draft_put(draft, layer, problem);
    if (e >= 0 && reading->depth == 0 && !reading->preset)
        draft_note_families(draft, layer);
    return e;
}
