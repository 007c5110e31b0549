/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clocks, real and virtual, and sleeping by them. */

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define HOUR (3600 * AIT_USEC_PER_SEC)

/* ---- jumping --------------------------------------------------------------------------------- */

static int sleeps_main(void *userdata)
{
    CHECK_EQ(ait_now(NULL), TEST_START_US);
    CHECK_EQ(ait_sleep(24 * HOUR), 0);
    CHECK_EQ(ait_now(NULL), TEST_START_US + 24 * HOUR);
    CHECK_EQ(ait_sleep(0), 0);
    CHECK_EQ(ait_sleep(1), 0);
    CHECK_EQ(ait_now(NULL), TEST_START_US + 24 * HOUR + 1);
    CHECK_EQ(ait_sleep_until(TEST_START_US), 0); /* past */
    CHECK_EQ(ait_sleep_until(0), 0);
    CHECK_EQ(ait_sleep_until(TEST_START_US + 25 * HOUR), 0);
    CHECK_EQ(ait_now(NULL), TEST_START_US + 25 * HOUR);
    return 0;
}

static void test_sleeps(void **unused)
{
    assert_int_equal(run_virtual(sleeps_main, NULL), 0);
}

static int woken[64];
static int n_woken;

static int one_sleeper(void *userdata)
{
    int ms = (int)(intptr_t)userdata;

    CHECK_EQ(ait_sleep(MS(ms)), 0);
    CHECK_EQ(now_ms(), ms);
    woken[n_woken++] = ms;
    return 0;
}

static int many_main(void *userdata)
{
    AIT_SCOPE(scope);

    n_woken = 0;
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    for (int i = 0; i < 64; i++)
        CHECK_EQ(
            ait_scope_spawn(scope, NULL, one_sleeper, (void *)(intptr_t)(1 + i * 37 % 64), NULL),
            0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(n_woken, 64);
    for (int i = 0; i < 64; i++)
        CHECK_EQ(woken[i], i + 1);
    CHECK_EQ(now_ms(), 64);
    return 0;
}

static void test_order(void **unused)
{
    assert_int_equal(run_virtual(many_main, NULL), 0);
}

static int for_ever(void *userdata)
{
    CHECK_EQ(ait_sleep(AIT_USEC_INFINITY), -ECANCELED);
    CHECK_EQ(ait_sleep(AIT_USEC_INFINITY - 1), -ECANCELED);
    return -ECANCELED;
}

static int for_ever_main(void *userdata)
{
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter_after(&scope, AIT_SCOPE_MOVE_ON, 1000 * HOUR), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, for_ever, NULL, NULL), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(ait_scope_is_expired(scope), 1);
    CHECK_EQ(ait_now(NULL), TEST_START_US + 1000 * HOUR);
    return 0;
}

/* Infinity is no time: nothing overflows, and the clock does not jump there. */
static void test_for_ever(void **unused)
{
    assert_int_equal(run_virtual(for_ever_main, NULL), 0);
}

/* ---- deadlines ------------------------------------------------------------------------------- */

static int deadline_main(void *userdata)
{
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_deadline(scope), AIT_USEC_INFINITY);
    CHECK_EQ(ait_scope_set_timeout(scope, MS(10)), 0);
    CHECK_EQ(ait_scope_deadline(scope), TEST_START_US + MS(10));
    CHECK_EQ(ait_sleep(MS(9)), 0);
    CHECK_EQ(ait_scope_set_timeout(scope, MS(10)), 0); /* moved on */
    CHECK_EQ(ait_sleep(MS(9)), 0);
    CHECK_EQ(ait_scope_set_deadline(scope, AIT_USEC_INFINITY), 0); /* taken away */
    CHECK_EQ(ait_sleep(HOUR), 0);
    CHECK_EQ(ait_scope_set_timeout(scope, AIT_USEC_INFINITY - 5), 0);
    CHECK_EQ(ait_scope_deadline(scope), AIT_USEC_INFINITY);
    CHECK_EQ(ait_scope_set_timeout(scope, MS(5)), 0);
    CHECK_EQ(ait_scope_set_timeout(scope, MS(1)), 0); /* brought forward */
    CHECK_EQ(ait_sleep(MS(3)), -ECANCELED);
    CHECK_EQ(ait_now(NULL), TEST_START_US + MS(18) + HOUR + MS(1));
    CHECK_EQ(ait_scope_is_expired(scope), 1);
    CHECK_EQ(ait_scope_set_timeout(scope, MS(5)), -EALREADY);
    CHECK_EQ(ait_scope_exit(scope, -ECANCELED), -ETIME);
    CHECK_EQ(ait_scope_set_timeout(scope, MS(5)), -ESTALE);
    return 0;
}

