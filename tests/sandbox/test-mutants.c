/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Wrong programs: each mutant of a compiled policy is refused, or proved by other means
 * (bpf-equivalent.h) to do the same.
 *
 * AIT_RANDOM_POLICIES, AIT_RANDOM_SEED: as in test-policy-random.c.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "architecture.h"
#include "bpf-equivalent.h"
#include "filter/compile.h"
#include "policy/model.h"
#include "random-policy.h"
#include "filter/verify.h"

#define N(array)        (sizeof(array) / sizeof((array)[0]))
#define ALLOW           ((ait_policy_action){.kind = AIT_POLICY_ALLOW})
#define EPERM_          ((ait_policy_action){.kind = AIT_POLICY_ERRNO, .error = EPERM})
#define RET(k)          BPF_STMT(BPF_RET | BPF_K, k)
#define LOAD(k)         BPF_STMT(BPF_LD | BPF_W | BPF_ABS, k)
#define ALU(op, src, k) BPF_STMT(BPF_ALU | (op) | (src), k)

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

/* ---- wrong programs -------------------------------------------------------------------------- */

static void add(ait_policy *policy, int number, ait_policy_action action, ait_policy_compare a,
                const ait_policy_compare *b)
{
    ait_policy_compare compares[2] = {a};

    if (b)
        compares[1] = *b;
    assert_int_equal(policy_add_rule(policy, number, action, compares, b ? 2 : 1), 0);
}

/* Something of everything, and small. */
static ait_policy *small_policy(void)
{
    const ait_policy_compare raw = {1, AIT_POLICY_EQ, 0xf, SOCK_RAW};
    ait_policy *policy;

    assert_int_equal(policy_new(&policy, "small", ALLOW), 0);
    policy->calls[SYS_ptrace].otherwise = EPERM_;
    policy->calls[SYS_mremap].otherwise = (ait_policy_action){AIT_POLICY_KILL, 0};
    policy->calls[435].otherwise = (ait_policy_action){AIT_POLICY_ERRNO, ENOSYS};
    add(policy, SYS_ioctl, EPERM_, (ait_policy_compare){1, AIT_POLICY_EQ, UINT32_MAX, TIOCSTI},
        NULL);
    add(policy, SYS_ioctl, EPERM_, (ait_policy_compare){1, AIT_POLICY_EQ, UINT32_MAX, TIOCLINUX},
        NULL);
    add(policy, SYS_socket, EPERM_, (ait_policy_compare){0, AIT_POLICY_EQ, UINT32_MAX, AF_INET},
        &raw);
    add(policy, SYS_personality, ALLOW, (ait_policy_compare){0, AIT_POLICY_NE, UINT32_MAX, 8},
        NULL);
    add(policy, SYS_mmap, EPERM_, (ait_policy_compare){1, AIT_POLICY_GT, UINT64_MAX, 0x123456789},
        NULL);
    add(policy, SYS_prctl, EPERM_, (ait_policy_compare){0, AIT_POLICY_LE, 0xff, 0x55}, NULL);
    return policy;
}

struct mutants {
    const char *name;
    struct filter_terms terms;
    struct sandbox_filter filter;
    struct sock_filter code[BPF_MAXINSNS];
    unsigned made, refused, caught, same;
};

static void mutants_of(struct mutants *m, const char *name, const ait_policy *policy)
{
    *m = (struct mutants){.name = name};
    assert_int_equal(
        filter_compile(policy, AIT_SANDBOX_DENY_ERRNO, AIT_SANDBOX_EXEC, &m->filter, NULL), 0);
    m->terms = (struct filter_terms){.policy = policy, .exec_key = m->filter.exec_key};
    memcpy(m->code, m->filter.program, m->filter.n * sizeof(m->code[0]));
}

static void mutants_done(struct mutants *m)
{
    print_message(
        "%s: %zu instructions, %u mutants: %u no programs, %u caught, %u proved to do the same\n",
        m->name, m->filter.n, m->made, m->refused, m->caught, m->same);
    assert_int_equal(m->made, m->refused + m->caught + m->same);
    filter_done(&m->filter);
}

static void judge(struct mutants *m, size_t at)
{
    struct seccomp_data difference;

    m->made++;
    if (bpf_check(m->code, m->filter.n, NULL) < 0) {
        m->refused++;
        assert_int_equal(filter_verify(&m->terms, m->code, m->filter.n, NULL), -EBADMSG);
        return;
    }
    if (filter_verify(&m->terms, m->code, m->filter.n, NULL) == -EBADMSG) {
        m->caught++;
        return;
    }
    int r = bpf_equivalent(m->filter.program, m->filter.n, m->code, m->filter.n, &difference);
    if (r != 1)
        fail_msg("%s: instruction %zu, %#x %u %u %#x instead of %#x %u %u %#x: not caught, and "
                 "different (%d) for call %d, architecture %#x, %#llx %#llx",
                 m->name, at, m->code[at].code, m->code[at].jt, m->code[at].jf, m->code[at].k,
                 m->filter.program[at].code, m->filter.program[at].jt, m->filter.program[at].jf,
                 m->filter.program[at].k, r, difference.nr, difference.arch,
                 (unsigned long long)difference.args[0], (unsigned long long)difference.args[1]);
    m->same++;
}

