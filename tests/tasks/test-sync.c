/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Event, mutex, semaphore, condition (and barrier: test-barrier.c): who is served when, and what
 * becomes of what was handed to a task that is cancelled. */

#include "check.h"

/* What happened, in order: a letter for each step. */
static char trace[64];

static void trace_reset(void)
{
    memset(trace, 0, sizeof(trace));
}

static void note(char c)
{
    size_t n = strlen(trace);

    if (n + 1 < sizeof(trace))
        trace[n] = c;
}

#define CHECK_TRACE(want)                                                                          \
    (strcmp(trace, want) == 0 ? true                                                               \
                              : ((void)fprintf(stderr, "trace: %s\n", trace),                      \
                                 check_failed(__FILE__, __LINE__, want, 0, 1)))

/* Spawns fn with the number i and lets it run until it waits: so the order of coming is known, also
 * where the scheduler shuffles. */
static void come(ait_scope *scope, ait_task **ret, ait_task_fn fn, intptr_t i)
{
    CHECK_EQ(ait_scope_spawn(scope, ret, fn, (void *)i, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
}

static struct {
    ait_event *event;
    ait_mutex *mutex;
    ait_semaphore *semaphore;
    ait_condition *condition;
    ait_barrier *barrier;
    int result[8];
} x;

static void setup(void)
{
    trace_reset();
    memset(&x, 0, sizeof(x));
    CHECK_EQ(ait_event_new(&x.event), 0);
    CHECK_EQ(ait_mutex_new(&x.mutex), 0);
    CHECK_EQ(ait_semaphore_new(&x.semaphore, 0, 1), 0);
    CHECK_EQ(ait_condition_new(&x.condition), 0);
    CHECK_EQ(ait_barrier_new(&x.barrier, 2), 0);
}

static void teardown(void)
{
    ait_event_unrefp(&x.event);
    ait_mutex_unrefp(&x.mutex);
    ait_semaphore_unrefp(&x.semaphore);
    ait_condition_unrefp(&x.condition);
    ait_barrier_unrefp(&x.barrier);
    CHECK(!x.event && !x.mutex && !x.semaphore && !x.condition && !x.barrier);
}

static int with_objects(void *userdata)
{
    AIT_SCOPE(scope);
    int r;

    setup();
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    ((void (*)(ait_scope *))userdata)(scope);
    r = ait_scope_exit(scope, 0);
    teardown();
    return r;
}

static void run(void (*body)(ait_scope *scope))
{
    assert_int_equal(run_virtual(with_objects, body), 0);
}

/* ---- event ----------------------------------------------------------------------------------- */

static int wait_event(void *userdata)
{
    int i = (int)(intptr_t)userdata;

    x.result[i] = ait_event_wait(x.event);
    note((char)('0' + i));
    return 0;
}

static void event_body(ait_scope *scope)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *cancelled = NULL;

    CHECK_EQ(ait_event_is_set(x.event), 0);
    come(scope, NULL, wait_event, 1);
    come(scope, &cancelled, wait_event, 2);
    come(scope, NULL, wait_event, 3);
    CHECK_TRACE("");
    CHECK_EQ(ait_task_cancel(cancelled), 1);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_TRACE("2");
    CHECK_EQ(x.result[2], -ECANCELED);
    /* Cleared before they run: they were woken all the same. */
    CHECK_EQ(ait_event_set(x.event), 1);
    CHECK_EQ(ait_event_set(x.event), 0);
    CHECK_EQ(ait_event_is_set(x.event), 1);
    CHECK_EQ(ait_event_wait(x.event), 0);
    CHECK_EQ(ait_event_clear(x.event), 1);
    CHECK_EQ(ait_event_clear(x.event), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(strlen(trace), 3);
    CHECK_EQ(x.result[1], 0);
    CHECK_EQ(x.result[3], 0);
    come(scope, NULL, wait_event, 4);
    CHECK_EQ(strlen(trace), 3);
    CHECK_EQ(ait_event_set(x.event), 1);
}

static void test_event(void **unused)
{
    run(event_body);
}

static void set_from_outside(void *userdata)
{
    CHECK_EQ(ait_event_wait(x.event), -EPERM);
    CHECK_EQ(ait_mutex_lock(x.mutex), -EPERM);
    CHECK_EQ(ait_mutex_try_lock(x.mutex), -EPERM);
    CHECK_EQ(ait_semaphore_acquire(x.semaphore), -EPERM);
    CHECK_EQ(ait_condition_wait(x.condition, x.mutex), -EPERM);
    CHECK_EQ(ait_barrier_wait(x.barrier), -EPERM);
    CHECK_EQ(ait_condition_notify(x.condition, 1), 0);
    CHECK_EQ(ait_semaphore_release(x.semaphore), 0);
    CHECK_EQ(ait_event_set(x.event), 1);
}

/* Callbacks may give, and cannot wait. */
static void outside_body(ait_scope *scope)
{
    CHECK_EQ(ait_loop_post(ait_loop_current(), set_from_outside, NULL), 0);
    CHECK_EQ(ait_event_wait(x.event), 0);
    CHECK_EQ(ait_semaphore_try_acquire(x.semaphore), 0);
}

static void test_outside(void **unused)
{
    run(outside_body);
}

/* ---- mutex ----------------------------------------------------------------------------------- */

static int hold_mutex(void *userdata)
{
    int i = (int)(intptr_t)userdata;

    x.result[i] = ait_mutex_lock(x.mutex);
    if (x.result[i] < 0)
        return x.result[i];
    note((char)('0' + i));
    CHECK_EQ(ait_mutex_lock(x.mutex), -EDEADLK);
    (void)ait_sleep(MS(10));
    note((char)('a' + i));
    CHECK_EQ(ait_mutex_unlock(x.mutex), 0);
    /* It has been handed over. */
    CHECK_EQ(ait_mutex_unlock(x.mutex), -EPERM);
    return 0;
}

static void mutex_order_body(ait_scope *scope)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *cancelled = NULL;

    CHECK_EQ(ait_mutex_unlock(x.mutex), -EPERM);
    CHECK_EQ(ait_mutex_is_locked(x.mutex), 0);
    CHECK_EQ(ait_mutex_lock(x.mutex), 0);
    CHECK_EQ(ait_mutex_is_locked(x.mutex), 1);
    CHECK_EQ(ait_mutex_try_lock(x.mutex), -EDEADLK);
    come(scope, NULL, hold_mutex, 1);
    come(scope, NULL, hold_mutex, 2);
    come(scope, &cancelled, hold_mutex, 3);
    come(scope, NULL, hold_mutex, 4);
    CHECK_EQ(ait_mutex_unlock(x.mutex), 0);
    CHECK_EQ(ait_mutex_try_lock(x.mutex), -EBUSY);
    CHECK_EQ(ait_task_cancel(cancelled), 1);
    /* Behind all others. */
    CHECK_EQ(ait_mutex_lock(x.mutex), 0);
    CHECK_TRACE("1b2c4e");
    CHECK_EQ(x.result[3], -ECANCELED);
    CHECK_EQ(ait_mutex_unlock(x.mutex), 0);
    CHECK_EQ(ait_mutex_try_lock(x.mutex), 0);
    CHECK_EQ(ait_mutex_unlock(x.mutex), 0);
}

static void test_mutex_order(void **unused)
{
    run(mutex_order_body);
}

static int lock_and_end(void *userdata)
{
    return ait_mutex_lock(x.mutex);
}

static void dead_owner_body(ait_scope *scope)
{
    CHECK_EQ(ait_scope_spawn(scope, NULL, lock_and_end, NULL, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_mutex_lock(x.mutex), -EOWNERDEAD);
    CHECK_EQ(ait_mutex_try_lock(x.mutex), -EOWNERDEAD);
    CHECK_EQ(ait_mutex_is_locked(x.mutex), 1);
    /* A task in the memory of the dead one does not pass for it. */
    come(scope, NULL, hold_mutex, 1);
    CHECK_EQ(x.result[1], -EOWNERDEAD);
    ait_mutex_unrefp(&x.mutex);
}

static void test_dead_owner(void **unused)
{
    check_handled = 0;
    assert_int_equal(run_virtual(with_objects, dead_owner_body), 0);
    assert_int_equal(check_handled, 1);
}

static int guarded(void *userdata)
{
    AIT_CLEANUP(ait_mutex_unlockp) ait_mutex *locked = NULL;
    AIT_CLEANUP(ait_semaphore_releasep) ait_semaphore *held = NULL;
    int r = ait_mutex_lock(x.mutex);

    if (r < 0)
        return r;
    locked = x.mutex;
    r = ait_semaphore_acquire(x.semaphore);
    if (r < 0)
        return r;
    held = x.semaphore;
    return ait_sleep(MS(1000));
}

/* By attribute, on whatever way out. */
static void guard_body(ait_scope *scope)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;

    come(scope, &task, guarded, 0);
    CHECK_EQ(ait_mutex_is_locked(x.mutex), 1);
    CHECK_EQ(ait_cancel_and_wait(task, NULL), 0);
    CHECK_EQ(ait_mutex_is_locked(x.mutex), 0);
    task = ait_task_unref(task);
    CHECK_EQ(ait_semaphore_release(x.semaphore), 0);
    come(scope, &task, guarded, 0);
    CHECK_EQ(ait_semaphore_value(x.semaphore), 0);
    CHECK_EQ(ait_cancel_and_wait(task, NULL), 0);
    CHECK_EQ(ait_mutex_is_locked(x.mutex), 0);
    CHECK_EQ(ait_semaphore_value(x.semaphore), 1);
}

static void test_guard(void **unused)
{
    run(guard_body);
}

/* ---- semaphore ------------------------------------------------------------------------------- */

static int inside, most_inside;

static int pass_semaphore(void *userdata)
{
    int r = ait_semaphore_acquire(userdata);

    if (r < 0)
        return r;
    if (++inside > most_inside)
        most_inside = inside;
    r = ait_sleep(MS(1));
    inside--;
    CHECK_EQ(ait_semaphore_release(userdata), 0);
    return r;
}

static void limit_body(ait_scope *scope)
{
    AIT_CLEANUP(ait_semaphore_unrefp) ait_semaphore *s = NULL;
    AIT_SCOPE(inner);
    int start = now_ms();

    inside = most_inside = 0;
    CHECK_EQ(ait_semaphore_new(&s, 3, 3), 0);
    CHECK_EQ(ait_scope_enter(&inner, AIT_SCOPE_FAIL_FAST), 0);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(ait_scope_spawn(inner, NULL, pass_semaphore, s, NULL), 0);
    CHECK_EQ(ait_scope_exit(inner, 0), 0);
    CHECK_EQ(most_inside, 3);
    CHECK_EQ(now_ms() - start, 4);
    CHECK_EQ(ait_semaphore_value(s), 3);
    CHECK_EQ(ait_semaphore_release(s), -EOVERFLOW);
    CHECK_EQ(ait_semaphore_value(s), 3);
}

static void test_limit(void **unused)
{
    run(limit_body);
}

static int take_semaphore(void *userdata)
{
    int i = (int)(intptr_t)userdata;

    x.result[i] = ait_semaphore_acquire(x.semaphore);
    note((char)('0' + i));
    return 0;
}

static void semaphore_order_body(ait_scope *scope)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *cancelled = NULL;

    CHECK_EQ(ait_semaphore_try_acquire(x.semaphore), -EAGAIN);
    come(scope, NULL, take_semaphore, 1);
    come(scope, &cancelled, take_semaphore, 2);
    come(scope, NULL, take_semaphore, 3);
    CHECK_EQ(ait_task_cancel(cancelled), 1);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(ait_semaphore_release(x.semaphore), 0);
        /* It is the waiter's, though that has not run yet. */
        CHECK_EQ(ait_semaphore_value(x.semaphore), 0);
        CHECK_EQ(ait_semaphore_try_acquire(x.semaphore), -EAGAIN);
        CHECK_EQ(ait_sleep(MS(1)), 0);
    }
    CHECK_EQ(x.result[2], -ECANCELED);
    CHECK_EQ(strchr(trace, '1') < strchr(trace, '3'), 1);
    CHECK_EQ(strlen(trace), 3);
    CHECK_EQ(ait_semaphore_release(x.semaphore), 0);
    CHECK_EQ(ait_semaphore_release(x.semaphore), -EOVERFLOW);
    CHECK_EQ(ait_semaphore_acquire(x.semaphore), 0);
}