static int past_main(void *userdata)
{
    AIT_SCOPE(scope);

    /* Already over: the very next operation is refused, without a turn of the loop. */
    CHECK_EQ(ait_scope_enter_after(&scope, 0, 0), 0);
    CHECK_EQ(ait_check_cancel(), -ECANCELED);
    CHECK_EQ(ait_scope_exit(scope, -ECANCELED), -ETIME);
    return 0;
}

static void test_deadline(void **unused)
{
    assert_int_equal(run_virtual(deadline_main, NULL), 0);
    assert_int_equal(run_virtual(past_main, NULL), 0);
}

/* ---- periodic work --------------------------------------------------------------------------- */

static int periodic_main(void *userdata)
{
    ait_clock *clock = userdata;
    uint64_t next = ait_now(NULL);

    for (int i = 1; i <= 100; i++) {
        next += MS(10);
        CHECK_EQ(ait_sleep_until(next), 0);
        CHECK_EQ(now_ms(), i * 10);
        /* The work takes its time, and the schedule does not drift by it. */
        CHECK_EQ(ait_vclock_advance(clock, MS(3)), 0);
    }
    return 0;
}

static void run_on(ait_clock *clock, ait_task_fn fn, void *userdata)
{
    ait_loop *loop = NULL;

    assert_int_equal(ait_loop_new(&loop), 0);
    assert_int_equal(ait_loop_set_clock(loop, clock), 0);
    assert_int_equal(ait_task_spawn(NULL, fn, userdata, NULL), 0);
    assert_int_equal(ait_loop_run(loop), 0);
    ait_loop_unref(loop);
    check_assert();
}

static void test_periodic(void **unused)
{
    AIT_CLEANUP(ait_clock_unrefp) ait_clock *clock = NULL;

    assert_int_equal(ait_vclock_new(&clock), 0);
    run_on(clock, periodic_main, clock);
}

/* ---- by hand --------------------------------------------------------------------------------- */

static int hand_main(void *userdata)
{
    ait_clock *clock = userdata;
    AIT_SCOPE(scope);

    n_woken = 0;
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    for (intptr_t ms = 1; ms <= 3; ms++)
        CHECK_EQ(ait_scope_spawn(scope, NULL, one_sleeper, (void *)ms, NULL), 0);
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(n_woken, 0);
    for (int ms = 1; ms <= 3; ms++) {
        CHECK_EQ(ait_vclock_advance(clock, MS(1)), 0);
        /* Timers are looked at once a batch. */
        for (int i = 0; i < 1000; i++)
            CHECK_EQ(ait_yield(), 0);
        CHECK_EQ(n_woken, ms);
    }
    return ait_scope_exit(scope, 0);
}

static void test_by_hand(void **unused)
{
    AIT_CLEANUP(ait_clock_unrefp) ait_clock *clock = NULL;

    assert_int_equal(ait_vclock_new(&clock), 0);
    assert_int_equal(ait_vclock_set_autojump(clock, false), 0);
    run_on(clock, hand_main, clock);
}

/* ---- real files under a virtual clock -------------------------------------------------------- */

struct other_thread {
    pthread_t thread;
    pid_t loop_tid;
    int fd;
    bool slept; /* the loop's thread lay still until it was woken */
};

/* State and ticks of a thread: "S" again and again without a tick in between is sleep. */
static bool lies_still(pid_t tid)
{
    char path[64], text[512], state = '?';
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
    f = fopen(path, "re");
    if (!f)
        return false;
    if (fgets(text, sizeof(text), f) && strrchr(text, ')'))
        state = strrchr(text, ')')[2];
    (void)fclose(f);
    return state == 'S';
}

static void *watch_and_write(void *userdata)
{
    struct other_thread *t = userdata;
    time_t end = time(NULL) + 20;
    unsigned still = 0;

    while (still < 100 && time(NULL) < end) {
        still = lies_still(t->loop_tid) ? still + 1 : 0;
        (void)sched_yield();
    }
    t->slept = still >= 100;
    (void)!write(t->fd, "x", 1);
    return NULL;
}

static int read_pipe(void *userdata)
{
    char c;

    return (int)ait_read(*(int *)userdata, &c, 1) == 1 ? 0 : -EIO;
}

