/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "architecture.h"
#include "filter/rule.h"
#include "filter/compile.h"
#include "policy/model.h"
#include "under-filter.h"
#include "filter/verify.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define ALLOW    ((ait_policy_action){.kind = AIT_POLICY_ALLOW})
#define DENY(e)  ((ait_policy_action){.kind = AIT_POLICY_ERRNO, .error = (e)})

static ait_policy *new_policy(ait_policy_action fallback)
{
    ait_policy *policy;

    assert_int_equal(policy_new(&policy, "test", fallback), 0);
    policy->calls[SYS_exit_group].otherwise = ALLOW;
    return policy;
}

static void add(ait_policy *policy, int number, ait_policy_action action,
                ait_policy_compare compare)
{
    assert_int_equal(policy_add_rule(policy, number, action, &compare, 1), 0);
}

static struct sandbox_filter compile(const ait_policy *policy, ait_sandbox_deny deny,
                                     unsigned flags)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    struct sandbox_filter filter;

    if (filter_compile(policy, deny, flags, &filter, &problem) < 0)
        fail_msg("%s", problem.message);
    return filter;
}

/* ---- a comparison as prefixes ---------------------------------------------------------------- */

static unsigned hits(const struct scmp_arg_cmp *prefixes, unsigned n, uint64_t x)
{
    unsigned hit = 0;

    for (unsigned i = 0; i < n; i++)
        hit += (x & prefixes[i].datum_a) == prefixes[i].datum_b;
    return hit;
}

static void check_prefixes(ait_policy_compare compare)
{
    struct scmp_arg_cmp prefixes[RULE_PREFIXES_MAX];
    unsigned n = rule_prefixes(&compare, prefixes);

    assert_true(n <= RULE_PREFIXES_MAX);
    for (uint64_t x = 0; x < 64; x++) {
        const uint64_t low[6] = {x}, high[6] = {x << 58};
        assert_int_equal(hits(prefixes, n, low[0]), policy_compare_holds(&compare, low));
        assert_int_equal(hits(prefixes, n, high[0]), policy_compare_holds(&compare, high));
    }
}

static void a_value_has_one_prefix_or_none(void **state)
{
    static const uint64_t masks[] = {
        0, 1, 0x3f, 0x15, 0x30, UINT32_MAX, UINT64_MAX, UINT64_MAX << 32, UINT64_C(0x3f) << 58};

    for (size_t m = 0; m < N(masks); m++)
        for (uint8_t op = AIT_POLICY_EQ; op <= AIT_POLICY_GE; op++)
            for (uint64_t value = 0; value < 64; value++) {
                check_prefixes((ait_policy_compare){0, op, masks[m], value});
                check_prefixes((ait_policy_compare){0, op, masks[m], value << 58});
                check_prefixes((ait_policy_compare){0, op, masks[m], UINT64_MAX - value});
            }
}