static void test_semaphore_order(void **unused)
{
    run(semaphore_order_body);
}

/* ---- condition ------------------------------------------------------------------------------- */

static int wait_condition(void *userdata)
{
    int i = (int)(intptr_t)userdata, r;

    r = ait_mutex_lock(x.mutex);
    if (r < 0)
        return r;
    x.result[i] = ait_condition_wait(x.condition, x.mutex);
    note((char)('0' + i));
    (void)ait_sleep(MS(1));
    note((char)('a' + i));
    CHECK_EQ(ait_mutex_unlock(x.mutex), 0);
    return 0;
}

static void condition_order_body(ait_scope *scope)
{
    CHECK_EQ(ait_condition_wait(x.condition, x.mutex), -EPERM);
    for (int i = 1; i <= 5; i++)
        come(scope, NULL, wait_condition, i);
    CHECK_EQ(ait_mutex_is_locked(x.mutex), 0);
    CHECK_EQ(ait_condition_notify(x.condition, 0), 0);
    CHECK_EQ(ait_condition_notify(x.condition, 2), 2);
    CHECK_EQ(ait_mutex_is_locked(x.mutex), 1);
    CHECK_EQ(ait_sleep(MS(10)), 0);
    CHECK_TRACE("1b2c");
    CHECK_EQ(ait_mutex_lock(x.mutex), 0);
    CHECK_EQ(ait_condition_notify_all(x.condition), 3);
    CHECK_EQ(ait_condition_notify_all(x.condition), 0);
    CHECK_EQ(ait_sleep(MS(10)), 0);
    /* They were notified, and come in when the mutex is free. */
    CHECK_TRACE("1b2c");
    CHECK_EQ(ait_mutex_unlock(x.mutex), 0);
    CHECK_EQ(ait_sleep(MS(10)), 0);
    CHECK_TRACE("1b2c3d4e5f");
    for (int i = 1; i <= 5; i++)
        CHECK_EQ(x.result[i], 0);
    /* Nobody waits: nothing is kept. */
    CHECK_EQ(ait_condition_notify(x.condition, 7), 0);
}

