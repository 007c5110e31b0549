/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Children that nobody waits for: all the dead are reaped, and none that another one waits for. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/reap.h"

#define N 200

static pid_t known[4];
static unsigned n_known;

static bool is_known(pid_t pid, void *userdata)
{
    for (unsigned i = 0; i < n_known; i++)
        if (known[i] == pid)
            return true;
    return false;
}

/* Dead at once, or never. */
static pid_t child(bool dies)
{
    siginfo_t info;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0 && dies)
        _exit(0);
    while (pid == 0)
        pause();
    if (dies)
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    return pid;
}

static void end(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Living ones, and those of others, are left alone. */
static void test_dead(void **state)
{
    pid_t living = child(false);
    unsigned n = 77;

    n_known = 0;
    assert_int_equal(reap_dead(is_known, NULL, 10, &n), 0);
    assert_int_equal(n, 0);
    for (unsigned i = 0; i < N; i++)
        (void)child(true);
    assert_int_equal(reap_dead(is_known, NULL, 10, &n), 1);
    assert_int_equal(n, 10);
    assert_int_equal(reap_dead(is_known, NULL, N, &n), 0);
    assert_int_equal(n, N - 10);
    assert_int_equal(reap_dead(NULL, NULL, N, &n), 0);
    end(living);
    assert_int_equal(reap_dead(is_known, NULL, N, &n), 0); /* there is no child at all */
    assert_int_equal(n, 0);
}

/* Behind a dead one that is known, in whatever order. */
static void test_behind(void **state)
{
    pid_t living = child(false);
    unsigned n;
    int reaped = 0, r;

    n_known = 0;
    for (unsigned i = 0; i < N; i++) {
        pid_t pid = child(true);

        if (i % (N / 4) == 7)
            known[n_known++] = pid;
    }
    assert_int_equal(n_known, 4);
    while ((r = reap_dead(is_known, NULL, 10, &n)) == 1)
        reaped += (int)n;
    assert_int_equal(r, -EBUSY);
    reaped += (int)n;
    assert_int_equal(reaped, 7);
    while ((r = reap_behind(is_known, NULL)) > 0)
        reaped += r;
    assert_int_equal(r, 0);
    assert_int_equal(reaped, N - 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(waitpid(known[i], NULL, 0), known[i]);
    end(living);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dead),
        cmocka_unit_test(test_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