static void a_rule_is_few_tests(void **state)
{
    static const struct {
        unsigned n;
        ait_policy_compare compares[3];
        bool never;
        unsigned tests;
    } cases[] = {
        {1, {{0, AIT_POLICY_EQ, UINT32_MAX, 5}}, false, 1},
        /* Equalities are one test, whatever their arguments. */
        {3,
         {{0, AIT_POLICY_EQ, 0xf, 5},
          {1, AIT_POLICY_EQ, UINT64_MAX, 5},
          {0, AIT_POLICY_EQ, 0xf0, 0x10}},
         false,
         1},
        {2, {{0, AIT_POLICY_EQ, 0xf, 5}, {0, AIT_POLICY_EQ, 0x3, 2}}, true, 0},
        {2, {{0, AIT_POLICY_NE, UINT32_MAX, 5}, {1, AIT_POLICY_NE, UINT32_MAX, 5}}, false, 2},
        {3,
         {{0, AIT_POLICY_EQ, 0xf, 5},
          {1, AIT_POLICY_NE, UINT64_MAX, 5},
          {2, AIT_POLICY_GT, UINT64_MAX, 5}},
         false,
         3},
        {1, {{0, AIT_POLICY_LT, UINT64_MAX, 0x1000}}, false, 1},
        {1, {{0, AIT_POLICY_LT, UINT64_MAX, 0}}, true, 0},
        {1, {{0, AIT_POLICY_GT, 0xff, 0xff}}, true, 0},
        {1, {{0, AIT_POLICY_EQ, 0xff, 0x100}}, true, 0},
        {1, {{0, AIT_POLICY_GE, UINT64_MAX, 0}}, false, 0},
        {1, {{0, AIT_POLICY_LE, 0xff, 0xff}}, false, 0},
        {1, {{0, AIT_POLICY_NE, 0xff, 0x100}}, false, 0},
    };

    for (size_t i = 0; i < N(cases); i++) {
        const struct policy_rule rule = {.n_compares = cases[i].n,
                                         .compares = (ait_policy_compare *)cases[i].compares};
        struct rule_tests tests;
        rule_tests(&rule, &tests);
        assert_int_equal(tests.never, cases[i].never);
        if (!tests.never)
            assert_int_equal(tests.n, cases[i].tests);
    }
}

/* ---- live ------------------------------------------------------------------------------------ */

static void actions_and_modes_live(void **state)
{
    enum { OWN = 1, DIES = 2 };
    static const struct {
        ait_policy_action action;
        ait_sandbox_deny deny;
        int fate; /* OWN: the call is made; DIES: SIGSYS; else the error */
    } cases[] = {
        {{AIT_POLICY_ALLOW, 0}, AIT_SANDBOX_DENY_ERRNO, OWN},
        {{AIT_POLICY_ERRNO, EACCES}, AIT_SANDBOX_DENY_ERRNO, -EACCES},
        {{AIT_POLICY_ERRNO, ENOSYS}, AIT_SANDBOX_DENY_ERRNO, -ENOSYS},
        {{AIT_POLICY_LOG, 0}, AIT_SANDBOX_DENY_ERRNO, OWN},
        {{AIT_POLICY_TRAP, 0}, AIT_SANDBOX_DENY_ERRNO, DIES},
        {{AIT_POLICY_KILL, 0}, AIT_SANDBOX_DENY_ERRNO, DIES},
        /* Nobody listens. */
        {{AIT_POLICY_NOTIFY, EPERM}, AIT_SANDBOX_DENY_ERRNO, -ENOSYS},
        {{AIT_POLICY_ERRNO, EACCES}, AIT_SANDBOX_DENY_KILL, DIES},
        {{AIT_POLICY_ERRNO, ENOSYS}, AIT_SANDBOX_DENY_KILL, -ENOSYS},
        {{AIT_POLICY_ERRNO, EACCES}, AIT_SANDBOX_DENY_LOG, OWN},
        {{AIT_POLICY_ERRNO, ENOSYS}, AIT_SANDBOX_DENY_LOG, -ENOSYS},
        {{AIT_POLICY_KILL, 0}, AIT_SANDBOX_DENY_LOG, DIES},
        {{AIT_POLICY_ERRNO, EACCES}, AIT_SANDBOX_DENY_EXPLAIN, -ENOSYS},
        {{AIT_POLICY_ERRNO, ENOSYS}, AIT_SANDBOX_DENY_EXPLAIN, -ENOSYS},
        {{AIT_POLICY_ALLOW, 0}, AIT_SANDBOX_DENY_EXPLAIN, OWN},
    };

    for (size_t i = 0; i < N(cases); i++) {
        ait_policy *policy = new_policy(ALLOW);
        policy->calls[SYS_getppid].otherwise = cases[i].action;
        struct sandbox_filter filter = compile(policy, cases[i].deny, 0);
        long result = 0;
        int r = call_under_filter(filter.program, filter.n, SYS_getppid, NULL, &result);
        assert_int_equal(r, cases[i].fate == DIES ? SIGSYS : 0);
        if (cases[i].fate != DIES)
            assert_int_equal(result, cases[i].fate == OWN ? getpid() : cases[i].fate);
        filter_done(&filter);
        (void)ait_policy_unref(policy);
    }
}