static void mutate(struct mutants *m, size_t at, struct sock_filter mutant)
{
    const struct sock_filter good = m->code[at];

    if (memcmp(&good, &mutant, sizeof(good)) == 0)
        return;
    m->code[at] = mutant;
    judge(m, at);
    m->code[at] = good;
}

static void mutate_constant(struct mutants *m, size_t at, uint64_t *state)
{
    struct sock_filter x = m->code[at];
    const uint32_t others[] = {
        x.k + 1, x.k - 1,    x.k + 4, x.k - 4, x.k ^ 1u << random_below(state, 32),
        0,       UINT32_MAX, ~x.k};

    for (size_t i = 0; i < N(others); i++) {
        x.k = others[i];
        mutate(m, at, x);
    }
}

static void mutate_jump(struct mutants *m, size_t at)
{
    const struct sock_filter x = m->code[at];
    static const uint16_t ops[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};

    mutate(m, at, (struct sock_filter){x.code, x.jf, x.jt, x.k});
    mutate(m, at, (struct sock_filter){x.code, (uint8_t)(x.jt + 1), x.jf, x.k});
    mutate(m, at, (struct sock_filter){x.code, x.jt, (uint8_t)(x.jf + 1), x.k});
    for (size_t i = 0; i < N(ops); i++)
        mutate(m, at, (struct sock_filter){(uint16_t)(BPF_JMP | ops[i] | BPF_K), x.jt, x.jf, x.k});
    mutate(m, at, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, x.jt));
    mutate(m, at, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, x.jf));
}

static void mutate_one(struct mutants *m, size_t at, uint64_t *state)
{
    const struct sock_filter x = m->code[at];

    mutate_constant(m, at, state);
    if (BPF_CLASS(x.code) == BPF_JMP && BPF_OP(x.code) != BPF_JA)
        mutate_jump(m, at);
    if (BPF_CLASS(x.code) == BPF_RET) {
        mutate(m, at, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
        mutate(m, at, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD));
    } else /* dropped */
        mutate(m, at, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 0));
}

static void mutants_are_caught_or_the_same(void **state)
{
    ait_policy *policy = small_policy();
    static struct mutants m;
    uint64_t seed = 1;

    mutants_of(&m, "small", policy);
    assert_int_equal(bpf_equivalent(m.filter.program, m.filter.n, m.code, m.filter.n, NULL), 1);
    for (size_t i = 0; i < m.filter.n; i += RANDOM_FEWER ? 5 : 1)
        mutate_one(&m, i, &seed);
    /* Else the comparison would compare nothing. */
    assert_true(m.caught > m.made / 2);
    mutants_done(&m);
    (void)ait_policy_unref(policy);
}

/* ---- branches into another call's tests ------------------------------------------------------ */

static bool loads_argument(const struct sock_filter *f)
{
    return f->code == (BPF_LD | BPF_W | BPF_ABS) && f->k >= offsetof(struct seccomp_data, args);
}

/* The branch goes to each place within reach where a test of arguments begins. */
static void redirect(struct mutants *m, size_t at)
{
    const struct sock_filter x = m->code[at];

    if (BPF_CLASS(x.code) != BPF_JMP || BPF_OP(x.code) == BPF_JA)
        return;
    for (size_t to = at + 1; to < m->filter.n && to - at - 1 <= UINT8_MAX; to++) {
        uint8_t distance = (uint8_t)(to - at - 1);

        if (!loads_argument(&m->code[to]))
            continue;
        mutate(m, at, (struct sock_filter){x.code, distance, x.jf, x.k});
        mutate(m, at, (struct sock_filter){x.code, x.jt, distance, x.k});
    }
}

static void branches_into_other_tests_are_caught(void **state)
{
    static const char *const presets[] = {"base", "service", "strict"};
    static struct mutants m;
    uint64_t seed = setting("AIT_RANDOM_SEED", 1);
    unsigned one_of = setting("AIT_RANDOM_POLICIES", 0) > 0 ? 1 : RANDOM_FEWER ? 60 : 6;

    for (size_t i = 0; i < N(presets); i++) {
        ait_policy *policy;

        assert_int_equal(ait_policy_from_preset(&policy, presets[i], NULL), 0);
        mutants_of(&m, presets[i], policy);
        for (size_t at = 0; at < m.filter.n; at++)
            if (random_below(&seed, one_of) == 0)
                redirect(&m, at);
        mutants_done(&m);
        (void)ait_policy_unref(policy);
    }
}

