/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Periodic timers: each policy as a table of what ran when, and that stopping drains. */

#include <string.h>

#include "check.h"

#define MAX_TICKS 12

/* When each tick ran, to which place of the schedule it belonged, how many had been left out before
 * it. */
struct seen {
    int at, n, due, missed;
};

static struct seen seen[MAX_TICKS];
static int n_seen, n_done, n_cancelled, start;

struct row {
    const char *name;
    ait_interval_policy policy;
    int interval, ms;
    int busy[MAX_TICKS]; /* how long the n-th callback takes; after the first 0: as the one before
                          */
    int cleanup;         /* how long a cancelled one still takes */

    struct seen seen[MAX_TICKS];
    int n, done, cancelled;
    int end; /* when stopping was over */
};

static const struct row rows[] = {
    {.name = "quick ones, queue",
     .policy = AIT_INTERVAL_QUEUE,
     .interval = 100,
     .ms = 220,
     .seen = {{0, 0, 0, 0}, {100, 1, 100, 0}, {200, 2, 200, 0}},
     .n = 3,
     .done = 3,
     .end = 220},
    {.name = "quick ones, cancel: the same",
     .policy = AIT_INTERVAL_CANCEL,
     .interval = 100,
     .ms = 220,
     .seen = {{0, 0, 0, 0}, {100, 1, 100, 0}, {200, 2, 200, 0}},
     .n = 3,
     .done = 3,
     .end = 220},
    {.name = "quick ones, skip: the same",
     .policy = AIT_INTERVAL_SKIP,
     .interval = 100,
     .ms = 220,
     .seen = {{0, 0, 0, 0}, {100, 1, 100, 0}, {200, 2, 200, 0}},
     .n = 3,
     .done = 3,
     .end = 220},
    {.name = "quick ones, burst: the same",
     .policy = AIT_INTERVAL_BURST,
     .interval = 100,
     .ms = 220,
     .seen = {{0, 0, 0, 0}, {100, 1, 100, 0}, {200, 2, 200, 0}},
     .n = 3,
     .done = 3,
     .end = 220},
    {.name = "slow ones, queue: they pile up, stopping cancels those that still run",
     .policy = AIT_INTERVAL_QUEUE,
     .interval = 10,
     .busy = {45},
     .ms = 99,
     .cleanup = 7,
     .seen = {{0, 0, 0, 0},
              {10, 1, 10, 0},
              {20, 2, 20, 0},
              {30, 3, 30, 0},
              {40, 4, 40, 0},
              {50, 5, 50, 0},
              {60, 6, 60, 0},
              {70, 7, 70, 0},
              {80, 8, 80, 0},
              {90, 9, 90, 0}},
     .n = 10,
     .done = 6,
     .cancelled = 4,
     .end = 106},
    {.name = "slow ones, cancel: each ends the one before",
     .policy = AIT_INTERVAL_CANCEL,
     .interval = 10,
     .busy = {1000},
     .ms = 35,
     .seen = {{0, 0, 0, 0}, {10, 1, 10, 0}, {20, 2, 20, 0}, {30, 3, 30, 0}},
     .n = 4,
     .cancelled = 4,
     .end = 35},
    {.name = "cancel: an end that takes long itself makes ticks go by",
     .policy = AIT_INTERVAL_CANCEL,
     .interval = 10,
     .busy = {1000},
     .cleanup = 25,
     .ms = 72,
     .seen = {{0, 0, 0, 0}, {35, 3, 30, 2}, {65, 6, 60, 2}},
     .n = 3,
     .cancelled = 3,
     .end = 95},
    {.name = "slow ones, skip: back on the schedule",
     .policy = AIT_INTERVAL_SKIP,
     .interval = 10,
     .busy = {25, 1},
     .ms = 55,
     .seen = {{0, 0, 0, 0}, {30, 3, 30, 2}, {40, 4, 40, 0}, {50, 5, 50, 0}},
     .n = 4,
     .done = 4,
     .end = 55},
    {.name = "skip: a tick that is due just then is not missed",
     .policy = AIT_INTERVAL_SKIP,
     .interval = 10,
     .busy = {20, 10, 1},
     .ms = 45,
     .seen = {{0, 0, 0, 0}, {20, 2, 20, 1}, {30, 3, 30, 0}, {40, 4, 40, 0}},
     .n = 4,
     .done = 4,
     .end = 45},
    {.name = "slow ones, burst: made up for",
     .policy = AIT_INTERVAL_BURST,
     .interval = 10,
     .busy = {35, 1},
     .ms = 55,
     .seen = {{0, 0, 0, 0},
              {35, 1, 10, 0},
              {36, 2, 20, 0},
              {37, 3, 30, 0},
              {40, 4, 40, 0},
              {50, 5, 50, 0}},
     .n = 6,
     .done = 6,
     .end = 55},
    {.name = "stopped in the middle of a callback",
     .policy = AIT_INTERVAL_SKIP,
     .interval = 10,
     .busy = {1000},
     .cleanup = 5,
     .ms = 25,
     .seen = {{0, 0, 0, 0}},
     .n = 1,
     .cancelled = 1,
     .end = 30},
};