static void test_condition_order(void **unused)
{
    run(condition_order_body);
}

/* Cancelled while it waits: it leaves with the mutex, however long that takes. */
static void condition_cancel_body(ait_scope *scope)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;

    come(scope, &task, wait_condition, 1);
    CHECK_EQ(ait_mutex_lock(x.mutex), 0);
    CHECK_EQ(ait_task_cancel(task), 1);
    CHECK_EQ(ait_sleep(MS(10)), 0);
    CHECK_EQ(ait_task_is_done(task), 0);
    CHECK_TRACE("");
    CHECK_EQ(ait_mutex_unlock(x.mutex), 0);
    CHECK_EQ(ait_task_wait(task, NULL), 0);
    CHECK_EQ(x.result[1], -ECANCELED);
    CHECK_EQ(ait_condition_notify(x.condition, 1), 0);
}

static void test_condition_cancel(void **unused)
{
    run(condition_cancel_body);
}

/* Cancelled between its notification and the mutex: the next one gets the notification, where it
 * was for one. */
static void condition_pass_on_body(ait_scope *scope)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;

    come(scope, &task, wait_condition, 1);
    come(scope, NULL, wait_condition, 2);
    CHECK_EQ(ait_mutex_lock(x.mutex), 0);
    CHECK_EQ(ait_condition_notify(x.condition, 1), 1);
    CHECK_EQ(ait_task_cancel(task), 1);
    CHECK_EQ(ait_sleep(MS(10)), 0);
    CHECK_TRACE("");
    CHECK_EQ(ait_mutex_unlock(x.mutex), 0);
    CHECK_EQ(ait_sleep(MS(10)), 0);
    CHECK_TRACE("1b2c");
    CHECK_EQ(x.result[1], -ECANCELED);
    CHECK_EQ(x.result[2], 0);
}

