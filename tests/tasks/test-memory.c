/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Synchronisation, queues, combinators, intervals, task sets: that their waits allocate nothing,
 * and that each allocation of theirs may fail: whoever asked is told, everything else goes on, and
 * nothing is left behind.
 */

#include "check.h"
#include "faults.h"

/* ---- nothing is allocated -------------------------------------------------------------------- */

#define WARM_UP 20
#define COUNTED 300

static struct {
    ait_event *ping, *pong;
    ait_mutex *mutex;
    ait_semaphore *semaphore;
    ait_condition *condition;
    ait_barrier *barrier;
    ait_queue *queue, *narrow;
    ait_taskset *set;
    bool turn;
} x;

/* Each row has two sides, which make each other wait. */
static int event_here(void)
{
    (void)ait_event_set(x.ping);
    return ait_event_wait(x.pong) ?: ait_event_clear(x.pong) - 1;
}

static int event_there(void)
{
    int r = ait_event_wait(x.ping);

    (void)ait_event_clear(x.ping);
    (void)ait_event_set(x.pong);
    return r;
}

static int mutex_both(void)
{
    AIT_CLEANUP(ait_mutex_unlockp) ait_mutex *locked = NULL;
    int r = ait_mutex_lock(x.mutex);

    if (r < 0)
        return r;
    locked = x.mutex;
    return ait_yield();
}

static int semaphore_both(void)
{
    AIT_CLEANUP(ait_semaphore_releasep) ait_semaphore *held = NULL;
    int r = ait_semaphore_acquire(x.semaphore);

    if (r < 0)
        return r;
    held = x.semaphore;
    return ait_yield();
}

static int condition_side(bool mine)
{
    AIT_CLEANUP(ait_mutex_unlockp) ait_mutex *locked = NULL;
    int r = ait_mutex_lock(x.mutex);

    if (r < 0)
        return r;
    locked = x.mutex;
    while (r >= 0 && x.turn != mine)
        r = ait_condition_wait(x.condition, x.mutex);
    x.turn = !mine;
    (void)ait_condition_notify_all(x.condition);
    return r;
}

static int condition_here(void)
{
    return condition_side(false);
}

static int condition_there(void)
{
    return condition_side(true);
}

static int barrier_both(void)
{
    int r = ait_barrier_wait(x.barrier);

    return r < 0 ? r : 0;
}

static int queue_put_two(void)
{
    int r = ait_queue_put(x.queue, &x);

    return r ?: ait_queue_put(x.queue, &x);
}

static int queue_get_two(void)
{
    void *item = NULL;
    int r = ait_queue_get(x.queue, &item);

    return r == 1 && ait_queue_get(x.queue, &item) == 1 && item == &x ? 0 : -EIO;
}

static int narrow_put(void)
{
    return ait_queue_put(x.narrow, &x);
}

static int narrow_get(void)
{
    void *item = NULL;

    return ait_queue_get(x.narrow, &item) - 1;
}

static int brief(void *userdata)
{
    return ait_yield();
}

static int gather_here(void)
{
    const ait_call calls[] = {{brief, NULL, NULL}, {brief, NULL, NULL}, {brief, NULL, NULL}};
    int results[3];

    return ait_gather(calls, 3, AIT_GATHER_OPTIONS(.limit = 2), results);
}

static int race_here(void)
{
    const ait_call calls[] = {{brief, NULL, NULL}, {brief, NULL, NULL}, {brief, NULL, NULL}};

    return ait_race(calls, 3, NULL, NULL, NULL);
}

static int taskset_here(void)
{
    int r = ait_taskset_spawn(x.set, NULL, brief, NULL, NULL);

    return r < 0 ? r : ait_taskset_wait(x.set);
}

static int cancel_after_here(void)
{
    return ait_scope_cancel_after(ait_taskset_scope(x.set), AIT_USEC_PER_SEC);
}

static int nothing(void)
{
    return 0;
}

