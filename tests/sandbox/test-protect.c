/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A process outside that can be neither signalled nor re-scheduled: what the policy says, and what
 * its child finds. */

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "enter/sandbox.h"
#include "inside.h"
#include "enter/landlock.h"
#include "policy/model.h"
#include "enter/protect.h"

#define HIGH (UINT64_C(0xdead0000) << 32)
#define N(a) (sizeof(a) / sizeof((a)[0]))

static ait_policy *service;
static pid_t self;

/* ---- what the policy says -------------------------------------------------------------------- */

static int answer(const ait_policy *policy, int number, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t args[6] = {a, b, c};
    ait_policy_action action = ait_policy_evaluate(policy, number, args);
    return action.kind == AIT_POLICY_ALLOW ? 0 : action.error;
}

static void rules_refuse_the_process(void **state)
{

    const struct {
        int number;
        uint64_t args[3];
        bool signals; /* refused only then */
    } cases[] = {
        {SYS_sched_setaffinity, {(uint64_t)self}},
        {SYS_sched_setaffinity, {HIGH | (uint64_t)self}},
        {SYS_sched_setattr, {(uint64_t)self}},
        {SYS_sched_setparam, {(uint64_t)self}},
        {SYS_sched_setscheduler, {(uint64_t)self, 5}},
        {SYS_setpriority, {PRIO_PROCESS, (uint64_t)self}},
        {SYS_setpriority, {HIGH | PRIO_PROCESS, HIGH | (uint64_t)self}},
        {SYS_setpriority, {PRIO_PGRP, (uint64_t)getpgrp()}},
        {SYS_ioprio_set, {1, (uint64_t)self}},
        {SYS_ioprio_set, {2, (uint64_t)getpgrp()}},
        {SYS_kill, {(uint64_t)self, 9}, true},
        {SYS_kill, {UINT64_MAX, 9}, true},
        {SYS_kill, {UINT32_MAX, 9}, true},
        {SYS_kill, {(uint64_t)-getpgrp(), 9}, true},
        {SYS_kill, {HIGH | (uint32_t)-getpgrp(), 9}, true},
        {SYS_tkill, {(uint64_t)self, 9}, true},
        {SYS_tgkill, {(uint64_t)self, 1, 9}, true},
        {SYS_rt_sigqueueinfo, {(uint64_t)self, 9}, true},
        {SYS_rt_tgsigqueueinfo, {(uint64_t)self, 1, 9}, true},
        {SYS_pidfd_open, {(uint64_t)self}, true},
        {SYS_fcntl, {0, F_SETOWN, (uint64_t)self}, true},
        {SYS_fcntl, {0, F_SETOWN, (uint64_t)-getpgrp()}, true},
        {SYS_fcntl, {0, 15 /* F_SETOWN_EX */, 0}, true},
        {SYS_ioctl, {0, FIOSETOWN, 0}, true},
        {SYS_ioctl, {0, SIOCSPGRP, 0}, true},
    };
    ait_policy *scheduling = NULL, *all = NULL;

    assert_int_equal(policy_protect(&scheduling, service, self, false), 0);
    assert_int_equal(policy_protect(&all, service, self, true), 0);
    for (size_t i = 0; i < N(cases); i++) {
        const uint64_t *a = cases[i].args;
        int before = answer(service, cases[i].number, a[0], a[1], a[2]);
        int some = answer(scheduling, cases[i].number, a[0], a[1], a[2]);
        int now = answer(all, cases[i].number, a[0], a[1], a[2]);
        if (before != 0 || some != (cases[i].signals ? 0 : EPERM) || now != EPERM)
            fail_msg("case %zu: %d, %d, %d", i, before, some, now);
    }
    ait_policy_unref(scheduling);
    ait_policy_unref(all);
}

