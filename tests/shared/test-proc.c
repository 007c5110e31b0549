/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proc.h"

static void test_self(void **state)
{
    struct proc_stat stat;

    assert_int_equal(prctl(PR_SET_NAME, ") R 1 (x"), 0);
    assert_int_equal(proc_read_stat(getpid(), &stat), 0);
    assert_int_equal(stat.parent, getppid());
    assert_int_equal(stat.group, getpgrp());
    assert_int_equal(stat.session, getsid(0));
    assert_int_equal(stat.state, 'R');
    assert_true(stat.start > 0);
}

static void test_zombie_and_gone(void **state)
{
    struct proc_stat stat;
    siginfo_t info;
    char *status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(proc_read_stat(pid, &stat), 0);
    assert_int_equal(stat.state, 'Z');
    assert_int_equal(stat.parent, getpid());
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(proc_read_stat(pid, &stat), -ESRCH);
    assert_int_equal(proc_read_status(pid, &status), -ESRCH);
}

static void test_status_of_self(void **state)
{
    char *status, value[32];

    assert_int_equal(proc_read_status(getpid(), &status), 0);
    assert_true(proc_status_value(status, "Tgid", value, sizeof(value)));
    assert_int_equal(atoi(value), getpid());
    free(status);
}

static void test_status_value(void **state)
{
    static const char status[] =
        "Name:\tTgid: 7\nTgid:\t12\nTgid:\t13\nTracerPid:\t0\nEmpty:\nLast:\tcut";
    static const struct {
        const char *name, *value;
    } cases[] = {
        {"Name", "Tgid: 7"}, {"Tgid", "12"},  {"Tracer", NULL},
        {"Empty", ""},       {"Last", "cut"}, {"Absent", NULL},
    };
    char value[8];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(proc_status_value(status, cases[i].name, value, sizeof(value)),
                         cases[i].value != NULL);
        if (cases[i].value)
            assert_string_equal(value, cases[i].value);
    }
    assert_true(proc_status_value(status, "Name", value, 4));
    assert_string_equal(value, "Tgi");
    assert_false(proc_status_value("", "Name", value, sizeof(value)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_self),
        cmocka_unit_test(test_zombie_and_gone),
        cmocka_unit_test(test_status_of_self),
        cmocka_unit_test(test_status_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