static const struct row {
    const char *name;
    int (*here)(void);
    int (*there)(void);
} rows[] = {
    {"event", event_here, event_there},
    {"mutex", mutex_both, mutex_both},
    {"semaphore", semaphore_both, semaphore_both},
    {"condition", condition_here, condition_there},
    {"barrier", barrier_both, barrier_both},
    {"queue", queue_put_two, queue_get_two},
    {"hand to hand", narrow_put, narrow_get},
    {"gather", gather_here, nothing},
    {"race", race_here, nothing},
    {"task set", taskset_here, nothing},
    {"cancel after", cancel_after_here, nothing},
};

static int other_side(void *userdata)
{
    const struct row *row = userdata;

    for (int i = 0; i < WARM_UP + COUNTED; i++)
        if (!CHECK_EQ(row->there(), 0))
            return -EIO;
    return 0;
}

static void count_row(const struct row *row)
{
    unsigned before = 0;
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, other_side, (void *)row, NULL), 0);
    for (int i = 0; i < WARM_UP + COUNTED; i++) {
        if (i == WARM_UP)
            before = faults.n_allocations;
        if (!CHECK_EQ(row->here(), 0))
            break;
    }
    if (!CHECK_EQ(faults.n_allocations - before, 0))
        (void)fprintf(stderr, "in: %s\n", row->name);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
}

static int count_main(void *userdata)
{
    memset(&x, 0, sizeof(x));
    CHECK_EQ(ait_event_new(&x.ping), 0);
    CHECK_EQ(ait_event_new(&x.pong), 0);
    CHECK_EQ(ait_mutex_new(&x.mutex), 0);
    CHECK_EQ(ait_semaphore_new(&x.semaphore, 1, 1), 0);
    CHECK_EQ(ait_condition_new(&x.condition), 0);
    CHECK_EQ(ait_barrier_new(&x.barrier, 2), 0);
    CHECK_EQ(ait_queue_new(&x.queue, 1, AIT_QUEUE_BLOCK, NULL), 0);
    CHECK_EQ(ait_queue_new(&x.narrow, 0, AIT_QUEUE_BLOCK, NULL), 0);
    CHECK_EQ(ait_taskset_new(&x.set, NULL, 0), 0);
    for (size_t i = 0; i < ELEMENTS(rows); i++)
        count_row(rows + i);
    ait_event_unrefp(&x.ping);
    ait_event_unrefp(&x.pong);
    ait_mutex_unrefp(&x.mutex);
    ait_semaphore_unrefp(&x.semaphore);
    ait_condition_unrefp(&x.condition);
    ait_barrier_unrefp(&x.barrier);
    ait_queue_unrefp(&x.queue);
    ait_queue_unrefp(&x.narrow);
    ait_taskset_unrefp(&x.set);
    return 0;
}

static void test_counted(void **unused)
{
    assert_int_equal(run_virtual(count_main, NULL), 0);
}

/* ---- each refused in turn -------------------------------------------------------------------- */

#define TRY(call)                                                                                  \
    do {                                                                                           \
        int r_ = (call);                                                                           \
        if (r_ < 0) {                                                                              \
            CHECK((r_ == -ENOMEM || r_ == -EAGAIN) && faults.failed);                              \
            return -ENOMEM;                                                                        \
        }                                                                                          \
    } while (0)

static int n_destroyed;

static void destroy(void *userdata)
{
    n_destroyed++;
}

static const ait_task_options call_options = {
    .size = sizeof(call_options), .name = "call", .destroy = destroy};

static int nap(void *userdata)
{
    int r = ait_sleep(MS(1 + (intptr_t)userdata));

    return r < 0 ? r : (int)(intptr_t)userdata;
}

#define CALLS 20

static void fill(ait_call *calls)
{
    n_destroyed = 0;
    for (intptr_t i = 0; i < CALLS; i++)
        calls[i] = (ait_call){nap, (void *)i, &call_options};
}