/* uretprobe and uprobe are not shown to seccomp (Linux 6.12, 6.18); from where there is no probe
 * they end the process. */
static bool passes_by_seccomp(int number)
{
#if defined(__x86_64__)
    return number == 335 || number == 336;
#else
    return number < 0;
#endif
}

/* Every call but the one that ends the process is denied, so that none can do anything. */
static void every_number_live(void **state)
{
    enum { LAST = SYSCALL_NEWEST + 64 };
    static struct made_call calls[LAST + 1];
    ait_policy *policy = new_policy(DENY(EXFULL));
    size_t n = 0, made;

    for (int number = 0; number <= SYSCALL_NEWEST; number += 7)
        if (number != SYS_exit_group)
            policy->calls[number].otherwise = DENY(ENOSYS);
    for (int number = 0; number <= LAST; number++)
        if (number != SYS_exit_group && !passes_by_seccomp(number))
            calls[n++].number = number;
    struct sandbox_filter filter = compile(policy, AIT_SANDBOX_DENY_ERRNO, 0);
    assert_int_equal(calls_under_filter(filter.program, filter.n, calls, n, &made), 0);
    assert_int_equal(made, n);
    for (size_t i = 0; i < n; i++) {
        bool absent = calls[i].number > SYSCALL_NEWEST || calls[i].number % 7 == 0;
        if (calls[i].result != (absent ? -ENOSYS : -EXFULL))
            fail_msg("call %ld: %ld", calls[i].number, calls[i].result);
    }
    filter_done(&filter);
    (void)ait_policy_unref(policy);
}

static void arguments_live(void **state)
{
    const uint64_t noise = UINT64_C(0xabcdef0100000000);
    ait_policy *policy = new_policy(ALLOW);
    struct made_call calls[] = {
        {.number = SYS_getppid, .args = {0, 5}},
        {.number = SYS_getppid, .args = {0, 5 | noise}},
        {.number = SYS_getppid, .args = {5, 0}},
        {.number = SYS_getppid, .args = {5 | noise, 6}},
        {.number = SYS_getpgid, .args = {0, 5}},
        {.number = SYS_getpgid, .args = {0, 6}},
        {.number = SYS_getpgid, .args = {0, 5 | noise}},
        {.number = SYS_getsid, .args = {0, 0, 0, 0, 0, UINT32_MAX}},
    };
    const bool denied[] = {true, true, false, false, false, true, true, true};
    size_t made;

    add(policy, SYS_getppid, DENY(EACCES), (ait_policy_compare){1, AIT_POLICY_EQ, UINT32_MAX, 5});
    add(policy, SYS_getpgid, DENY(EACCES), (ait_policy_compare){1, AIT_POLICY_NE, UINT64_MAX, 5});
    add(policy, SYS_getsid, DENY(EACCES),
        (ait_policy_compare){5, AIT_POLICY_GE, UINT32_MAX, 0xfffffff0});
    struct sandbox_filter filter = compile(policy, AIT_SANDBOX_DENY_ERRNO, 0);
    assert_int_equal(calls_under_filter(filter.program, filter.n, calls, N(calls), &made), 0);
    for (size_t i = 0; i < N(calls); i++)
        if ((calls[i].result == -EACCES) != denied[i])
            fail_msg("call %zu: %ld", i, calls[i].result);
    filter_done(&filter);
    (void)ait_policy_unref(policy);
}