/* ---- random policies ------------------------------------------------------------------------- */

#define MUTANTS_EACH 24

static void ask(const struct mutants *m, size_t at, int number, const uint64_t args[6])
{
    struct seccomp_data data = {.nr = number, .arch = NATIVE_ARCHITECTURE};

    memcpy(data.args, args, sizeof(data.args));
    if (bpf_run(m->code, m->filter.n, &data) != filter_expected(&m->terms, &data))
        fail_msg("%s: instruction %zu: not caught, and wrong for call %d, %#llx %#llx", m->name, at,
                 number, (unsigned long long)args[0], (unsigned long long)args[1]);
}

/* These programs are too large for a proof by other means: a sample. */
static void judge_by_sample(struct mutants *m, size_t at, uint64_t *state)
{
    uint64_t args[6];

    m->made++;
    if (filter_verify(&m->terms, m->code, m->filter.n, NULL) == -EBADMSG) {
        m->caught++;
        return;
    }
    for (int number = 0; number <= SYSCALL_NEWEST; number++)
        for (unsigned i = 0; i < 1 + 32 * m->terms.policy->calls[number].n_rules; i++) {
            random_args(state, m->terms.policy, number, args);
            ask(m, at, number, args);
        }
    m->same++;
}

static void mutate_at_random(struct mutants *m, uint64_t *state)
{
    size_t at = random_below(state, m->filter.n);
    const struct sock_filter good = m->code[at];
    struct sock_filter x = good;

    switch (random_below(state, 4)) {
    case 0:
        x.k ^= UINT32_C(1) << random_below(state, 32);
        break;
    case 1:
        x.jt = (uint8_t)random_below(state, UINT8_MAX + 1);
        break;
    case 2:
        x.jf = (uint8_t)random_below(state, UINT8_MAX + 1);
        break;
    default:
        x = m->code[random_below(state, m->filter.n)];
    }
    if (memcmp(&good, &x, sizeof(x)) == 0)
        return;
    m->code[at] = x;
    judge_by_sample(m, at, state);
    m->code[at] = good;
}

static void mutants_of_random_policies_are_caught(void **state)
{
    uint64_t first = setting("AIT_RANDOM_SEED", 1),
             total = setting("AIT_RANDOM_POLICIES", RANDOM_FEWER ? 10 : 200);
    unsigned made = 0, caught = 0, same = 0;
    static struct mutants m;

    for (uint64_t seed = first; seed < first + total; seed++) {
        ait_policy *policy = random_policy(seed, 0);
        uint64_t draws = ~seed;
        char name[32];

        (void)snprintf(name, sizeof(name), "seed %llu", (unsigned long long)seed);
        mutants_of(&m, name, policy);
        for (unsigned i = 0; i < MUTANTS_EACH; i++)
            mutate_at_random(&m, &draws);
        made += m.made;
        caught += m.caught + m.refused;
        same += m.same;
        filter_done(&m.filter);
        (void)ait_policy_unref(policy);
    }
    print_message("%llu policies, %u mutants: %u caught, %u did the same\n",
                  (unsigned long long)total, made, caught, same);
    assert_int_equal(made, caught + same);
}

/* The proof is not blind: a program that differs in one value of one argument. */
static void the_proof_finds_a_difference(void **state)
{
    static const struct sock_filter a[] = {LOAD(16), ALU(BPF_AND, BPF_K, 0xffff),
                                           BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 0x1234, 0, 1),
                                           RET(1), RET(2)},
                                    b[] = {LOAD(16), ALU(BPF_AND, BPF_K, 0xffff),
                                           BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x1234, 0, 1),
                                           RET(1), RET(2)},
                                    c[] = {LOAD(16), ALU(BPF_AND, BPF_K, 0xffff),
                                           BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x1235, 0, 1),
                                           RET(1), RET(2)};
    struct seccomp_data difference;

    assert_int_equal(bpf_equivalent(a, N(a), c, N(c), NULL), 1);
    assert_int_equal(bpf_equivalent(a, N(a), b, N(b), &difference), 0);
    assert_int_equal(difference.args[0] & 0xffff, 0x1234);
    assert_int_not_equal(bpf_run(a, N(a), &difference), bpf_run(b, N(b), &difference));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_proof_finds_a_difference),
        cmocka_unit_test(mutants_are_caught_or_the_same),
        cmocka_unit_test(branches_into_other_tests_are_caught),
        cmocka_unit_test(mutants_of_random_policies_are_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