static int objects_main(void *userdata)
{
    AIT_CLEANUP(ait_event_unrefp) ait_event *event = NULL;
    AIT_CLEANUP(ait_mutex_unrefp) ait_mutex *mutex = NULL;
    AIT_CLEANUP(ait_semaphore_unrefp) ait_semaphore *semaphore = NULL;
    AIT_CLEANUP(ait_condition_unrefp) ait_condition *condition = NULL;
    AIT_CLEANUP(ait_barrier_unrefp) ait_barrier *barrier = NULL;
    AIT_CLEANUP(ait_queue_unrefp) ait_queue *queue = NULL;

    TRY(ait_event_new(&event));
    TRY(ait_mutex_new(&mutex));
    TRY(ait_semaphore_new(&semaphore, 1, 1));
    TRY(ait_condition_new(&condition));
    TRY(ait_barrier_new(&barrier, 1));
    TRY(ait_queue_new(&queue, 10, AIT_QUEUE_BLOCK, NULL));
    return 0;
}

/* Whatever could not be begun has failed; with the rest it is as it should be. */
static int gather_main(void *userdata)
{
    ait_call calls[CALLS];
    int results[CALLS];
    int r;

    fill(calls);
    r = ait_gather(calls, CALLS, AIT_GATHER_OPTIONS(.limit = 12), results);
    CHECK_EQ(n_destroyed, CALLS);
    TRY(r);
    CHECK_EQ(r, 0);
    for (int i = 0; i < CALLS; i++)
        CHECK_EQ(results[i], i);
    return 0;
}

static int gather_all_main(void *userdata)
{
    ait_call calls[CALLS];
    int results[CALLS] = {}, n_failed = 0;
    int r;

    fill(calls);
    r = ait_gather(calls, CALLS, AIT_GATHER_OPTIONS(.flags = AIT_GATHER_CONTINUE, .limit = 3),
                   results);
    CHECK_EQ(n_destroyed, CALLS);
    TRY(r);
    for (int i = 0; i < CALLS; i++) {
        CHECK(results[i] == i || results[i] == -ENOMEM || results[i] == -EAGAIN);
        n_failed += results[i] < 0;
    }
    CHECK_EQ(r, n_failed);
    return n_failed > 0 ? -ENOMEM : 0;
}

static int race_main(void *userdata)
{
    ait_call calls[CALLS];
    size_t winner = 99;
    int r;

    fill(calls);
    r = ait_race(calls, CALLS, NULL, &winner, NULL);
    CHECK_EQ(n_destroyed, CALLS);
    TRY(r);
    CHECK_EQ(r, 0);
    CHECK_EQ(winner, 0);
    return 0;
}

static int completion_main(void *userdata)
{
    ait_call calls[CALLS];
    int result, n = 0, n_failed = 0, r;
    AIT_COMPLETION(c);

    fill(calls);
    TRY(ait_completion_open(&c, calls, CALLS, AIT_GATHER_OPTIONS(.limit = 5)));
    if (ait_completion_add(c, calls) >= 0)
        n--;
    while ((r = ait_completion_next(c, NULL, &result)) > 0) {
        CHECK(result >= 0 || result == -ENOMEM || result == -EAGAIN);
        n_failed += result < 0;
        n++;
    }
    CHECK_EQ(r, 0);
    CHECK(n == CALLS);
    CHECK(n_destroyed == CALLS + 1 || (n_destroyed == CALLS && faults.failed));
    return n_failed > 0 ? -ENOMEM : 0;
}

static int left_main(void *userdata)
{
    ait_call calls[CALLS];
    AIT_COMPLETION(c);
    int r;

    fill(calls);
    TRY(ait_completion_open(&c, calls, CALLS, AIT_GATHER_OPTIONS(.limit = 5)));
    r = ait_completion_next(c, NULL, NULL);
    c = ait_completion_close(c);
    CHECK_EQ(n_destroyed, CALLS);
    TRY(r);
    return 0;
}

static int n_ticks;
static uint64_t n_missed;

static int tick(const ait_tick *t, void *userdata)
{
    n_ticks++;
    n_missed += t->missed;
    return 0;
}

/* A tick that there was no memory for counts as missed, and the next one comes. */
static int interval_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *timer = NULL;

    n_ticks = 0;
    n_missed = 0;
    TRY(ait_interval_start(&timer, NULL, MS(10), (ait_interval_policy)(intptr_t)userdata, tick,
                           NULL));
    TRY(ait_sleep(MS(95)));
    TRY(ait_cancel_and_wait(timer, NULL));
    /* The last ones may have been missed without another to tell of it. */
    CHECK(n_ticks + (int)n_missed == 10 || faults.failed);
    return n_ticks < 10 ? -ENOMEM : 0;
}

