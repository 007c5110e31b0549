/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <linux/audit.h>
#include <setjmp.h>
#include <stdarg.h>
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

/* ---- what a mode makes of an action ---------------------------------------------------------- */

#define E(n) (SECCOMP_RET_ERRNO | (n))

static const struct {
    ait_policy_action action;
    uint32_t answers[5]; /* by ait_sandbox_deny */
} actions[] = {
    {{AIT_POLICY_ALLOW, 0},
     {SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW,
      SECCOMP_RET_USER_NOTIF}},
    {{AIT_POLICY_ERRNO, EPERM},
     {E(EPERM), SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_LOG, SECCOMP_RET_USER_NOTIF,
      SECCOMP_RET_USER_NOTIF}},
    {{AIT_POLICY_ERRNO, ENOSYS},
     {E(ENOSYS), E(ENOSYS), E(ENOSYS), SECCOMP_RET_USER_NOTIF, SECCOMP_RET_USER_NOTIF}},
    {{AIT_POLICY_LOG, 0},
     {SECCOMP_RET_LOG, SECCOMP_RET_LOG, SECCOMP_RET_LOG, SECCOMP_RET_LOG, SECCOMP_RET_USER_NOTIF}},
    {{AIT_POLICY_TRAP, 0},
     {SECCOMP_RET_TRAP, SECCOMP_RET_TRAP, SECCOMP_RET_TRAP, SECCOMP_RET_TRAP,
      SECCOMP_RET_USER_NOTIF}},
    {{AIT_POLICY_NOTIFY, EPERM},
     {SECCOMP_RET_USER_NOTIF, SECCOMP_RET_USER_NOTIF, SECCOMP_RET_USER_NOTIF,
      SECCOMP_RET_USER_NOTIF, SECCOMP_RET_USER_NOTIF}},
    {{AIT_POLICY_KILL, 0},
     {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_PROCESS,
      SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_USER_NOTIF}},
};

static void modes_make_answers_of_actions(void **state)
{
    for (size_t i = 0; i < N(actions); i++)
        for (int deny = 0; deny < 5; deny++)
            assert_int_equal(filter_action(actions[i].action, (ait_sandbox_deny)deny),
                             actions[i].answers[deny]);
}

static void keys_and_architectures_come_first(void **state)
{
    ait_policy *policy;
    assert_int_equal(policy_new(&policy, NULL, EPERM_), 0);
    struct filter_terms terms = {.policy = policy, .exec_key = 0x1234567890, .send_key = 0xabcdef};
    const struct {
        int number;
        uint32_t arch;
        uint64_t first, last;
        uint32_t answer;
    } cases[] = {
        {SYS_execve, NATIVE_ARCHITECTURE, 0, 0x1234567890, SECCOMP_RET_ALLOW},
        {SYS_execveat, NATIVE_ARCHITECTURE, 0, 0x1234567890, SECCOMP_RET_ALLOW},
        {SYS_execve, NATIVE_ARCHITECTURE, 0, 0x0034567890, E(EPERM)},
        {SYS_execve, NATIVE_ARCHITECTURE, 0x1234567890, 0, E(EPERM)},
        {SYS_execve, SIBLING_ARCHITECTURE, 0, 0x1234567890, SECCOMP_RET_KILL_PROCESS},
        {SYS_sendmsg, NATIVE_ARCHITECTURE, 0xabcdef00000005, 0, SECCOMP_RET_ALLOW},
        {SYS_sendmsg, NATIVE_ARCHITECTURE, 0xabcdef, 0, E(EPERM)},
        {SYS_getppid, NATIVE_ARCHITECTURE, 0xabcdef00000005, 0x1234567890, E(EPERM)},
        {SYSCALL_NEWEST + 1, NATIVE_ARCHITECTURE, 0, 0, E(ENOSYS)},
        {SYS_getppid | 0x40000000, NATIVE_ARCHITECTURE, 0, 0, E(ENOSYS)},
        {-1, NATIVE_ARCHITECTURE, 0, 0, E(ENOSYS)},
        {SYS_getppid, AUDIT_ARCH_S390X, 0, 0, SECCOMP_RET_KILL_PROCESS},
    };

    for (size_t i = 0; i < N(cases); i++) {
        struct seccomp_data data = {.nr = cases[i].number, .arch = cases[i].arch};
        data.args[0] = cases[i].first;
        data.args[5] = cases[i].last;
        assert_int_equal(filter_expected(&terms, &data), cases[i].answer);
    }
    (void)ait_policy_unref(policy);
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
    const struct filter_terms *terms;
    const struct sandbox_filter *filter;
    struct sock_filter code[BPF_MAXINSNS];
    unsigned made, refused, caught, same;
};

static void judge(struct mutants *m, size_t at)
{
    struct seccomp_data difference;

    m->made++;
    if (bpf_check(m->code, m->filter->n, NULL) < 0) {
        m->refused++;
        assert_int_equal(filter_verify(m->terms, m->code, m->filter->n, NULL), -EBADMSG);
        return;
    }
    if (filter_verify(m->terms, m->code, m->filter->n, NULL) == -EBADMSG) {
        m->caught++;
        return;
    }
    int r = bpf_equivalent(m->filter->program, m->filter->n, m->code, m->filter->n, &difference);
    if (r != 1)
        fail_msg("instruction %zu, %#x %u %u %#x instead of %#x %u %u %#x: not caught, and "
                 "different (%d) "
                 "for call %d, "
                 "architecture %#x, %#llx %#llx",
                 at, m->code[at].code, m->code[at].jt, m->code[at].jf, m->code[at].k,
                 m->filter->program[at].code, m->filter->program[at].jt, m->filter->program[at].jf,
                 m->filter->program[at].k, r, difference.nr, difference.arch,
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
    struct sandbox_filter filter;
    struct mutants m = {.filter = &filter};
    uint64_t seed = 1;

    assert_int_equal(
        filter_compile(policy, AIT_SANDBOX_DENY_ERRNO, AIT_SANDBOX_EXEC, &filter, NULL), 0);
    const struct filter_terms terms = {.policy = policy, .exec_key = filter.exec_key};
    m.terms = &terms;
    memcpy(m.code, filter.program, filter.n * sizeof(m.code[0]));
    assert_int_equal(bpf_equivalent(filter.program, filter.n, m.code, filter.n, NULL), 1);
    for (size_t i = 0; i < filter.n; i += RANDOM_FEWER ? 5 : 1)
        mutate_one(&m, i, &seed);
    print_message(
        "%zu instructions, %u mutants: %u no programs, %u caught, %u proven to do the same\n",
        filter.n, m.made, m.refused, m.caught, m.same);
    assert_int_equal(m.made, m.refused + m.caught + m.same);
    /* Else the comparison would compare nothing. */
    assert_true(m.caught > m.made / 2);
    filter_done(&filter);
    (void)ait_policy_unref(policy);
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
        cmocka_unit_test(modes_make_answers_of_actions),
        cmocka_unit_test(keys_and_architectures_come_first),
        cmocka_unit_test(the_proof_finds_a_difference),
        cmocka_unit_test(mutants_are_caught_or_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