/* Order decides where rules overlap, as in the model. */
static void the_first_rule_that_holds_decides(void **state)
{
    ait_policy *policy = new_policy(ALLOW);
    struct made_call calls[] = {
        {.number = SYS_getppid, .args = {1}},
        {.number = SYS_getppid, .args = {3}},
        {.number = SYS_getppid, .args = {2}},
        {.number = SYS_getppid, .args = {0}},
    };
    size_t made;

    add(policy, SYS_getppid, DENY(EACCES), (ait_policy_compare){0, AIT_POLICY_EQ, 3, 1});
    add(policy, SYS_getppid, DENY(EXFULL), (ait_policy_compare){0, AIT_POLICY_EQ, 1, 1});
    add(policy, SYS_getppid, DENY(EDOM), (ait_policy_compare){0, AIT_POLICY_NE, UINT64_MAX, 0});
    struct sandbox_filter filter = compile(policy, AIT_SANDBOX_DENY_ERRNO, 0);
    assert_int_equal(calls_under_filter(filter.program, filter.n, calls, N(calls), &made), 0);
    assert_int_equal(calls[0].result, -EACCES);
    assert_int_equal(calls[1].result, -EXFULL);
    assert_int_equal(calls[2].result, -EDOM);
    assert_int_equal(calls[3].result, getpid());
    filter_done(&filter);
    (void)ait_policy_unref(policy);
}

static void keys_open_what_they_are_for(void **state)
{
    static const char nowhere[] = "/nonexistent/program";
    ait_policy *policy = new_policy(DENY(EPERM));
    struct sandbox_filter filter = compile(policy, AIT_SANDBOX_DENY_ERRNO, AIT_SANDBOX_EXEC);
    struct made_call calls[] = {
        {.number = SYS_execve, .args = {(uintptr_t)nowhere, 0, 0, 0, 0, filter.exec_key}},
        {.number = SYS_execve, .args = {(uintptr_t)nowhere, 0, 0, 0, 0, filter.exec_key ^ 1}},
        {.number = SYS_execve,
         .args = {(uintptr_t)nowhere, 0, 0, 0, 0, filter.exec_key ^ UINT64_C(1) << 63}},
        {.number = SYS_execve, .args = {(uintptr_t)nowhere}},
        {.number = SYS_execveat,
         .args = {(uint64_t)AT_FDCWD, (uintptr_t)nowhere, 0, 0, 0, filter.exec_key}},
        {.number = SYS_getppid, .args = {0, 0, 0, 0, 0, filter.exec_key}},
    };
    const long results[] = {-ENOENT, -EPERM, -EPERM, -EPERM, -ENOENT, -EPERM};
    size_t made;

    assert_int_not_equal(filter.exec_key, 0);
    assert_int_equal(filter.send_key, 0);
    assert_int_equal(calls_under_filter(filter.program, filter.n, calls, N(calls), &made), 0);
    for (size_t i = 0; i < N(calls); i++)
        assert_int_equal(calls[i].result, results[i]);
    filter_done(&filter);

    filter = compile(policy, AIT_SANDBOX_DENY_EXPLAIN, 0);
    struct made_call sends[] = {
        {.number = SYS_sendmsg, .args = {(uint64_t)filter.send_key << 32 | UINT32_MAX}},
        {.number = SYS_sendmsg, .args = {UINT32_MAX}},
    };
    assert_int_not_equal(filter.send_key, 0);
    assert_int_equal(filter.exec_key, 0);
    assert_int_equal(calls_under_filter(filter.program, filter.n, sends, N(sends), &made), 0);
    assert_int_equal(sends[0].result, -EBADF);
    assert_int_equal(sends[1].result, -ENOSYS);
    filter_done(&filter);
    (void)ait_policy_unref(policy);
}

static void keys_differ(void **state)
{
    struct sandbox_filter a = compile(NULL, AIT_SANDBOX_DENY_LEARN, AIT_SANDBOX_EXEC),
                          b = compile(NULL, AIT_SANDBOX_DENY_LEARN, AIT_SANDBOX_EXEC);

    assert_true(a.exec_key != b.exec_key && a.exec_key >> 32 != 0 && (uint32_t)a.exec_key != 0);
    assert_true(a.send_key != b.send_key && a.send_key != 0);
    filter_done(&a);
    filter_done(&b);
}