static int burst_main(void *userdata)
{
    return interval_main((void *)AIT_INTERVAL_BURST);
}

static int queue_main(void *userdata)
{
    return interval_main((void *)AIT_INTERVAL_QUEUE);
}

static void on_error(ait_scope *scope, const ait_error_info *info, void *userdata)
{
}

static int set_with(ait_taskset *set)
{
    TRY(ait_scope_set_name(ait_taskset_scope(set), "set"));
    TRY(ait_scope_set_error_handler(ait_taskset_scope(set), on_error, NULL));
    TRY(ait_scope_set_timeout(ait_taskset_scope(set), AIT_USEC_PER_SEC));
    TRY(ait_scope_cancel_after(ait_taskset_scope(set), AIT_USEC_PER_SEC));
    for (intptr_t i = 0; i < CALLS; i++)
        TRY(ait_taskset_spawn(set, NULL, nap, (void *)i, AIT_TASK_OPTIONS(.name = "nap")));
    TRY(ait_sleep(MS(10)));
    return 0;
}

static int taskset_main(void *userdata)
{
    AIT_CLEANUP(ait_taskset_unrefp) ait_taskset *set = NULL;
    AIT_SCOPE(scope);
    int r;

    TRY(ait_scope_enter(&scope, 0));
    TRY(ait_taskset_new(&set, NULL, 0));
    r = set_with(set);
    TRY(ait_taskset_cancel_and_wait(set));
    return ait_scope_exit(scope, r);
}

static int scope_main(void *userdata)
{
    AIT_SCOPE(scope);

    TRY(ait_scope_enter(&scope, 0));
    TRY(ait_scope_set_name(scope, "a"));
    TRY(ait_scope_set_name(scope, "b"));
    TRY(ait_scope_cancel_after(scope, MS(1)));
    return ait_scope_exit(scope, ait_sleep(AIT_USEC_INFINITY));
}

static const struct program {
    const char *name;
    ait_task_fn fn;
} programs[] = {
    {"objects", objects_main},
    {"gather", gather_main},
    {"gather, continue", gather_all_main},
    {"race", race_main},
    {"completion", completion_main},
    {"completion, left early", left_main},
    {"interval, burst", burst_main},
    {"interval, queue", queue_main},
    {"task set", taskset_main},
    {"scope", scope_main},
};

static int run_program(ait_task_fn fn)
{
    AIT_CLEANUP(ait_clock_unrefp) ait_clock *clock = NULL;
    AIT_CLEANUP(ait_loop_unrefp) ait_loop *loop = NULL;
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    int result = 0;

    TRY(ait_vclock_new(&clock));
    TRY(ait_loop_new(&loop));
    TRY(ait_loop_set_clock(loop, clock));
    TRY(ait_scope_set_error_handler(ait_loop_root(loop), on_error, NULL));
    TRY(ait_task_spawn(&task, fn, NULL, NULL));
    CHECK_EQ(ait_loop_run(loop), 0);
    CHECK_EQ(ait_task_result(task, &result), 0);
    /* Before the loop: it lies in the loop's memory. */
    task = ait_task_unref(task);
    return result;
}

static void each_refused(const struct program *p, bool for_ever)
{
    long live = faults.n_live;

    for (unsigned n = 1;; n++) {
        int r;

        faults_arm(n, for_ever);
        r = run_program(p->fn);
        faults_disarm();
        if (check_failures > 0)
            print_message("in: %s, call %u\n", p->name, n);
        check_assert();
        if (ait_loop_current() || faults.n_live != live)
            fail_msg("%s: refusing call %u leaves %ld blocks", p->name, n, faults.n_live - live);
        if (!faults.failed) {
            assert_int_equal(r, 0);
            assert_true(n > 5);
            return;
        }
    }
}

static void test_each_in_turn(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(programs); i++)
        each_refused(programs + i, false);
}

static void test_all_from_there(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(programs); i++)
        each_refused(programs + i, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counted),
        cmocka_unit_test(test_each_in_turn),
        cmocka_unit_test(test_all_from_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