/* With no timer left, or a clock that does not move by itself, the loop blocks: no 100 % CPU. */
static void blocks(bool autojump, ait_task_fn fn)
{
    AIT_CLEANUP(ait_clock_unrefp) ait_clock *clock = NULL;
    struct other_thread t = {.loop_tid = (pid_t)syscall(SYS_gettid)};
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    t.fd = fds[1];
    assert_int_equal(ait_vclock_new(&clock), 0);
    assert_int_equal(ait_vclock_set_autojump(clock, autojump), 0);
    assert_int_equal(pthread_create(&t.thread, NULL, watch_and_write, &t), 0);
    run_on(clock, fn, &fds[0]);
    assert_int_equal(pthread_join(t.thread, NULL), 0);
    assert_true(t.slept);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static int never_woken(void *userdata)
{
    AIT_SCOPE(scope);
    int r;

    CHECK_EQ(ait_scope_enter_after(&scope, 0, HOUR), 0);
    r = read_pipe(userdata);
    CHECK_EQ(now_ms(), 0);
    return ait_scope_exit(scope, r);
}

static void test_blocks(void **unused)
{
    blocks(true, read_pipe);
    blocks(false, read_pipe);
    blocks(false, never_woken);
}

static int write_pipe(void *userdata)
{
    return write(*(int *)userdata, "x", 1) == 1 ? 0 : -EIO;
}

static int both_main(void *userdata)
{
    int fds[2];
    char c;

    /* What is ready comes before any jump. */
    CHECK_EQ(pipe(fds), 0);
    for (int i = 0; i < 100; i++) {
        AIT_SCOPE(scope);

        CHECK_EQ(ait_scope_enter_after(&scope, 0, 1), 0);
        CHECK_EQ(ait_scope_spawn(scope, NULL, write_pipe, &fds[1], NULL), 0);
        CHECK_EQ(ait_read(fds[0], &c, 1), 1);
        CHECK_EQ(ait_scope_exit(scope, 0), 0);
    }
    CHECK_EQ(ait_now(NULL), TEST_START_US);
    CHECK_EQ(ait_close(fds[0]), 0);
    return ait_close(fds[1]);
}

static void test_events_before_time(void **unused)
{
    assert_int_equal(run_virtual(both_main, NULL), 0);
}

/* ---- the real one ---------------------------------------------------------------------------- */

static int real_main(void *userdata)
{
    for (uint64_t usec = 1; usec < 3000; usec += 290) {
        uint64_t start = ait_now(NULL), took;

        CHECK_EQ(ait_sleep(usec), 0);
        took = ait_now(NULL) - start;
        CHECK(took >= usec);
        CHECK(took < usec + 5 * AIT_USEC_PER_SEC);
    }
    return 0;
}

/* Never early, not even by a microsecond. */
static void test_real(void **unused)
{
    assert_int_equal(run_real(real_main, NULL), 0);
}

static int set_main(void *userdata)
{
    AIT_CLEANUP(ait_clock_unrefp) ait_clock *other = NULL;
    ait_loop *loop = ait_loop_current();
    AIT_SCOPE(scope);

    CHECK_EQ(ait_vclock_new(&other), 0);
    CHECK_EQ(ait_scope_enter_after(&scope, 0, HOUR), 0);
    CHECK_EQ(ait_loop_set_clock(loop, other), -EBUSY); /* somebody counts on the one there is */
    CHECK_EQ(ait_scope_set_deadline(scope, AIT_USEC_INFINITY), 0);
    CHECK_EQ(ait_loop_set_clock(loop, other), 0);
    CHECK_EQ(ait_now(loop), TEST_START_US);
    CHECK_EQ(ait_sleep(MS(5)), 0);
    CHECK_EQ(ait_now(NULL), TEST_START_US + MS(5));
    CHECK_EQ(ait_loop_set_clock(loop, other), 0); /* again: nothing */
    CHECK_EQ(ait_loop_set_clock(loop, NULL), 0);
    CHECK_EQ(ait_sleep(1), 0);
    return ait_scope_exit(scope, 0);
}

static void *set_in_thread(void *userdata)
{
    ait_loop *loop = NULL;

    CHECK_EQ(ait_loop_new(&loop), 0);
    CHECK_EQ(ait_loop_set_clock(loop, userdata), -EINVAL);
    ait_loop_unref(loop);
    return NULL;
}

static int other_loop_main(void *userdata)
{
    pthread_t thread;

    CHECK_EQ(pthread_create(&thread, NULL, set_in_thread, userdata), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    return 0;
}

static void test_set(void **unused)
{
    AIT_CLEANUP(ait_clock_unrefp) ait_clock *clock = NULL;

    assert_int_equal(run_real(set_main, NULL), 0);
    assert_int_equal(ait_now(NULL), 0);
    assert_int_equal(ait_vclock_new(NULL), -EINVAL);
    assert_int_equal(ait_vclock_advance(NULL, 1), -EINVAL);
    assert_int_equal(ait_vclock_set_autojump(NULL, true), -EINVAL);
    assert_int_equal(ait_loop_set_clock(NULL, NULL), -EINVAL);
    assert_int_equal(ait_vclock_new(&clock), 0);
    run_on(clock, other_loop_main, clock); /* a clock drives one loop */
    assert_int_equal(ait_vclock_advance(clock, UINT64_MAX), -EINVAL);
    assert_ptr_equal(ait_clock_ref(clock), clock);
    assert_null(ait_clock_unref(clock));
    assert_null(ait_clock_unref(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sleeps),   cmocka_unit_test(test_order),
        cmocka_unit_test(test_for_ever), cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_periodic), cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_blocks),   cmocka_unit_test(test_events_before_time),
        cmocka_unit_test(test_real),     cmocka_unit_test(test_set),
    };

    (void)alarm(200);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