static void test_condition_pass_on(void **unused)
{
    run(condition_pass_on_body);
}

static void condition_all_body(ait_scope *scope)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL, *late = NULL;

    come(scope, &task, wait_condition, 1);
    CHECK_EQ(ait_mutex_lock(x.mutex), 0);
    CHECK_EQ(ait_condition_notify_all(x.condition), 1);
    CHECK_EQ(ait_task_cancel(task), 1);
    CHECK_EQ(ait_mutex_unlock(x.mutex), 0);
    come(scope, &late, wait_condition, 2);
    CHECK_EQ(ait_sleep(MS(10)), 0);
    CHECK_EQ(x.result[1], -ECANCELED);
    CHECK_EQ(ait_task_is_done(late), 0);
    CHECK_EQ(ait_condition_notify(x.condition, 1), 1);
}

static void test_condition_all(void **unused)
{
    run(condition_all_body);
}

/* ---- served and cancelled at the same moment ------------------------------------------------- */

static int op_event(void)
{
    return ait_event_wait(x.event);
}

static int op_mutex(void)
{
    return ait_mutex_lock(x.mutex);
}

static int op_semaphore(void)
{
    return ait_semaphore_acquire(x.semaphore);
}

static int op_barrier(void)
{
    return ait_barrier_wait(x.barrier);
}