/* Others, the caller itself, its own group, and what the policy has said before. */
static void rules_refuse_nothing_else(void **state)
{
    const struct {
        int number;
        uint64_t args[3];
    } cases[] = {
        {SYS_sched_setaffinity, {0}},
        {SYS_sched_setaffinity, {(uint64_t)self + 1}},
        {SYS_sched_getaffinity, {(uint64_t)self}},
        {SYS_setpriority, {PRIO_PROCESS, 0}},
        {SYS_setpriority, {PRIO_PGRP, 0}},
        {SYS_setpriority, {PRIO_USER, (uint64_t)self}},
        {SYS_ioprio_set, {1, 0}},
        {SYS_kill, {0, 9}},
        {SYS_kill, {(uint64_t)self + 1, 9}},
        {SYS_tgkill, {(uint64_t)self + 1, (uint64_t)self, 9}},
        {SYS_fcntl, {(uint64_t)self, F_GETFD, (uint64_t)self}},
        {SYS_fcntl, {0, F_SETOWN, (uint64_t)self + 1}},
        {SYS_ioctl, {0, FIONBIO}},
        {SYS_ioctl, {0, TIOCSTI}},
        {SYS_prlimit64, {(uint64_t)self, 0, 1}},
    };
    ait_policy *all = NULL;

    assert_int_equal(policy_protect(&all, service, self, true), 0);
    for (size_t i = 0; i < N(cases); i++) {
        const uint64_t *a = cases[i].args;
        if (answer(service, cases[i].number, a[0], a[1], a[2]) !=
            answer(all, cases[i].number, a[0], a[1], a[2]))
            fail_msg("case %zu", i);
    }
    ait_policy_unref(all);
}

/* Who may not make the call at all hears the policy's own answer; what it lets through under
 * conditions is refused before these. */
static void answers_of_the_policy_stay(void **state)
{
    ait_policy *policy = inside_policy("policy 1\ndefault errno(EACCES)\nsetpriority: enosys\n"
                                       "tgkill arg2 == 6: allow\nkill: log\n"),
               *all = NULL;

    assert_int_equal(policy_protect(&all, policy, self, true), 0);
    assert_int_equal(answer(all, SYS_sched_setparam, (uint64_t)self, 0, 0), EACCES);
    assert_int_equal(answer(all, SYS_setpriority, PRIO_PROCESS, (uint64_t)self, 0), ENOSYS);
    assert_int_equal(answer(all, SYS_tgkill, (uint64_t)self, 1, 6), EPERM);
    assert_int_equal(answer(all, SYS_tgkill, (uint64_t)self + 1, 1, 6), 0);
    assert_int_equal(answer(all, SYS_tgkill, (uint64_t)self + 1, 1, 7), EACCES);
    assert_int_equal(answer(all, SYS_kill, (uint64_t)self, 0, 0), EPERM);
    assert_string_equal(all->name, policy->name);
    ait_policy_unref(all);
    ait_policy_unref(policy);
}

static void bounds(void **state)
{
    ait_policy *policy = NULL, *untouched = (ait_policy *)(uintptr_t)&policy, *ret = untouched;
    const ait_policy_compare compare = {
        .arg = 1, .op = AIT_POLICY_EQ, .mask = UINT32_MAX, .value = 7};

    assert_int_equal(policy_protect(&ret, service, 0, true), -EINVAL);
    assert_int_equal(policy_protect(&ret, service, INT32_MAX, true), -ESRCH);
    assert_int_equal(policy_new(&policy, "full", (ait_policy_action){AIT_POLICY_ALLOW, 0}), 0);
    for (unsigned i = 0; i < POLICY_RULES_A_CALL; i++)
        assert_int_equal(policy_add_rule(policy, SYS_kill,
                                         (ait_policy_action){AIT_POLICY_ERRNO, EPERM}, &compare, 1),
                         0);
    assert_int_equal(policy_protect(&ret, policy, self, true), -E2BIG);
    assert_ptr_equal(ret, untouched);
    ait_policy_unref(policy);
}

/* ---- what a child finds ---------------------------------------------------------------------- */

static int said(long r)
{
    return r < 0 ? errno : 0;
}

