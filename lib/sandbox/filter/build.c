/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "architecture.h"
#include "build.h"
#include "rule.h"
#include "policy/model.h"

#define N_CALLS (SYSCALL_NEWEST + 1)

/* Alternatives of one test: libseccomp's time grows with more than their square. */
#define ALTERNATIVES_MAX 65

/* What libseccomp gets as the answer. */
#define SAYS_FOREIGN 1
#define SAYS_YES     2
#define SAYS_NO      3
#define SAYS_FIRST   4 /* and on: the answers of the first part */

#define PARTS_MAX 1024

/* Where a program continues: at a part, which comes later, or at an answer. */
struct target {
    bool jump;
    uint32_t to; /* the part's index or the answer */
};

/*
 * A part of the program. The first part answers all calls whose arguments do not matter. Each other
 * part is a test of one call.
 */
struct part {
    size_t begin, end;
    struct target yes, no;
};

struct builder {
    const struct filter_terms *terms;
    char *failure;
    int scratch;
    uint32_t otherwise[N_CALLS]; /* the answer to a call if none of its rules applies, or always */
    uint16_t entry[N_CALLS];     /* the part that is its first test, or 0 */
    unsigned n_answers;
    uint32_t answers[N_CALLS];
    unsigned n_parts;
    struct part parts[PARTS_MAX];
    size_t n;
    struct sock_filter code[BPF_MAXINSNS];
};

static int __attribute__((format(printf, 3, 4)))
fail(char *failure, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(failure, PROGRAM_FAILURE_MAX, format, args);
    va_end(args);
    return error;
}

static int too_long(const struct builder *b)
{
    return fail(b->failure, -E2BIG,
                "the policy needs more instructions than the %d that a program may have; use fewer "
                "rules that look at arguments",
                BPF_MAXINSNS);
}

/* ---- a part, made by libseccomp -------------------------------------------------------------- */

static int begin_part(struct builder *b, uint32_t says, unsigned optimize, scmp_filter_ctx *ret)
{
    scmp_filter_ctx context;

    if (b->n_parts == PARTS_MAX)
        return too_long(b);
    context = seccomp_init(SCMP_ACT_ERRNO(says));
    if (!context)
        return fail(b->failure, -ENOMEM, "libseccomp cannot be initialized");
    int r = seccomp_attr_set(context, SCMP_FLTATR_API_SYSRAWRC, 1);
    if (r == 0)
        r = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(SAYS_FOREIGN));
    if (r == 0)
        r = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, optimize);
    if (r < 0) {
        seccomp_release(context);
        return fail(b->failure, r, "libseccomp refuses an attribute: %s", strerrordesc_np(-r));
    }
    *ret = context;
    return 0;
}

static int add(struct builder *b, scmp_filter_ctx context, uint32_t says, int number, unsigned n,
               const struct scmp_arg_cmp *compares)
{
    int r = seccomp_rule_add_exact_array(context, SCMP_ACT_ERRNO(says), number, n, compares);

    return r < 0 ? fail(b->failure, r, "libseccomp refuses a rule of system call %d: %s", number,
                        strerrordesc_np(-r))
                 : 0;
}

static int read_back(struct builder *b)
{
    off_t size = lseek(b->scratch, 0, SEEK_END);

    if (size < 0)
        return fail(b->failure, -errno, "a part of the program cannot be read back: %s",
                    strerrordesc_np(errno));
    size_t n = (size_t)size / sizeof(struct sock_filter);
    if (b->n + n > BPF_MAXINSNS)
        return too_long(b);
    if (pread(b->scratch, &b->code[b->n], (size_t)size, 0) != size ||
        lseek(b->scratch, 0, SEEK_SET) < 0 || ftruncate(b->scratch, 0) < 0)
        return fail(b->failure, -EIO, "a part of the program cannot be read back");
    b->n += n;
    return 0;
}