static const struct row *row;

static int busy_for(int n)
{
    int busy = row->busy[0];

    for (int i = 1; i <= n && i < MAX_TICKS; i++)
        if (row->busy[i] > 0)
            busy = row->busy[i];
    return busy;
}

static int tick(const ait_tick *t, void *userdata)
{
    int i = n_seen++, r;
    AIT_SCOPE(shield);

    CHECK_EQ(t->size, sizeof(*t));
    CHECK(userdata == &n_seen);
    if (i < MAX_TICKS)
        seen[i] = (struct seen){.at = now_ms() - start,
                                .n = (int)t->n,
                                .due = (int)((t->due - TEST_START_US) / AIT_USEC_PER_MSEC) - start,
                                .missed = (int)t->missed};
    r = busy_for(i) > 0 ? ait_sleep(MS(busy_for(i))) : 0;
    if (r < 0) {
        n_cancelled++;
        CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
        CHECK_EQ(ait_scope_exit(shield, row->cleanup ? ait_sleep(MS(row->cleanup)) : 0), 0);
        return r;
    }
    n_done++;
    return 0;
}

static void check_row(void)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *timer = NULL;
    int result = 99;

    n_seen = n_done = n_cancelled = 0;
    start = now_ms();
    CHECK_EQ(ait_interval_start(&timer, NULL, MS(row->interval), row->policy, tick, &n_seen), 0);
    CHECK_EQ(strcmp(ait_task_name(timer), "interval"), 0);
    CHECK_EQ(ait_sleep(MS(row->ms)), 0);
    CHECK_EQ(ait_cancel_and_wait(timer, &result), 0);
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(now_ms() - start, row->end);
    CHECK_EQ(n_seen, row->n);
    CHECK_EQ(n_done, row->done);
    CHECK_EQ(n_cancelled, row->cancelled);
    for (int i = 0; i < row->n; i++) {
        CHECK_EQ(seen[i].at, row->seen[i].at);
        CHECK_EQ(seen[i].n, row->seen[i].n);
        CHECK_EQ(seen[i].due, row->seen[i].due);
        CHECK_EQ(seen[i].missed, row->seen[i].missed);
    }
    CHECK_EQ(ait_loop_n_tasks(ait_loop_current()), 1);
}

static int rows_main(void *userdata)
{
    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        unsigned before = check_failures;

        row = rows + i;
        check_row();
        if (check_failures > before)
            (void)fprintf(stderr, "row: %s\n", row->name);
    }
    return 0;
}

static void test_rows(void **unused)
{
    assert_int_equal(run_virtual(rows_main, NULL), 0);
    assert_int_equal(check_handled, 0);
}

/* ---- what tables do not show ----------------------------------------------------------------- */

