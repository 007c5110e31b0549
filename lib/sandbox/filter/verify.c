/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "architecture.h"
#include "policy/model.h"
#include "policy/problem.h"
#include "verify.h"

/*
 * The maximum number of combinations of arguments for one call, beside those that are made for each
 * of its rules.
 */
#define COMBINATIONS_MAX 4096

/* ---- what a program has to do ---------------------------------------------------------------- */

static uint32_t denied(uint16_t error, ait_sandbox_deny deny)
{
    if (deny == AIT_SANDBOX_DENY_EXPLAIN)
        return SECCOMP_RET_USER_NOTIF;
    if (error == ENOSYS || deny == AIT_SANDBOX_DENY_ERRNO)
        return SECCOMP_RET_ERRNO | error;
    return deny == AIT_SANDBOX_DENY_LOG ? SECCOMP_RET_LOG : SECCOMP_RET_KILL_PROCESS;
}

uint32_t filter_action(ait_policy_action action, ait_sandbox_deny deny)
{
    if (deny == AIT_SANDBOX_DENY_LEARN)
        return SECCOMP_RET_USER_NOTIF;
    switch ((ait_policy_action_kind)action.kind) {
    case AIT_POLICY_ALLOW:
        return SECCOMP_RET_ALLOW;
    case AIT_POLICY_ERRNO:
        return denied(action.error, deny);
    case AIT_POLICY_LOG:
        return SECCOMP_RET_LOG;
    case AIT_POLICY_TRAP:
        return SECCOMP_RET_TRAP;
    case AIT_POLICY_NOTIFY:
        return SECCOMP_RET_USER_NOTIF;
    case AIT_POLICY_KILL:
        break;
    }
    return SECCOMP_RET_KILL_PROCESS;
}

static bool carries_key(const struct filter_terms *terms, const struct seccomp_data *data)
{
    switch (data->nr) {
    case SYS_execve:
    case SYS_execveat:
        return terms->exec_key != 0 && data->args[5] == terms->exec_key;
    case SYS_sendmsg:
        return terms->send_key != 0 && data->args[0] >> 32 == terms->send_key;
    }
    return false;
}

uint32_t filter_expected(const struct filter_terms *terms, const struct seccomp_data *data)
{
    uint64_t args[6];

    if (data->arch != NATIVE_ARCHITECTURE)
        return terms->deny == AIT_SANDBOX_DENY_LOG ? SECCOMP_RET_LOG : SECCOMP_RET_KILL_PROCESS;
    if (carries_key(terms, data))
        return SECCOMP_RET_ALLOW;
    if (!terms->policy)
        return SECCOMP_RET_USER_NOTIF;
    memcpy(args, data->args, sizeof(args));
    return filter_action(ait_policy_evaluate(terms->policy, data->nr, args), terms->deny);
}

uint32_t filter_expected_quiet(const struct filter_terms *terms, const struct seccomp_data *data)
{
    bool listened = filter_listens(terms->deny);

    if (data->arch != NATIVE_ARCHITECTURE || listened)
        return SECCOMP_RET_ALLOW;
    if (data->nr < 0 || data->nr > SYSCALL_NEWEST)
        return SECCOMP_RET_ERRNO | ENOSYS;
    if (terms->exec_key != 0 && (data->nr == SYS_execve || data->nr == SYS_execveat))
        return SECCOMP_RET_ALLOW;
    const struct policy_call *call = &terms->policy->calls[data->nr];
    bool designed = call->n_rules == 0 && policy_action_is_absent(call->otherwise);
    return designed ? SECCOMP_RET_ERRNO | ENOSYS : SECCOMP_RET_ALLOW;
}

/* ---- asking the program ---------------------------------------------------------------------- */

struct verifier {
    const struct filter_terms *terms;
    const struct sock_filter *program;
    size_t n;
    uint32_t (*expected)(const struct filter_terms *terms, const struct seccomp_data *data);
    ait_sandbox_problem *problem;
};

static void describe(uint32_t answer, char *ret, size_t size)
{
    static const struct {
        uint32_t action;
        const char *name;
    } names[] = {
        {SECCOMP_RET_ALLOW, "allow"},       {SECCOMP_RET_LOG, "log"},
        {SECCOMP_RET_TRAP, "trap"},         {SECCOMP_RET_TRACE, "trace"},
        {SECCOMP_RET_USER_NOTIF, "notify"}, {SECCOMP_RET_KILL_PROCESS, "kill"},
    };
    const char *error = strerrorname_np((int)(answer & SECCOMP_RET_DATA));

    if ((answer & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO && error) {
        (void)snprintf(ret, size, "errno(%s)", error);
        return;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].action == answer) {
            (void)snprintf(ret, size, "%s", names[i].name);
            return;
        }
    (void)snprintf(ret, size, "%#x", answer);
}