static bool jumps(const struct sock_filter *f, uint32_t a)
{
    switch (BPF_OP(f->code)) {
    case BPF_JEQ:
        return a == f->k;
    case BPF_JGT:
        return a > f->k;
    case BPF_JGE:
        return a >= f->k;
    default:
        return (a & f->k) != 0;
    }
}

/*
 * The number of instructions at the start that find out what is already known: that the
 * architecture is ours, and which call it is. The first instruction that loads something else, or
 * answers, begins the part of one call.
 */
static size_t known_beginning(const struct sock_filter *code, size_t n, uint32_t number)
{
    uint32_t a = 0;
    size_t i = 0;

    while (i < n) {
        const struct sock_filter *f = &code[i];
        if (f->code == (BPF_LD | BPF_W | BPF_ABS) && f->k == offsetof(struct seccomp_data, arch))
            a = NATIVE_ARCHITECTURE;
        else if (f->code == (BPF_LD | BPF_W | BPF_ABS) && f->k == offsetof(struct seccomp_data, nr))
            a = number;
        else if (BPF_CLASS(f->code) != BPF_JMP)
            return f->code == (BPF_LD | BPF_W | BPF_ABS) || BPF_CLASS(f->code) == BPF_RET ? i : 0;
        else if (BPF_OP(f->code) == BPF_JA)
            i += f->k;
        else if (BPF_SRC(f->code) != BPF_K)
            return 0;
        else
            i += jumps(f, a) ? f->jt : f->jf;
        i++;
    }
    return 0;
}

/* number: of the only call that comes here; below 0: all do. Takes the context. */
static int end_part(struct builder *b, scmp_filter_ctx context, int number, struct target yes,
                    struct target no)
{
    int r = seccomp_export_bpf(context, b->scratch);

    seccomp_release(context);
    if (r < 0)
        return fail(b->failure, r, "libseccomp cannot compile the rules: %s", strerrordesc_np(-r));
    struct part *part = &b->parts[b->n_parts++];
    *part = (struct part){.begin = b->n, .yes = yes, .no = no};
    r = read_back(b);
    if (r >= 0 && number >= 0) {
        struct sock_filter *code = &b->code[part->begin];
        size_t known = known_beginning(code, b->n - part->begin, (uint32_t)number);
        b->n -= known;
        memmove(code, code + known, (b->n - part->begin) * sizeof(*code));
    }
    part->end = b->n;
    return r;
}

/* ---- the first part: calls whose arguments do not matter ------------------------------------- */

static uint32_t answer_of(const struct builder *b, ait_policy_action action)
{
    return filter_action(action, b->terms->deny);
}

/* How many calls of the first part answer like this one. */
static unsigned like(const struct builder *b, int number)
{
    unsigned n = 0;

    for (int i = 0; i < N_CALLS && b->entry[number] == 0; i++)
        n += b->entry[i] == 0 && b->otherwise[i] == b->otherwise[number];
    return n;
}

/* The most common answer needs no rules. */
static uint32_t most_common(const struct builder *b)
{
    int best = 0;

    for (int i = 1; i < N_CALLS; i++)
        if (b->otherwise[i] != b->otherwise[best] && like(b, i) > like(b, best))
            best = i;
    return b->otherwise[best];
}

static uint32_t says(struct builder *b, uint32_t answer)
{
    unsigned i = 0;

    while (i < b->n_answers && b->answers[i] != answer)
        i++;
    if (i == b->n_answers)
        b->answers[b->n_answers++] = answer;
    return SAYS_FIRST + i;
}

static int add_first_part(struct builder *b)
{
    uint32_t common = most_common(b);
    scmp_filter_ctx context;
    int r = begin_part(b, says(b, common), 2, &context);

    for (int i = 0; i < N_CALLS && r == 0; i++)
        if (b->entry[i] == 0 && b->otherwise[i] != common) {
            r = add(b, context, says(b, b->otherwise[i]), i, 0, NULL);
            if (r < 0)
                seccomp_release(context);
        }
    const struct target nowhere = {.to = SECCOMP_RET_KILL_PROCESS};
    return r < 0 ? r : end_part(b, context, -1, nowhere, nowhere);
}

