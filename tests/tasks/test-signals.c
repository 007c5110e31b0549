/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Signals, awaited: none is lost, masks come back as they were, and ait_run() leaves alone what the
 * program takes itself. */

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static sigset_t set_of(int a, int b)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, a);
    if (b)
        sigaddset(&set, b);
    return set;
}

static bool blocked(int signo)
{
    sigset_t set;

    return pthread_sigmask(SIG_SETMASK, NULL, &set) == 0 && sigismember(&set, signo) == 1;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int raise_later(void *userdata)
{
    return raise((int)(intptr_t)userdata);
}

static int next_main(void *userdata)
{
    AIT_CLEANUP(ait_signals_closep) ait_signals *signals = NULL;
    struct signalfd_siginfo info = {};
    sigset_t set = set_of(SIGUSR1, SIGUSR2);

    CHECK_EQ(ait_signals_open(&signals, &set), 0);
    CHECK(blocked(SIGUSR1) && blocked(SIGUSR2));
    /* Sent before anybody waits, */
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(ait_signals_next(signals, &info), SIGUSR1);
    CHECK_EQ(info.ssi_signo, SIGUSR1);
    CHECK_EQ(info.ssi_pid, getpid());
    /* while somebody waits, */
    CHECK_EQ(ait_task_spawn(NULL, raise_later, (void *)(intptr_t)SIGUSR2, NULL), 0);
    CHECK_EQ(ait_signals_next(signals, &info), SIGUSR2);
    /* and two between two calls. */
    CHECK_EQ(raise(SIGUSR2), 0);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(ait_signals_next(signals, NULL) + ait_signals_next(signals, NULL), SIGUSR1 + SIGUSR2);
    return 0;
}

static int timeout_main(void *userdata)
{
    AIT_CLEANUP(ait_signals_closep) ait_signals *signals = NULL;
    sigset_t set = set_of(SIGUSR1, 0);
    AIT_SCOPE(scope);

    CHECK_EQ(ait_signals_open(&signals, &set), 0);
    CHECK_EQ(ait_scope_enter_after(&scope, 0, MS(1)), 0);
    CHECK_EQ(ait_scope_exit(scope, ait_signals_next(signals, NULL)), -ETIME);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(ait_signals_next(signals, NULL), SIGUSR1);
    return 0;
}

static void test_next(void **unused)
{
    assert_int_equal(run_real(next_main, NULL), 0);
    assert_int_equal(run_real(timeout_main, NULL), 0);
    assert_false(blocked(SIGUSR1));
}

/* ---- masks ----------------------------------------------------------------------------------- */

static int mask_main(void *userdata)
{
    ait_signals *outer = NULL, *inner = NULL;
    sigset_t a = set_of(SIGUSR1, SIGHUP), b = set_of(SIGUSR2, 0);

    CHECK(!blocked(SIGUSR1) && !blocked(SIGUSR2) && blocked(SIGHUP));
    CHECK_EQ(ait_signals_open(&outer, &a), 0);
    CHECK_EQ(ait_signals_open(&inner, &b), 0);
    CHECK(blocked(SIGUSR1) && blocked(SIGUSR2) && blocked(SIGHUP));
    CHECK(ait_signals_close(inner) == NULL);
    CHECK(blocked(SIGUSR1) && !blocked(SIGUSR2));
    CHECK(ait_signals_close(outer) == NULL);
    CHECK(!blocked(SIGUSR1) && blocked(SIGHUP)); /* that was not ours */
    CHECK(ait_signals_close(NULL) == NULL);
    return 0;
}

/* Two parts of a program want the same signal. Whichever is closed first, the other one still gets
 * it. */
static int shared_main(void *userdata)
{
    for (int i = 0; i < 2; i++) {
        ait_signals *both[2] = {NULL, NULL};
        sigset_t set = set_of(SIGUSR1, SIGHUP);

        CHECK_EQ(ait_signals_open(both, &set), 0);
        CHECK_EQ(ait_signals_open(both + 1, &set), 0);
        ait_signals_closep(both + i);
        if (CHECK(blocked(SIGUSR1))) {
            CHECK_EQ(raise(SIGUSR1), 0);
            CHECK_EQ(ait_signals_next(both[!i], NULL), SIGUSR1);
        }
        ait_signals_closep(both + !i);
        CHECK(!blocked(SIGUSR1) && blocked(SIGHUP));
    }
    return 0;
}

static void test_mask(void **unused)
{
    sigset_t before = set_of(SIGHUP, 0), none;

    sigemptyset(&none);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    assert_int_equal(run_real(mask_main, NULL), 0);
    assert_int_equal(run_real(shared_main, NULL), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &none, NULL), 0);
}