static int mismatch(const struct verifier *v, const struct seccomp_data *data, uint32_t wanted,
                    uint32_t got)
{
    char wanted_text[32], got_text[32], number[32];
    const char *name = data->arch == NATIVE_ARCHITECTURE ? ait_syscall_name(data->nr) : NULL;
    const unsigned long long a[6] = {data->args[0], data->args[1], data->args[2],
                                     data->args[3], data->args[4], data->args[5]};

    describe(wanted, wanted_text, sizeof(wanted_text));
    describe(got, got_text, sizeof(got_text));
    (void)snprintf(number, sizeof(number), "call %d", data->nr);
    return problem_at(
        v->problem, -EBADMSG, v->terms->policy ? v->terms->policy->name : NULL, 0, 0,
        "the compiled program does not do what the policy says, and is not used: "
        "%s(%#llx, %#llx, %#llx, %#llx, %#llx, %#llx) on architecture %#x: wanted %s, got %s",
        name ? name : number, a[0], a[1], a[2], a[3], a[4], a[5], data->arch, wanted_text,
        got_text);
}

static int ask(const struct verifier *v, const struct seccomp_data *data)
{
    uint32_t wanted = v->expected(v->terms, data);
    uint32_t got = bpf_run(v->program, v->n, data);

    return wanted == got ? 0 : mismatch(v, data, wanted, got);
}

/* ---- every number, on three architectures ---------------------------------------------------- */

static const uint32_t architectures[] = {NATIVE_ARCHITECTURE, SIBLING_ARCHITECTURE,
                                         AUDIT_ARCH_S390X};

/* The keys open nothing but what they are for. */
static int ask_with_keys(const struct verifier *v, uint32_t number, uint32_t architecture)
{
    const struct seccomp_data data = {
        .nr = (int)number,
        .arch = architecture,
        .args = {(uint64_t)v->terms->send_key << 32, 0, 0, 0, 0, v->terms->exec_key},
    };
    return ask(v, &data);
}

static int ask_number_on(const struct verifier *v, uint32_t number, uint32_t architecture)
{
    static const uint64_t everywhere[] = {0, UINT64_MAX, UINT64_C(1) << 63, UINT64_MAX << 32,
                                          UINT32_MAX};
    int r = ask_with_keys(v, number, architecture);

    for (size_t i = 0; i < sizeof(everywhere) / sizeof(everywhere[0]) && r == 0; i++) {
        uint64_t x = everywhere[i];
        r = ask(v, &(const struct seccomp_data){(int)number, architecture, x, {x, x, x, x, x, x}});
    }
    return r;
}

static int ask_number(const struct verifier *v, uint32_t number)
{
    int r = 0;

    for (size_t i = 0; i < sizeof(architectures) / sizeof(architectures[0]) && r == 0; i++)
        r = ask_number_on(v, number, architectures[i]);
    return r;
}

static int ask_architecture(const struct verifier *v, uint32_t architecture)
{
    static const int numbers[] = {0, SYS_execve, SYSCALL_NEWEST, SYSCALL_NEWEST + 1, -1};
    int r = 0;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && r == 0; i++)
        r = ask_with_keys(v, (uint32_t)numbers[i], architecture);
    return r;
}

static int ask_architectures(const struct verifier *v)
{
    static const uint32_t near[] = {NATIVE_ARCHITECTURE - 1, NATIVE_ARCHITECTURE + 1, 0,
                                    UINT32_MAX};
    int r = 0;

    for (size_t i = 0; i < sizeof(near) / sizeof(near[0]) && r == 0; i++)
        r = ask_architecture(v, near[i]);
    for (unsigned bit = 0; bit < 32 && r == 0; bit++)
        r = ask_architecture(v, NATIVE_ARCHITECTURE ^ UINT32_C(1) << bit);
    return r;
}

/* Whatever the program takes for a number. */
static int ask_its_constants(const struct verifier *v)
{
    int r = 0;

    for (size_t i = 0; i < v->n && r == 0; i++) {
        const struct sock_filter *at = &v->program[i];
        if (BPF_CLASS(at->code) != BPF_JMP || BPF_OP(at->code) == BPF_JA)
            continue;
        for (uint32_t k = at->k - 1; k != at->k + 2 && r == 0; k++)
            r = ask_number(v, k);
    }
    return r;
}