/* ---- tests of arguments ---------------------------------------------------------------------- */

static int add_order(struct builder *b, scmp_filter_ctx context, int number,
                     const ait_policy_compare *order)
{
    struct scmp_arg_cmp prefixes[RULE_PREFIXES_MAX];
    unsigned n = rule_prefixes(order, prefixes);
    int r = 0;

    for (unsigned i = 0; i < n && r == 0; i++)
        r = add(b, context, SAYS_YES, number, 1, &prefixes[i]);
    return r;
}

static int add_test(struct builder *b, int number, const struct rule_test *tests, unsigned n,
                    struct target yes, struct target no)
{
    scmp_filter_ctx context;
    int r = begin_part(b, SAYS_NO, 1, &context);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < n && r == 0; i++)
        r = tests[i].order ? add_order(b, context, number, tests[i].order)
                           : add(b, context, SAYS_YES, number, tests[i].n, tests[i].compares);
    if (r < 0) {
        seccomp_release(context);
        return r;
    }
    return end_part(b, context, number, tests[0].negative ? no : yes, tests[0].negative ? yes : no);
}

/*
 * The rules of a call that have an effect, as tests. Rules with the same arguments and action are
 * one test with alternatives.
 */
struct step {
    uint32_t answer;
    unsigned n_tests;
    bool alternatives; /* any of the tests holds; else all of them */
    struct rule_test *tests;
};

struct steps {
    unsigned n;
    struct step items[POLICY_RULES_A_CALL];
    unsigned n_tests;
    struct rule_test tests[POLICY_RULES_A_CALL * (POLICY_COMPARES_MAX + 1)];
};

static bool looks_at_the_same(const struct rule_test *a, const struct rule_test *b)
{
    if (a->order || b->order || a->negative || b->negative || a->n != b->n)
        return false;
    for (unsigned i = 0; i < a->n; i++)
        if (a->compares[i].arg != b->compares[i].arg || a->compares[i].op != SCMP_CMP_MASKED_EQ ||
            b->compares[i].op != SCMP_CMP_MASKED_EQ)
            return false;
    return true;
}

static bool extends(const struct step *step, uint32_t answer, const struct rule_tests *tests)
{
    return tests->n == 1 && step->answer == answer && (step->alternatives || step->n_tests == 1) &&
           step->n_tests < ALTERNATIVES_MAX && looks_at_the_same(&step->tests[0], &tests->tests[0]);
}

static void add_step(struct steps *steps, uint32_t answer, const struct rule_tests *tests)
{
    struct step *last = steps->n > 0 ? &steps->items[steps->n - 1] : NULL;

    if (last && extends(last, answer, tests)) {
        last->alternatives = true;
        last->n_tests++;
    } else
        steps->items[steps->n++] = (struct step){
            .answer = answer, .n_tests = tests->n, .tests = &steps->tests[steps->n_tests]};
    memcpy(&steps->tests[steps->n_tests], tests->tests, tests->n * sizeof(tests->tests[0]));
    steps->n_tests += tests->n;
}

/* Returns the answer if no step applies. */
static uint32_t make_steps(const struct builder *b, const struct policy_call *call,
                           struct steps *ret)
{
    uint32_t otherwise = answer_of(b, call->otherwise);

    ret->n = ret->n_tests = 0;
    for (unsigned i = 0; i < call->n_rules; i++) {
        struct rule_tests tests;
        uint32_t answer = answer_of(b, call->rules[i].action);
        rule_tests(&call->rules[i], &tests);
        if (tests.never)
            continue;
        if (tests.n == 0) {
            otherwise = answer;
            break;
        }
        add_step(ret, answer, &tests);
    }
    while (ret->n > 0 && ret->items[ret->n - 1].answer == otherwise)
        ret->n--;
    return otherwise;
}