static int argument_main(void *userdata)
{
    ait_signals *signals = NULL;
    sigset_t set = set_of(SIGUSR1, 0);

    CHECK_EQ(ait_signals_open(NULL, &set), -EINVAL);
    CHECK_EQ(ait_signals_open(&signals, NULL), -EINVAL);
    CHECK_EQ(ait_signals_next(NULL, NULL), -EINVAL);
    CHECK(signals == NULL);
    return 0;
}

static void test_arguments(void **unused)
{
    ait_signals *signals = NULL;
    sigset_t set = set_of(SIGUSR1, 0);

    assert_int_equal(ait_signals_open(&signals, &set), -EPERM);
    assert_null(signals);
    assert_false(blocked(SIGUSR1));
    assert_int_equal(run_real(argument_main, NULL), 0);
}

/* ---- beside ait_run() ------------------------------------------------------------------------ */

static int takes_term(void *userdata)
{
    AIT_CLEANUP(ait_signals_closep) ait_signals *signals = NULL;
    sigset_t set = set_of(SIGTERM, 0);

    CHECK_EQ(ait_signals_open(&signals, &set), 0);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(raise(SIGTERM), 0);
        CHECK_EQ(ait_signals_next(signals, NULL), SIGTERM);
        CHECK_EQ(ait_check_cancel(), 0);
    }
    /* Also where both of us could read it. */
    CHECK_EQ(ait_task_spawn(NULL, raise_later, (void *)(intptr_t)SIGTERM, NULL), 0);
    CHECK_EQ(ait_signals_next(signals, NULL), SIGTERM);
    CHECK_EQ(ait_yield(), 0);
    /* The other one is still ait_run()'s. */
    CHECK_EQ(raise(SIGINT), 0);
    CHECK_EQ(ait_sleep(20 * AIT_USEC_PER_SEC), -ECANCELED);
    return 5;
}

/* SIGTERM is the program's, as often as it comes; it neither cancels nor kills. */
static void test_taken_from_run(void **unused)
{
    assert_int_equal(ait_run(takes_term, NULL, 0), 5);
    check_assert();
    assert_false(blocked(SIGTERM));
}

/* Once nobody wants it any more it is ait_run()'s again, and not lost. */
static int gives_term_back(void *userdata)
{
    ait_signals *signals = NULL, *others = NULL;
    sigset_t set = set_of(SIGTERM, SIGUSR1);

    CHECK_EQ(ait_signals_open(&signals, &set), 0);
    CHECK_EQ(ait_signals_open(&others, &set), 0);
    CHECK_EQ(raise(SIGTERM), 0);
    CHECK_EQ(ait_signals_next(signals, NULL), SIGTERM);
    CHECK(ait_signals_close(signals) == NULL);
    CHECK_EQ(raise(SIGTERM), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_signals_next(others, NULL), SIGTERM);
    CHECK(ait_signals_close(others) == NULL);
    CHECK(blocked(SIGTERM)); /* as ait_run() has left it */
    CHECK_EQ(raise(SIGTERM), 0);
    CHECK_EQ(ait_sleep(20 * AIT_USEC_PER_SEC), -ECANCELED);
    return 6;
}

static void test_given_back(void **unused)
{
    assert_int_equal(ait_run(gives_term_back, NULL, 0), 6);
    check_assert();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next),       cmocka_unit_test(test_mask),
        cmocka_unit_test(test_arguments),  cmocka_unit_test(test_taken_from_run),
        cmocka_unit_test(test_given_back),
    };

    (void)alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