static int failing(const ait_tick *t, void *userdata)
{
    n_seen++;
    return -EIO;
}

/* Told to the error handler, each; the timer goes on. */
static int failing_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *timer = NULL;

    n_seen = 0;
    CHECK_EQ(ait_interval_start(&timer, NULL, MS(10), AIT_INTERVAL_SKIP, failing, NULL), 0);
    CHECK_EQ(ait_sleep(MS(45)), 0);
    CHECK_EQ(ait_task_is_done(timer), 0);
    CHECK_EQ(ait_cancel_and_wait(timer, NULL), 0);
    CHECK_EQ(n_seen, 5);
    return 0;
}

static void test_failing(void **unused)
{
    assert_int_equal(run_virtual(failing_main, NULL), 0);
    assert_int_equal(check_handled, 5);
}

/* Its scope ends it. */
static int in_scope_main(void *userdata)
{
    AIT_SCOPE(scope);

    row = rows;
    n_seen = 0;
    start = now_ms();
    CHECK_EQ(ait_scope_enter_after(&scope, AIT_SCOPE_MOVE_ON, MS(250)), 0);
    for (int policy = AIT_INTERVAL_QUEUE; policy <= AIT_INTERVAL_BURST; policy++)
        CHECK_EQ(
            ait_interval_start(NULL, scope, MS(100), (ait_interval_policy)policy, tick, &n_seen),
            0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(ait_scope_is_expired(scope), 1);
    CHECK_EQ(n_seen, 4 * 3);
    CHECK_EQ(ait_interval_start(NULL, scope, MS(100), AIT_INTERVAL_QUEUE, tick, NULL), -ESTALE);
    return 0;
}

static void test_in_scope(void **unused)
{
    assert_int_equal(run_virtual(in_scope_main, NULL), 0);
}

/* A loop that was busy elsewhere: the clock has gone on, and only then it looks at its timers. */
static void check_late(ait_clock *clock, ait_interval_policy policy, int n, int last,
                       uint64_t missed)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *timer = NULL;

    n_seen = n_done = 0;
    memset(seen, 0, sizeof(seen));
    start = now_ms();
    CHECK_EQ(ait_interval_start(&timer, NULL, MS(10), policy, tick, &n_seen), 0);
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(ait_vclock_advance(clock, MS(47)), 0);
    for (int i = 0; i < 10000 && n_seen < n; i++)
        CHECK_EQ(ait_yield(), 0);
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(ait_cancel_and_wait(timer, NULL), 0);
    CHECK_EQ(n_seen, n);
    CHECK_EQ(seen[n - 1].n, last);
    CHECK_EQ(seen[n - 1].missed, missed);
}

static int late_main(void *userdata)
{
    row = rows;
    check_late(userdata, AIT_INTERVAL_CANCEL, 2, 4, 3);
    check_late(userdata, AIT_INTERVAL_SKIP, 2, 4, 3);
    check_late(userdata, AIT_INTERVAL_BURST, 5, 4, 0);
    check_late(userdata, AIT_INTERVAL_QUEUE, 5, 4, 0);
    return 0;
}

static void test_late(void **unused)
{
    AIT_CLEANUP(ait_clock_unrefp) ait_clock *clock = NULL;
    ait_loop *loop = NULL;

    assert_int_equal(ait_loop_new(&loop), 0);
    assert_int_equal(ait_vclock_new(&clock), 0);
    assert_int_equal(ait_vclock_set_autojump(clock, false), 0);
    assert_int_equal(ait_loop_set_clock(loop, clock), 0);
    assert_int_equal(ait_task_spawn(NULL, late_main, clock, NULL), 0);
    assert_int_equal(ait_loop_run(loop), 0);
    ait_loop_unref(loop);
    check_assert();
}

/* Ten thousand ticks later every one is still where it belongs. */
static int drift_ticks, drift_off;

static int drift_tick(const ait_tick *t, void *userdata)
{
    drift_ticks++;
    drift_off += ait_now(NULL) != t->due;
    return 0;
}