/* Where the last test of a step continues if the step does not apply: after all its parts. */
static int add_step_parts(struct builder *b, int number, const struct step *step, struct target no)
{
    const struct target answer = {.to = step->answer};
    int r = 0;

    if (step->alternatives)
        return add_test(b, number, step->tests, step->n_tests, answer, no);
    for (unsigned i = 0; i < step->n_tests && r == 0; i++) {
        const struct target next = {.jump = true, .to = b->n_parts + 1};
        r = add_test(b, number, &step->tests[i], 1, i + 1 < step->n_tests ? next : answer, no);
    }
    return r;
}

static int add_steps(struct builder *b, int number, const struct steps *steps)
{
    int r = 0;

    for (unsigned i = 0; i < steps->n && r == 0; i++) {
        unsigned n = steps->items[i].alternatives ? 1 : steps->items[i].n_tests;
        struct target no = {.jump = true, .to = b->n_parts + n};
        if (i + 1 == steps->n)
            no = (struct target){.to = b->otherwise[number]};
        r = add_step_parts(b, number, &steps->items[i], no);
    }
    return r;
}

/* ---- where parts go on ----------------------------------------------------------------------- */

static int put_target(struct builder *b, size_t i, struct target target)
{
    struct sock_filter *at = &b->code[i];

    *at = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, target.to);
    if (!target.jump)
        return 0;
    if (target.to >= b->n_parts || b->parts[target.to].begin <= i)
        return fail(b->failure, -EBADMSG, "part %u of the program is not where it is expected",
                    target.to);
    *at = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA,
                                       (uint32_t)(b->parts[target.to].begin - i - 1));
    return 0;
}

static int put_answer(struct builder *b, const struct part *part, size_t i)
{
    uint32_t k = b->code[i].k, what = k & SECCOMP_RET_DATA;

    if (b->code[i].code == (BPF_RET | BPF_K) &&
        (k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO) {
        if (what == SAYS_FOREIGN)
            return put_target(b, i, (struct target){.to = SECCOMP_RET_KILL_PROCESS});
        if (what == SAYS_YES)
            return put_target(b, i, part->yes);
        if (what == SAYS_NO)
            return put_target(b, i, part->no);
        if (what >= SAYS_FIRST && what - SAYS_FIRST < b->n_answers)
            return put_target(b, i, (struct target){.to = b->answers[what - SAYS_FIRST]});
    }
    return fail(b->failure, -EBADMSG, "libseccomp produced an unexpected answer: %#x", k);
}

static int put_answers(struct builder *b)
{
    int r = 0;

    for (unsigned p = 0; p < b->n_parts; p++)
        for (size_t i = b->parts[p].begin; i < b->parts[p].end && r == 0; i++)
            if (BPF_CLASS(b->code[i].code) == BPF_RET)
                r = put_answer(b, &b->parts[p], i);
    return r;
}

/* ---- the head -------------------------------------------------------------------------------- */

struct head {
    const struct builder *b;
    size_t n;
    struct sock_filter code[BPF_MAXINSNS];
    bool overflow;
};

static void emit(struct head *head, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
    if (head->n == BPF_MAXINSNS) {
        head->overflow = true;
        return;
    }
    head->code[head->n++] = (struct sock_filter){code, jt, jf, k};
}

static void emit_load(struct head *head, size_t offset)
{
    emit(head, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void emit_return(struct head *head, uint32_t answer)
{
    emit(head, BPF_RET | BPF_K, answer, 0, 0);
}

/* Offsets of a word of an argument: this layer knows little-endian machines only. */
#define ARG_LOW(i)  (offsetof(struct seccomp_data, args) + 8 * (i))
#define ARG_HIGH(i) (ARG_LOW(i) + 4)
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the halves of arguments are the other way round"
#endif

/*
 * Two words. If one differs, the program continues at the load of the number; only these calls pay
 * more than a comparison for it.
 */
static void emit_exec_key(struct head *head, int number)
{
    uint64_t key = head->b->terms->exec_key;

    emit(head, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 6);
    emit_load(head, ARG_LOW(5));
    emit(head, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)key, 0, 3);
    emit_load(head, ARG_HIGH(5));
    emit(head, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(key >> 32), 0, 1);
    emit_return(head, SECCOMP_RET_ALLOW);
    emit_load(head, offsetof(struct seccomp_data, nr));
}

static void emit_send_key(struct head *head)
{
    emit(head, BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 0, 4);
    emit_load(head, ARG_HIGH(0));
    emit(head, BPF_JMP | BPF_JEQ | BPF_K, head->b->terms->send_key, 0, 1);
    emit_return(head, SECCOMP_RET_ALLOW);
    emit_load(head, offsetof(struct seccomp_data, nr));
}

/* While only the head's size is asked for, parts have no place. */
static void emit_jump(struct head *head, unsigned part)
{
    size_t begin = head->b->parts[part].begin;
    emit(head, BPF_JMP | BPF_JA, begin > head->n ? (uint32_t)(begin - head->n - 1) : 0, 0, 0);
}

/*
 * A binary tree over the calls with rules. Jumps over halves are long ones, since a short jump
 * reaches 255 instructions.
 */
static void emit_tree(struct head *head, const int *numbers, size_t n)
{
    if (n <= 3) {
        for (size_t i = 0; i < n; i++) {
            emit(head, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)numbers[i], 0, 1);
            emit_jump(head, head->b->entry[numbers[i]]);
        }
        emit_jump(head, 0);
        return;
    }
    size_t half = n / 2;
    emit(head, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)numbers[half], 0, 1);
    size_t jump = head->n;
    emit(head, BPF_JMP | BPF_JA, 0, 0, 0);
    emit_tree(head, numbers, half);
    if (jump < head->n)
        head->code[jump].k = (uint32_t)(head->n - jump - 1);
    emit_tree(head, numbers + half, n - half);
}

