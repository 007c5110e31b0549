/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <linux/audit.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "architecture.h"
#include "policy/model.h"
#include "filter/verify.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define EPERM_   ((ait_policy_action){.kind = AIT_POLICY_ERRNO, .error = EPERM})

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes_make_answers_of_actions),
        cmocka_unit_test(keys_and_architectures_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