#if defined(__x86_64__)
static long __attribute__((noinline)) getppid_of_i386(void)
{
    long result = 64; /* its number */
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    return result;
}

/* The child's signal, or 0. */
static int i386_under(const struct sandbox_filter *filter)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        const struct sock_fprog program = {(unsigned short)(filter ? filter->n : 0),
                                           (struct sock_filter *)(filter ? filter->program : NULL)};
        (void)signal(SIGSEGV, SIG_DFL);
        (void)syscall(SYS_prctl, 38 /* PR_SET_NO_NEW_PRIVS */, 1, 0, 0, 0);
        if (filter && syscall(SYS_seccomp, 1, 0, &program) < 0)
            _exit(2);
        _exit(getppid_of_i386() != getppid());
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) == 0 ? 0 : -1;
}

static void i386_is_killed_live(void **state)
{
    ait_policy *policy = new_policy(ALLOW);

    if (i386_under(NULL) != 0) {
        print_message("this kernel has no int 0x80\n");
        skip();
    }
    for (int deny = AIT_SANDBOX_DENY_ERRNO; deny <= AIT_SANDBOX_DENY_EXPLAIN; deny++) {
        struct sandbox_filter filter = compile(policy, (ait_sandbox_deny)deny, 0);
        assert_int_equal(i386_under(&filter), deny == AIT_SANDBOX_DENY_LOG ? 0 : SIGSYS);
        filter_done(&filter);
    }
    (void)ait_policy_unref(policy);
}
#endif

/* ---- by the interpreter ---------------------------------------------------------------------- */

static uint32_t ask(const struct sock_filter *program, size_t n, int number)
{
    return bpf_run(program, n,
                   &(const struct seccomp_data){.nr = number, .arch = NATIVE_ARCHITECTURE});
}

static void quiet_answers_designed_enosys_alone(void **state)
{
    ait_policy *policy = new_policy(ALLOW);

    policy->calls[SYS_getppid].otherwise = DENY(EPERM);
    policy->calls[425].otherwise = policy->calls[426].otherwise = DENY(ENOSYS);
    policy->calls[SYS_execve].otherwise = DENY(ENOSYS);
    for (int deny = 0; deny <= AIT_SANDBOX_DENY_LEARN; deny++) {
        struct sandbox_filter filter = compile(policy, (ait_sandbox_deny)deny, AIT_SANDBOX_EXEC);
        bool listened = deny == AIT_SANDBOX_DENY_EXPLAIN || deny == AIT_SANDBOX_DENY_LEARN;
        assert_int_equal(filter.quiet == NULL, listened);
        if (!listened) {
            assert_int_equal(ask(filter.quiet, filter.n_quiet, 425), SECCOMP_RET_ERRNO | ENOSYS);
            assert_int_equal(ask(filter.quiet, filter.n_quiet, 426), SECCOMP_RET_ERRNO | ENOSYS);
            assert_int_equal(ask(filter.quiet, filter.n_quiet, 427), SECCOMP_RET_ALLOW);
            assert_int_equal(ask(filter.quiet, filter.n_quiet, SYS_getppid), SECCOMP_RET_ALLOW);
            /* Or the key would not open it. */
            assert_int_equal(ask(filter.quiet, filter.n_quiet, SYS_execve), SECCOMP_RET_ALLOW);
        }
        filter_done(&filter);
    }
    (void)ait_policy_unref(policy);
}

static void learning_needs_no_policy(void **state)
{
    struct sandbox_filter filter = compile(NULL, AIT_SANDBOX_DENY_LEARN, 0);

    for (int number = -1; number <= SYSCALL_NEWEST + 64; number++)
        assert_int_equal(ask(filter.program, filter.n, number), SECCOMP_RET_USER_NOTIF);
    filter_done(&filter);
}

/* What is asked for often has a short way through the program, whatever the kernel remembers of it.
 */