static void emit_head(struct head *head)
{
    const struct filter_terms *terms = head->b->terms;
    int numbers[N_CALLS];
    size_t n = 0;

    emit_load(head, offsetof(struct seccomp_data, arch));
    emit(head, BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCHITECTURE, 1, 0);
    emit_return(head,
                terms->deny == AIT_SANDBOX_DENY_LOG ? SECCOMP_RET_LOG : SECCOMP_RET_KILL_PROCESS);
    emit_load(head, offsetof(struct seccomp_data, nr));
    if (terms->exec_key != 0) {
        emit_exec_key(head, SYS_execve);
        emit_exec_key(head, SYS_execveat);
    }
    if (terms->send_key != 0)
        emit_send_key(head);
    emit(head, BPF_JMP | BPF_JGT | BPF_K, SYSCALL_NEWEST, 0, 1);
    emit_return(head, filter_action((ait_policy_action){AIT_POLICY_ERRNO, ENOSYS}, terms->deny));
    for (int i = 0; i < N_CALLS; i++)
        if (head->b->entry[i] != 0)
            numbers[n++] = i;
    emit_tree(head, numbers, n);
}

/* The parts begin where the head ends, which is known once it was made. */
static size_t head_size(const struct builder *b)
{
    struct head head = {.b = b};

    emit_head(&head);
    return head.overflow ? BPF_MAXINSNS : head.n;
}

static void add_head(struct builder *b)
{
    struct head head = {.b = b};

    emit_head(&head);
    memcpy(b->code, head.code, head.n * sizeof(head.code[0]));
}

/* ---- together -------------------------------------------------------------------------------- */

/* entry[] is only whether there will be tests, until they are made. */
static void plan(struct builder *b, struct steps *steps)
{
    const ait_policy *policy = b->terms->policy;

    for (int i = 0; i < N_CALLS; i++) {
        steps->n = 0;
        b->otherwise[i] = policy ? make_steps(b, &policy->calls[i], steps) : SECCOMP_RET_USER_NOTIF;
        b->entry[i] = steps->n > 0;
    }
}