static int ask_numbers(const struct verifier *v)
{
    static const uint32_t far[] = {0xffff,     0x10000,    0x3fffffff, 0x7fffffff, 0x80000000,
                                   0xbfffffff, 0xc0000000, 0xfffffffe, 0xffffffff};
    int r = 0;

    for (uint32_t number = 0; number <= SYSCALL_NEWEST + 64 && r == 0; number++) {
        r = ask_number(v, number);
        if (r == 0)
            r = ask_number(v, ~number);
        for (unsigned bit = 10; bit < 32 && r == 0; bit++)
            r = ask_number(v, number | UINT32_C(1) << bit);
    }
    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]) && r == 0; i++)
        r = ask_number(v, far[i]);
    return r;
}

/* ---- calls whose arguments count ------------------------------------------------------------- */

struct values {
    uint64_t *items;
    size_t n, size;
};

static int values_add(struct values *values, uint64_t x)
{
    if (values->n == values->size) {
        size_t size = values->size ? 2 * values->size : 256;
        uint64_t *items = realloc(values->items, size * sizeof(*items));
        if (!items)
            return -ENOMEM;
        values->items = items;
        values->size = size;
    }
    values->items[values->n++] = x;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void values_sort(struct values *values)
{
    size_t n = 0;

    if (values->n == 0)
        return;
    qsort(values->items, values->n, sizeof(uint64_t), by_value);
    for (size_t i = 0; i < values->n; i++)
        if (i == 0 || values->items[i] != values->items[n - 1])
            values->items[n++] = values->items[i];
    values->n = n;
}

static int add_around(struct values *values, const ait_policy_compare *compare)
{
    uint64_t c = compare->value, mask = compare->mask, high = UINT64_C(1) << 32;
    const uint64_t around[] = {
        c,        c - 1,      c + 1,      c - high, c + high,       ~c,
        c & mask, c | ~mask,  mask,       ~mask,    c & UINT32_MAX, c | UINT64_MAX << 32,
        0,        UINT64_MAX, UINT32_MAX, high,
    };
    int r = 0;

    for (size_t i = 0; i < sizeof(around) / sizeof(around[0]) && r == 0; i++)
        r = values_add(values, around[i]);
    for (unsigned bit = 0; bit < 64 && r == 0; bit++) {
        r = values_add(values, c ^ UINT64_C(1) << bit);
        if (r == 0 && mask >> bit & 1)
            r = values_add(values, UINT64_C(1) << bit);
    }
    return r;
}

/* Calls of which the arguments count: the policy's rules, and one more for a key. */
struct subject {
    int number;
    size_t n_rules;
    const struct policy_rule *rules[POLICY_RULES_A_CALL + 1];
    struct values values[6]; /* around the constants of all rules, an argument */
};

static int ask_args(const struct verifier *v, const struct subject *subject, const uint64_t args[6])
{
    struct seccomp_data data = {.nr = subject->number, .arch = NATIVE_ARCHITECTURE};

    memcpy(data.args, args, sizeof(data.args));
    return ask(v, &data);
}

static bool argument_fits(const struct policy_rule *rule, unsigned arg, const uint64_t args[6])
{
    for (unsigned i = 0; i < rule->n_compares; i++)
        if (rule->compares[i].arg == arg && !policy_compare_holds(&rule->compares[i], args))
            return false;
    return true;
}

/* Arguments to which the rule applies, if values around its constants can achieve that. */
static void fit(const struct policy_rule *rule, const struct values *values, uint64_t args[6])
{
    for (unsigned arg = 0; arg < 6; arg++)
        for (size_t i = 0; i < values[arg].n; i++) {
            args[arg] = values[arg].items[i];
            if (argument_fits(rule, arg, args))
                break;
        }
}

static int vary(const struct verifier *v, const struct subject *subject,
                const struct values *values, const uint64_t fitting[6])
{
    uint64_t args[6];
    int r = ask_args(v, subject, fitting);

    for (unsigned arg = 0; arg < 6; arg++) {
        memcpy(args, fitting, sizeof(args));
        for (size_t i = 0; i < values[arg].n && r == 0; i++) {
            args[arg] = values[arg].items[i];
            r = ask_args(v, subject, args);
        }
    }
    return r;
}

/*
 * Each argument of a rule takes the values around its own constants, while the others match the
 * rule, or are all zeros or all ones.
 */
static int ask_rule(const struct verifier *v, const struct subject *subject,
                    const struct policy_rule *rule)
{
    static const uint64_t zeros[6],
        ones[6] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    struct values values[6] = {0};
    uint64_t fitting[6] = {0};
    int r = 0;

    for (unsigned i = 0; i < rule->n_compares && r == 0; i++)
        r = add_around(&values[rule->compares[i].arg], &rule->compares[i]);
    if (r == 0) {
        for (unsigned arg = 0; arg < 6; arg++)
            values_sort(&values[arg]);
        fit(rule, values, fitting);
        r = vary(v, subject, values, fitting);
    }
    if (r == 0)
        r = vary(v, subject, values, zeros);
    if (r == 0)
        r = vary(v, subject, values, ones);
    for (unsigned arg = 0; arg < 6; arg++)
        free(values[arg].items);
    return r;
}

/* splitmix64 */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static size_t combinations(const struct subject *subject)
{
    size_t n = 1;

    for (unsigned arg = 0; arg < 6; arg++)
        if (subject->values[arg].n != 0) {
            if (subject->values[arg].n > COMBINATIONS_MAX)
                return SIZE_MAX;
            n *= subject->values[arg].n;
            if (n > COMBINATIONS_MAX)
                return SIZE_MAX;
        }
    return n;
}

/* All combinations of values, if they are few; else a sample. */
static int ask_combinations(const struct verifier *v, const struct subject *subject)
{
    size_t n = combinations(subject);
    bool all = n != SIZE_MAX;
    uint64_t state = (uint64_t)subject->number;
    int r = 0;

    for (size_t i = 0; i < (all ? n : COMBINATIONS_MAX) && r == 0; i++) {
        uint64_t args[6] = {0};
        size_t left = i;
        for (unsigned arg = 0; arg < 6; arg++) {
            const struct values *values = &subject->values[arg];
            if (values->n == 0)
                continue;
            args[arg] = values->items[all ? left % values->n : draw(&state) % values->n];
            left /= values->n;
        }
        r = ask_args(v, subject, args);
    }
    return r;
}

static int ask_subject(const struct verifier *v, struct subject *subject)
{
    int r = 0;

    for (size_t i = 0; i < subject->n_rules && r == 0; i++) {
        const struct policy_rule *rule = subject->rules[i];
        for (unsigned k = 0; k < rule->n_compares && r == 0; k++)
            r = add_around(&subject->values[rule->compares[k].arg], &rule->compares[k]);
    }
    for (unsigned arg = 0; arg < 6; arg++)
        values_sort(&subject->values[arg]);
    for (size_t i = 0; i < subject->n_rules && r == 0; i++)
        r = ask_rule(v, subject, subject->rules[i]);
    if (r == 0)
        r = ask_combinations(v, subject);
    for (unsigned arg = 0; arg < 6; arg++)
        free(subject->values[arg].items);
    return r;
}

static int ask_call(const struct verifier *v, int number)
{
    const struct filter_terms *terms = v->terms;
    ait_policy_compare exec = {
        .arg = 5, .op = AIT_POLICY_EQ, .mask = UINT64_MAX, .value = terms->exec_key};
    ait_policy_compare send = {.arg = 0,
                               .op = AIT_POLICY_EQ,
                               .mask = UINT64_MAX << 32,
                               .value = (uint64_t)terms->send_key << 32};
    struct policy_rule exec_rule = {.n_compares = 1, .compares = &exec};
    struct policy_rule send_rule = {.n_compares = 1, .compares = &send};
    struct subject subject = {.number = number};

    if (number == SYS_execve || number == SYS_execveat)
        subject.rules[subject.n_rules++] = &exec_rule;
    if (number == SYS_sendmsg)
        subject.rules[subject.n_rules++] = &send_rule;
    for (unsigned i = 0; terms->policy && i < terms->policy->calls[number].n_rules; i++)
        subject.rules[subject.n_rules++] = &terms->policy->calls[number].rules[i];
    return subject.n_rules == 0 ? 0 : ask_subject(v, &subject);
}

static int check(const struct verifier *v)
{
    size_t at;
    int r = bpf_check(v->program, v->n, &at);

    if (r < 0)
        return problem_at(v->problem, -EBADMSG, v->terms->policy ? v->terms->policy->name : NULL, 0,
                          0, "the kernel would refuse the compiled program: instruction %zu of %zu",
                          at, v->n);
    r = ask_architectures(v);
    if (r == 0)
        r = ask_numbers(v);
    if (r == 0)
        r = ask_its_constants(v);
    for (int number = 0; number <= SYSCALL_NEWEST && r == 0; number++)
        r = ask_call(v, number);
    return r;
}

int filter_verify(const struct filter_terms *terms, const struct sock_filter *program, size_t n,
                  ait_sandbox_problem *problem)
{
    return check(&(const struct verifier){.terms = terms,
                                          .program = program,
                                          .n = n,
                                          .expected = filter_expected,
                                          .problem = problem});
}

int filter_verify_quiet(const struct filter_terms *terms, const struct sock_filter *program,
                        size_t n, ait_sandbox_problem *problem)
{
    return check(&(const struct verifier){.terms = terms,
                                          .program = program,
                                          .n = n,
                                          .expected = filter_expected_quiet,
                                          .problem = problem});
}