/* The group of the process that is protected is its own: nobody else is reached. */
static int try_affinity(const void *arg)
{
    cpu_set_t set;
    return said(sched_getaffinity(self, sizeof(set), &set))
               ?: said(sched_setaffinity(self, sizeof(set), &set));
}
static int try_scheduler(const void *arg)
{
    const struct sched_param param = {0};
    return said(sched_setscheduler(self, sched_getscheduler(self), &param));
}
static int try_param(const void *arg)
{
    const struct sched_param param = {0};
    return said(sched_setparam(self, &param));
}
static int try_attr(const void *arg)
{
    struct {
        uint32_t size, policy;
        uint64_t words[6];
    } attr = {.size = sizeof(attr)};
    return said(syscall(SYS_sched_getattr, self, &attr, sizeof(attr), 0))
               ?: said(syscall(SYS_sched_setattr, self, &attr, 0));
}
static int try_priority(const void *arg)
{
    return said(setpriority(PRIO_PROCESS, (id_t)self, getpriority(PRIO_PROCESS, (id_t)self)));
}
static int try_group_priority(const void *arg)
{
    return said(setpriority(PRIO_PGRP, (id_t)self, getpriority(PRIO_PROCESS, (id_t)self)));
}
static int try_io_priority(const void *arg)
{
    return said(syscall(SYS_ioprio_set, 1, self, syscall(SYS_ioprio_get, 1, self)));
}
static int try_group_io_priority(const void *arg)
{
    return said(syscall(SYS_ioprio_set, 2, self, syscall(SYS_ioprio_get, 1, self)));
}
static int try_kill(const void *arg)
{
    return said(kill(self, 0));
}
static int try_kill_group(const void *arg)
{
    /* Who belongs to the group may signal it, as far as the kernel is concerned. */
    return said(setpgid(0, 0)) ?: said(kill(-self, 0));
}
static int try_tkill(const void *arg)
{
    return said(syscall(SYS_tkill, self, 0));
}
static int try_tgkill(const void *arg)
{
    return said(syscall(SYS_tgkill, self, self, 0));
}
static int try_sigqueue(const void *arg)
{
    siginfo_t info = {.si_code = SI_QUEUE};
    return said(syscall(SYS_rt_sigqueueinfo, self, 0, &info));
}
static int try_tgsigqueue(const void *arg)
{
    siginfo_t info = {.si_code = SI_QUEUE};
    return said(syscall(SYS_rt_tgsigqueueinfo, self, self, 0, &info));
}
static int try_pidfd(const void *arg)
{
    int fd = (int)syscall(SYS_pidfd_open, self, 0);
    return fd < 0 ? errno : said(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
}
static int try_owner(const void *arg)
{
    int fds[2];
    return said(socketpair(AF_UNIX, SOCK_STREAM, 0, fds)) ?: said(fcntl(fds[0], F_SETOWN, self));
}
static int try_myself(const void *arg)
{
    cpu_set_t set;
    int fds[2];

    return said(setpgid(0, 0)) ?: said(kill(getpid(), 0)) ?: said(kill(0, 0))
        ?: said(sched_getaffinity(0, sizeof(set), &set)) ?: said(sched_setaffinity(0, sizeof(set), &set))
        ?: said(setpriority(PRIO_PGRP, 0, getpriority(PRIO_PROCESS, 0)))
        ?: said(socketpair(AF_UNIX, SOCK_STREAM, 0, fds)) ?: said(fcntl(fds[0], F_SETOWN, getpid()));
}

static const struct {
    int (*attempt)(const void *arg);
    bool signals;
} attempts[] = {
    {try_affinity, false},    {try_scheduler, false},
    {try_param, false},       {try_attr, false},
    {try_priority, false},    {try_group_priority, false},
    {try_io_priority, false}, {try_group_io_priority, false},
    {try_kill, true},         {try_kill_group, true},
    {try_tkill, true},        {try_tgkill, true},
    {try_sigqueue, true},     {try_tgsigqueue, true},
    {try_pidfd, true},        {try_owner, true},
};

static ait_sandbox *protecting(pid_t protect, uint64_t flags)
{
    return inside_sandbox(AIT_SANDBOX_OPTIONS(.policy = service, .protect = protect,
                                              .flags = flags | AIT_SANDBOX_KEEP_CAPABILITIES));
}

/* Without a scope the policy is all there is. */
static void a_child_cannot(void **state)
{
    ait_sandbox *without = protecting(0, 0), *with = protecting(self, 0);

    for (size_t i = 0; i < N(attempts); i++) {
        int before = inside(without, attempts[i].attempt, NULL),
            now = inside(with, attempts[i].attempt, NULL);
        if (before != 0 || now != EPERM)
            fail_msg("attempt %zu: %d, %d", i, before, now);
    }
    assert_int_equal(inside(with, try_myself, NULL), 0);
    ait_sandbox_unref(without);
    ait_sandbox_unref(with);
}

/* As a supervisor whose parent is its guardian; here that is whoever has started the test. */
static int try_parent(const void *arg)
{
    const pid_t *parent = arg;

    return said(setpriority(PRIO_PROCESS, (id_t)*parent, getpriority(PRIO_PROCESS, (id_t)*parent)));
}
static int try_kill_parent(const void *arg)
{
    return said(kill(*(const pid_t *)arg, 0));
}

static void nor_to_the_parent(void **state)
{
    pid_t parent = getppid();
    ait_sandbox *without = protecting(self, 0),
                *with = protecting(self, AIT_SANDBOX_PROTECT_PARENT);

    if (parent <= 0 || inside(without, try_parent, &parent) != 0)
        skip();
    assert_int_equal(inside(without, try_kill_parent, &parent), 0);
    assert_int_equal(inside(with, try_parent, &parent), EPERM);
    assert_int_equal(inside(with, try_kill_parent, &parent), EPERM);
    assert_int_equal(inside(with, try_kill, NULL), EPERM);
    assert_int_equal(inside(with, try_myself, NULL), 0);
    ait_sandbox_unref(without);
    ait_sandbox_unref(with);
}

/* The kernel sees to signals; the filter stays small, and pidfd_open free. */
static void with_a_scope(void **state)
{
    ait_sandbox *without = protecting(0, 0), *small = protecting(self, AIT_SANDBOX_SCOPE),
                *large = protecting(self, 0);
    size_t n, n_small, n_large;

    (void)ait_sandbox_program(without, &n);
    (void)ait_sandbox_program(small, &n_small);
    (void)ait_sandbox_program(large, &n_large);
    print_message("%zu instructions, %zu with a scope, %zu without\n", n, n_small, n_large);
    assert_true(n < n_small && n_small <= n_large && n_large < n + 350);
    assert_int_equal(n_small < n_large, landlock_abi() >= 6);
    for (size_t i = 0; i < N(attempts); i++)
        if (attempts[i].attempt != try_owner || landlock_abi() < 6)
            assert_int_equal(inside(small, attempts[i].attempt, NULL), EPERM);
    assert_int_equal(inside(small, try_myself, NULL), 0);
    ait_sandbox_unref(without);
    ait_sandbox_unref(small);
    ait_sandbox_unref(large);
}

/* ---- options --------------------------------------------------------------------------------- */

static void options_of_it(void **state)
{
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_sandbox *s = NULL;
    const uint64_t args[6] = {(uint64_t)self};

    assert_int_equal(
        ait_sandbox_new(&s, AIT_SANDBOX_OPTIONS(.policy = service, .protect = -1), &problem),
        -EINVAL);
    assert_int_equal(
        ait_sandbox_new(&s, AIT_SANDBOX_OPTIONS(.policy = service, .protect = INT32_MAX), &problem),
        -ESRCH);
    assert_non_null(strstr(problem.message, "2147483647"));
    assert_null(s);
    /* Without a policy there is nothing to add to. */
    s = inside_sandbox(
        AIT_SANDBOX_OPTIONS(.protect = self, .flags = AIT_SANDBOX_KEEP_CAPABILITIES));
    assert_int_equal(inside(s, try_affinity, NULL), 0);
    ait_sandbox_unref(s);
    /* Who explains knows these denials; who learns writes no numbers of processes. */
    s = inside_sandbox(
        AIT_SANDBOX_OPTIONS(.policy = service, .deny = AIT_SANDBOX_DENY_EXPLAIN, .protect = self));
    assert_int_equal(ait_policy_evaluate(s->policy, SYS_kill, args).error, EPERM);
    ait_sandbox_unref(s);
    s = inside_sandbox(
        AIT_SANDBOX_OPTIONS(.policy = service, .deny = AIT_SANDBOX_DENY_LEARN, .protect = self));
    assert_true(policy_equal(s->policy, service));
    ait_sandbox_unref(s);
}

static int make_service(void **state)
{
    if (setpgid(0, 0) < 0 && getpgrp() != getpid())
        return -1;
    self = getpid();
    return ait_policy_from_preset(&service, "service", NULL);
}

static int release_service(void **state)
{
    service = ait_policy_unref(service);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_refuse_the_process),
        cmocka_unit_test(rules_refuse_nothing_else),
        cmocka_unit_test(answers_of_the_policy_stay),
        cmocka_unit_test(bounds),
        cmocka_unit_test(a_child_cannot),
        cmocka_unit_test(nor_to_the_parent),
        cmocka_unit_test(with_a_scope),
        cmocka_unit_test(options_of_it),
    };
    return cmocka_run_group_tests(tests, make_service, release_service);
}