static void presets_are_short(void **state)
{
    static const char *const presets[] = {"service", "strict"};
    static const int hot[] = {SYS_read,        SYS_write,    SYS_getppid,
                              SYS_epoll_pwait, SYS_recvfrom, SYS_futex};

    for (size_t i = 0; i < N(presets); i++) {
        ait_policy *policy;
        unsigned steps;
        assert_int_equal(ait_policy_from_preset(&policy, presets[i], NULL), 0);
        struct sandbox_filter filter = compile(policy, AIT_SANDBOX_DENY_ERRNO, AIT_SANDBOX_EXEC);
        print_message("%s: %zu instructions, %zu for designed ENOSYS\n", presets[i], filter.n,
                      filter.n_quiet);
        assert_true(filter.n < 2000);
        for (size_t k = 0; k < N(hot); k++) {
            const struct seccomp_data data = {.nr = hot[k], .arch = NATIVE_ARCHITECTURE};
            (void)bpf_run_counted(filter.program, filter.n, &data, &steps);
            print_message("  call %d: %u steps\n", hot[k], steps);
            assert_true(steps <= 60);
        }
        filter_done(&filter);
        (void)ait_policy_unref(policy);
    }
}

/* ---- bounds and errors ----------------------------------------------------------------------- */

static void refused(const ait_policy *policy, int error, const char *word)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    struct sandbox_filter filter = {.n = 4711};

    assert_int_equal(filter_compile(policy, AIT_SANDBOX_DENY_ERRNO, 0, &filter, &problem), error);
    assert_int_equal(filter.n, 4711);
    assert_int_equal(problem.error, error);
    if (!strstr(problem.message, word))
        fail_msg("%s", problem.message);
    assert_int_equal(filter_compile(policy, AIT_SANDBOX_DENY_ERRNO, 0, &filter, NULL), error);
}

static void size_is_bounded(void **state)
{
    ait_policy *policy = new_policy(ALLOW);

    /* A comparison of 64 bits takes more than the kernel's 4096 instructions have room for, 1000
     * times. */
    for (unsigned i = 0; i < 1000; i++)
        add(policy, (int)(i % 400), DENY(EPERM),
            (ait_policy_compare){0, AIT_POLICY_EQ, UINT64_MAX, UINT64_C(0x100000001) * (i + 1)});
    refused(policy, -E2BIG, "4096");
    (void)ait_policy_unref(policy);

    policy = new_policy(ALLOW);
    ait_policy_compare compares[POLICY_COMPARES_MAX];
    for (unsigned i = 0; i < POLICY_COMPARES_MAX; i++)
        compares[i] = (ait_policy_compare){(uint8_t)(i % 6), AIT_POLICY_NE, UINT64_MAX, i};
    for (int i = 0; i < 400; i++)
        assert_int_equal(policy_add_rule(policy, i, DENY(EPERM), compares, POLICY_COMPARES_MAX), 0);
    refused(policy, -E2BIG, "4800");
    (void)ait_policy_unref(policy);
    refused(NULL, -EINVAL, "policy");
}

/* libseccomp's time explodes with rules of one call that look at different arguments; ours must
 * not. */
static void rules_that_look_at_different_arguments_are_no_bomb(void **state)
{
    ait_policy *policy = new_policy(ALLOW);

    for (unsigned i = 0; i < 100; i++) {
        ait_policy_compare compares[3];
        for (unsigned k = 0; k < 3; k++)
            compares[k] =
                (ait_policy_compare){(uint8_t)((i * (k + 1) + k) % 6),
                                     k == 1 ? AIT_POLICY_NE : AIT_POLICY_EQ, UINT32_MAX, i + k};
        assert_int_equal(policy_add_rule(policy, SYS_getppid, DENY(EPERM), compares, 3), 0);
    }
    struct sandbox_filter filter = compile(policy, AIT_SANDBOX_DENY_ERRNO, 0);
    print_message("100 rules of three comparisons: %zu instructions\n", filter.n);
    filter_done(&filter);
    (void)ait_policy_unref(policy);
}