static int op_condition(void)
{
    int r = ait_mutex_lock(x.mutex), k;

    if (r < 0)
        return r;
    r = ait_condition_wait(x.condition, x.mutex);
    k = ait_mutex_unlock(x.mutex);
    return k < 0 ? k : r;
}

static int serve_event(void)
{
    return ait_event_set(x.event) - 1;
}

static int serve_mutex(void)
{
    return ait_mutex_unlock(x.mutex);
}

static int serve_semaphore(void)
{
    return ait_semaphore_release(x.semaphore);
}

static int serve_barrier(void)
{
    return ait_barrier_wait(x.barrier) - 1;
}

static int serve_condition(void)
{
    return ait_condition_notify(x.condition, 1) - 1;
}

struct moment {
    const char *name;
    int (*wait)(void);
    int (*serve)(void);
    int both;    /* what the wait returns where both come in one moment, in either order */
    bool locked; /* the server holds the mutex before */
};

static const struct moment moments[] = {
    {"event", op_event, serve_event, 0, false},
    {"mutex", op_mutex, serve_mutex, 0, true},
    {"semaphore", op_semaphore, serve_semaphore, 0, false},
    {"barrier", op_barrier, serve_barrier, 0, false},
    {"condition", op_condition, serve_condition, -ECANCELED, false},
};

struct both {
    const struct moment *moment;
    bool cancel_first;
    int result, next;
};