static int drift_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *timer = NULL;

    CHECK_EQ(ait_interval_start(&timer, NULL, 333, AIT_INTERVAL_SKIP, drift_tick, NULL), 0);
    CHECK_EQ(ait_sleep(333 * 10000 - 1), 0);
    CHECK_EQ(ait_cancel_and_wait(timer, NULL), 0);
    CHECK_EQ(drift_ticks, 10000);
    CHECK_EQ(drift_off, 0);
    return 0;
}

static void test_drift(void **unused)
{
    drift_ticks = drift_off = 0;
    assert_int_equal(run_virtual(drift_main, NULL), 0);
}

static void test_misuse(void **unused)
{
    ait_task *timer = NULL;
    ait_loop *loop = NULL;

    assert_int_equal(ait_interval_start(&timer, NULL, 1, AIT_INTERVAL_QUEUE, tick, NULL), -EPERM);
    assert_int_equal(ait_loop_new(&loop), 0);
    assert_int_equal(ait_interval_start(&timer, NULL, 0, AIT_INTERVAL_QUEUE, tick, NULL), -EINVAL);
    assert_int_equal(ait_interval_start(&timer, NULL, 1, (ait_interval_policy)9, tick, NULL),
                     -EINVAL);
    assert_int_equal(ait_interval_start(&timer, NULL, 1, AIT_INTERVAL_QUEUE, NULL, NULL), -EINVAL);
    assert_null(timer);
    /* So far in the future that it never comes. */
    row = rows;
    n_seen = 0;
    assert_int_equal(ait_interval_start(&timer, NULL, UINT64_MAX, AIT_INTERVAL_SKIP, tick, &n_seen),
                     0);
    assert_int_equal(ait_task_cancel(timer), 1);
    assert_int_equal(ait_loop_run(loop), 0);
    timer = ait_task_unref(timer);
    ait_loop_unref(loop);
    check_assert();
}

static int far_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *timer = NULL;

    row = rows;
    n_seen = 0;
    start = now_ms();
    CHECK_EQ(
        ait_interval_start(&timer, NULL, UINT64_MAX / 2 + 1, AIT_INTERVAL_BURST, tick, &n_seen), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(n_seen, 1);
    CHECK_EQ(ait_cancel_and_wait(timer, NULL), 0);
    return 0;
}

static void test_far(void **unused)
{
    assert_int_equal(run_virtual(far_main, NULL), 0);
}

/* Two timers can be told apart in dumps and errors. */
static char tick_names[64];

static int named_tick(const ait_tick *t, void *userdata)
{
    strcat(strcat(tick_names, ait_task_name(ait_task_current())), " ");
    return 0;
}

static int names_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *a = NULL, *b = NULL;

    CHECK_EQ(ait_interval_start(&a, NULL, MS(100), AIT_INTERVAL_SKIP, named_tick, NULL), 0);
    CHECK_EQ(ait_sleep(MS(10)), 0);
    CHECK_EQ(ait_interval_start(&b, NULL, MS(100), AIT_INTERVAL_QUEUE, named_tick, NULL), 0);
    CHECK_EQ(ait_task_set_name(b, "reload"), 0);
    CHECK_EQ(ait_sleep(MS(150)), 0);
    CHECK_EQ(ait_task_set_name(a, "flush"), 0);
    CHECK_EQ(ait_sleep(MS(100)), 0);
    CHECK_EQ(ait_cancel_and_wait(a, NULL), 0);
    CHECK_EQ(ait_cancel_and_wait(b, NULL), 0);
    CHECK(strcmp(tick_names, "tick reload tick reload flush reload ") == 0);
    return 0;
}

static void test_names(void **unused)
{
    *tick_names = '\0';
    assert_int_equal(run_virtual(names_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),     cmocka_unit_test(test_failing),
        cmocka_unit_test(test_in_scope), cmocka_unit_test(test_late),
        cmocka_unit_test(test_drift),    cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_far),      cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