static int add_calls(struct builder *b, struct steps *steps)
{
    int r = 0;

    for (int i = 0; i < N_CALLS && r == 0; i++) {
        if (b->entry[i] == 0)
            continue;
        (void)make_steps(b, &b->terms->policy->calls[i], steps);
        b->entry[i] = (uint16_t)b->n_parts;
        r = add_steps(b, i, steps);
    }
    return r;
}

static int build(struct builder *b, struct steps *steps)
{
    plan(b, steps);
    b->n = head_size(b);
    int r = add_first_part(b);
    if (r == 0)
        r = add_calls(b, steps);
    if (r < 0)
        return r;
    add_head(b);
    return put_answers(b);
}

int program_write(const struct filter_terms *terms, int fd, int scratch,
                  char failure[PROGRAM_FAILURE_MAX])
{
    struct builder *b = calloc(1, sizeof(*b));
    struct steps *steps = malloc(sizeof(*steps));
    int r = fail(failure, -ENOMEM, "no memory for the compiler");

    if (b && steps) {
        b->terms = terms;
        b->failure = failure;
        b->scratch = scratch;
        r = build(b, steps);
        size_t size = b->n * sizeof(b->code[0]);
        if (r == 0 && write(fd, b->code, size) != (ssize_t)size)
            r = fail(failure, -EIO, "the finished program cannot be written");
    }
    free(steps);
    free(b);
    return r;
}

/* Each comparison is one instruction at least. */
int program_is_bounded(const ait_policy *policy, char failure[PROGRAM_FAILURE_MAX])
{
    size_t n = 0;

    for (int number = 0; policy && number < N_CALLS; number++)
        for (unsigned i = 0; i < policy->calls[number].n_rules; i++)
            n += policy->calls[number].rules[i].n_compares;
    return n <= BPF_MAXINSNS ? 0
                             : fail(failure, -E2BIG,
                                    "the policy compares arguments %zu times, and a program has "
                                    "room for %d comparisons",
                                    n, BPF_MAXINSNS);
}

/* ---- designed ENOSYS ------------------------------------------------------------------------- */

static bool is_designed(const struct filter_terms *terms, int number)
{
    const struct seccomp_data data = {.nr = number, .arch = NATIVE_ARCHITECTURE};
    return number < N_CALLS && filter_expected_quiet(terms, &data) != SECCOMP_RET_ALLOW;
}

/* By ranges, upwards: above it the next one, within it ENOSYS, below it nothing. */
static void emit_ranges(struct head *head, const struct filter_terms *terms)
{
    for (int first = 0; first < N_CALLS; first++) {
        if (!is_designed(terms, first))
            continue;
        int last = first;
        while (is_designed(terms, last + 1))
            last++;
        emit(head, BPF_JMP | BPF_JGT | BPF_K, (uint32_t)last, 3, 0);
        emit(head, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)first, 0, 1);
        emit_return(head, SECCOMP_RET_ERRNO | ENOSYS);
        emit_return(head, SECCOMP_RET_ALLOW);
        first = last;
    }
}

int program_quiet(const struct filter_terms *terms, struct sock_filter **ret, size_t *ret_n)
{
    struct head head = {0};

    emit_load(&head, offsetof(struct seccomp_data, arch));
    emit(&head, BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCHITECTURE, 1, 0);
    emit_return(&head, SECCOMP_RET_ALLOW);
    emit_load(&head, offsetof(struct seccomp_data, nr));
    emit(&head, BPF_JMP | BPF_JGT | BPF_K, SYSCALL_NEWEST, 0, 1);
    emit_return(&head, SECCOMP_RET_ERRNO | ENOSYS);
    emit_ranges(&head, terms);
    emit_return(&head, SECCOMP_RET_ALLOW);
    struct sock_filter *code = malloc(head.n * sizeof(head.code[0]));
    if (!code)
        return -ENOMEM;
    memcpy(code, head.code, head.n * sizeof(head.code[0]));
    *ret = code;
    *ret_n = head.n;
    return 0;
}