static int both_wait(void *userdata)
{
    struct both *both = userdata;

    both->result = both->moment->wait();
    both->next = ait_yield();
    return 0;
}

static int both_main(void *userdata)
{
    struct both *both = userdata;
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    AIT_SCOPE(scope);

    setup();
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    if (both->moment->locked)
        CHECK_EQ(ait_mutex_lock(x.mutex), 0);
    CHECK_EQ(ait_scope_spawn(scope, &task, both_wait, both, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    if (both->cancel_first)
        CHECK_EQ(ait_task_cancel(task), 1);
    CHECK_EQ(both->moment->serve(), 0);
    if (!both->cancel_first)
        CHECK_EQ(ait_task_cancel(task), 1);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(both->result, both->moment->both);
    CHECK_EQ(both->next, -ECANCELED);
    teardown();
    return 0;
}

/* Cancelled alone, and cancelled before. */
static int cancelled_main(void *userdata)
{
    struct both *both = userdata;
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    AIT_SCOPE(scope);

    setup();
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    if (both->moment->locked)
        CHECK_EQ(ait_mutex_lock(x.mutex), 0);
    CHECK_EQ(ait_scope_spawn(scope, &task, both_wait, both, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_cancel_and_wait(task, NULL), 1);
    CHECK_EQ(both->result, -ECANCELED);
    CHECK_EQ(ait_scope_cancel(scope), 0);
    /* Refused, even where nothing would have been waited for. */
    CHECK_EQ(ait_event_set(x.event), 1);
    (void)ait_semaphore_release(x.semaphore);
    CHECK_EQ(both->moment->wait(), -ECANCELED);
    CHECK_EQ(ait_semaphore_value(x.semaphore), 1);
    CHECK_EQ(ait_mutex_is_locked(x.mutex), both->moment->locked);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    teardown();
    return 0;
}

static void test_moment(void **state)
{
    struct both both = {.moment = *state};

    assert_int_equal(run_virtual(both_main, &both), 0);
    both.cancel_first = true;
    assert_int_equal(run_virtual(both_main, &both), 0);
    assert_int_equal(run_virtual(cancelled_main, &both), 0);
}

/* ---- life and misuse ------------------------------------------------------------------------- */

static int wait_then_note(void *userdata)
{
    x.result[0] = ait_event_wait(x.event);
    return 0;
}

/* A waiter keeps what it waits for. */
static void kept_body(ait_scope *scope)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    ait_event *event = ait_event_ref(x.event);

    CHECK(event == x.event);
    ait_event_unref(event);
    come(scope, &task, wait_then_note, 0);
    ait_event_unrefp(&x.event);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_cancel_and_wait(task, NULL), 1);
    CHECK_EQ(x.result[0], -ECANCELED);
}

static void test_kept(void **unused)
{
    run(kept_body);
}

static void test_misuse(void **unused)
{
    ait_event *event = NULL;
    ait_mutex *mutex = NULL;
    ait_semaphore *semaphore = NULL;
    ait_condition *condition = NULL;
    ait_barrier *barrier = NULL;
    ait_loop *loop = NULL;

    assert_int_equal(ait_event_new(&event), -EPERM);
    assert_int_equal(ait_mutex_new(&mutex), -EPERM);
    assert_int_equal(ait_semaphore_new(&semaphore, 1, 1), -EPERM);
    assert_int_equal(ait_condition_new(&condition), -EPERM);
    assert_int_equal(ait_barrier_new(&barrier, 1), -EPERM);
    assert_true(!event && !mutex && !semaphore && !condition && !barrier);
    assert_int_equal(ait_loop_new(&loop), 0);
    assert_int_equal(ait_event_new(NULL), -EINVAL);
    assert_int_equal(ait_mutex_new(NULL), -EINVAL);
    assert_int_equal(ait_semaphore_new(NULL, 1, 1), -EINVAL);
    assert_int_equal(ait_semaphore_new(&semaphore, 2, 1), -EINVAL);
    assert_int_equal(ait_condition_new(NULL), -EINVAL);
    assert_int_equal(ait_barrier_new(NULL, 1), -EINVAL);
    assert_int_equal(ait_barrier_new(&barrier, 0), -EINVAL);
    assert_true(!semaphore && !barrier);
    assert_int_equal(ait_event_set(NULL), -EINVAL);
    assert_int_equal(ait_event_clear(NULL), -EINVAL);
    assert_int_equal(ait_event_is_set(NULL), -EINVAL);
    assert_int_equal(ait_event_wait(NULL), -EINVAL);
    assert_int_equal(ait_mutex_lock(NULL), -EINVAL);
    assert_int_equal(ait_mutex_try_lock(NULL), -EINVAL);
    assert_int_equal(ait_mutex_unlock(NULL), -EINVAL);
    assert_int_equal(ait_mutex_is_locked(NULL), -EINVAL);
    assert_int_equal(ait_semaphore_acquire(NULL), -EINVAL);
    assert_int_equal(ait_semaphore_try_acquire(NULL), -EINVAL);
    assert_int_equal(ait_semaphore_release(NULL), -EINVAL);
    assert_int_equal(ait_semaphore_value(NULL), -EINVAL);
    assert_int_equal(ait_condition_wait(NULL, NULL), -EINVAL);
    assert_int_equal(ait_condition_notify(NULL, 1), -EINVAL);
    assert_int_equal(ait_condition_notify_all(NULL), -EINVAL);
    assert_int_equal(ait_barrier_wait(NULL), -EINVAL);
    assert_int_equal(ait_barrier_reset(NULL), -EINVAL);
    assert_int_equal(ait_barrier_abort(NULL), -EINVAL);
    assert_int_equal(ait_barrier_is_broken(NULL), -EINVAL);
    assert_true(!ait_event_ref(NULL) && !ait_event_unref(NULL) && !ait_mutex_ref(NULL));
    assert_true(!ait_mutex_unref(NULL) && !ait_semaphore_ref(NULL) && !ait_semaphore_unref(NULL));
    assert_true(!ait_condition_ref(NULL) && !ait_condition_unref(NULL) && !ait_barrier_ref(NULL));
    assert_null(ait_barrier_unref(NULL));
    assert_int_equal(ait_event_new(&event), 0);
    ait_loop_unref(loop);
    /* Its loop is gone. */
    assert_int_equal(ait_event_set(event), -EPERM);
    assert_null(ait_event_unref(event));
}

/* No bound but that of the type. */
static void unbounded_body(ait_scope *scope)
{
    AIT_CLEANUP(ait_semaphore_unrefp) ait_semaphore *s = NULL;

    CHECK_EQ(ait_semaphore_new(&s, UINT32_MAX, 0), 0);
    CHECK_EQ(ait_semaphore_value(s), INT32_MAX);
    CHECK_EQ(ait_semaphore_release(s), -EOVERFLOW);
    CHECK_EQ(ait_semaphore_acquire(s), 0);
    CHECK_EQ(ait_semaphore_release(s), 0);
}

static void test_unbounded(void **unused)
{
    run(unbounded_body);
}

#define MOMENT(i)                                                                                  \
    {                                                                                              \
        .name = "moment", .test_func = test_moment, .initial_state = (void *)(moments + (i))       \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event),
        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_mutex_order),
        cmocka_unit_test(test_dead_owner),
        cmocka_unit_test(test_guard),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_semaphore_order),
        cmocka_unit_test(test_condition_order),
        cmocka_unit_test(test_condition_cancel),
        cmocka_unit_test(test_condition_pass_on),
        cmocka_unit_test(test_condition_all),
        MOMENT(0),
        MOMENT(1),
        MOMENT(2),
        MOMENT(3),
        MOMENT(4),
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_unbounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