/* ---- the caller's process -------------------------------------------------------------------- */

static unsigned count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n;
}

static void nothing_is_left_open(void **state)
{
    ait_policy *policy = new_policy(ALLOW);
    unsigned before = count_fds();

    for (int i = 0; i < 3; i++) {
        struct sandbox_filter filter = compile(policy, AIT_SANDBOX_DENY_ERRNO, 0);
        filter_done(&filter);
        filter_done(&filter);
    }
    filter_done(NULL);
    assert_int_equal(count_fds(), before);
    (void)ait_policy_unref(policy);
}

/* In a child; its exit status. */
static int in_child(int (*fn)(const ait_policy *policy))
{
    ait_policy *policy = new_policy(ALLOW);
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(fn(policy));
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)ait_policy_unref(policy);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int without_standard_descriptors(const ait_policy *policy)
{
    struct sandbox_filter filter;

    for (int fd = 0; fd < 3; fd++)
        (void)close(fd);
    if (filter_compile(policy, AIT_SANDBOX_DENY_ERRNO, 0, &filter, NULL) < 0)
        return 1;
    filter_done(&filter);
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            return 2;
    return 0;
}

static int with_sigchld_ignored(const ait_policy *policy)
{
    struct sandbox_filter filter;

    (void)signal(SIGCHLD, SIG_IGN);
    if (filter_compile(policy, AIT_SANDBOX_DENY_ERRNO, 0, &filter, NULL) < 0)
        return 1;
    filter_done(&filter);
    return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD ? 0 : 2;
}

static volatile sig_atomic_t n_signals;

static void on_signal(int number)
{
    n_signals++;
}

/* A child that has ended before is still there to be waited for, and no signal is lost. */
static int with_a_child_of_its_own(const ait_policy *policy)
{
    struct sandbox_filter filter;
    int status = 0;
    sigset_t before, after; /* the kernel fills a part */

    memset(&before, 0, sizeof(before));
    memset(&after, 0, sizeof(after));
    (void)signal(SIGCHLD, on_signal);
    (void)sigprocmask(SIG_SETMASK, NULL, &before);
    pid_t pid = fork();
    if (pid == 0)
        _exit(42);
    siginfo_t info;
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    if (filter_compile(policy, AIT_SANDBOX_DENY_ERRNO, 0, &filter, NULL) < 0)
        return 1;
    filter_done(&filter);
    if (waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 42)
        return 2;
    if (waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD)
        return 3;
    (void)sigprocmask(SIG_SETMASK, NULL, &after);
    return n_signals >= 1 && memcmp(&before, &after, sizeof(before)) == 0 ? 0 : 4;
}

static void the_caller_keeps_what_is_its_own(void **state)
{
    assert_int_equal(in_child(without_standard_descriptors), 0);
    assert_int_equal(in_child(with_sigchld_ignored), 0);
    assert_int_equal(in_child(with_a_child_of_its_own), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_has_one_prefix_or_none),
        cmocka_unit_test(a_rule_is_few_tests),
        cmocka_unit_test(actions_and_modes_live),
        cmocka_unit_test(every_number_live),
        cmocka_unit_test(arguments_live),
        cmocka_unit_test(the_first_rule_that_holds_decides),
        cmocka_unit_test(keys_open_what_they_are_for),
        cmocka_unit_test(keys_differ),
#if defined(__x86_64__)
        cmocka_unit_test(i386_is_killed_live),
#endif
        cmocka_unit_test(quiet_answers_designed_enosys_alone),
        cmocka_unit_test(learning_needs_no_policy),
        cmocka_unit_test(presets_are_short),
        cmocka_unit_test(size_is_bounded),
        cmocka_unit_test(rules_that_look_at_different_arguments_are_no_bomb),
        cmocka_unit_test(nothing_is_left_open),
        cmocka_unit_test(the_caller_keeps_what_is_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
