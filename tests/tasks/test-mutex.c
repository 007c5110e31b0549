/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A task that ends with a mutex locked: nobody waits for it for ever, neither those who had come
 * before, nor those who could not even be cancelled. */

#include "check.h"

static struct {
    ait_mutex *mutex;
    ait_condition *condition;
    int result[3];
    int at_ms[3];
} x;

static void done(int i, int r)
{
    x.result[i] = r;
    x.at_ms[i] = now_ms();
}

/* Holds it for 50 ms, and then for ever. */
static int forget(void *unused)
{
    CHECK_EQ(ait_mutex_lock(x.mutex), 0);
    return ait_sleep(MS(50));
}

static int lock(void *userdata)
{
    int i = (int)(intptr_t)userdata, r = ait_mutex_lock(x.mutex);

    done(i, r);
    return r < 0 ? 0 : ait_mutex_unlock(x.mutex);
}

/* Gives it on to a task that forgets it. */
static int lock_first(void *unused)
{
    CHECK_EQ(ait_mutex_lock(x.mutex), 0);
    CHECK_EQ(ait_sleep(MS(10)), 0);
    return ait_mutex_unlock(x.mutex);
}

static int wait_condition(void *userdata)
{
    int r;

    CHECK_EQ(ait_mutex_lock(x.mutex), 0);
    r = ait_condition_wait(x.condition, x.mutex);
    done((int)(intptr_t)userdata, r);
    CHECK_EQ(ait_mutex_unlock(x.mutex), r == -EOWNERDEAD ? -EPERM : 0);
    return 0;
}

/* One after the other, so that the order does not depend on the scheduler. */
static void come(ait_scope *scope, ait_task **ret, ait_task_fn fn, intptr_t i)
{
    CHECK_EQ(ait_scope_spawn(scope, ret, fn, (void *)i, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
}

static void waiting(ait_scope *scope)
{
    come(scope, NULL, forget, 0);
    for (int i = 0; i < 3; i++)
        come(scope, NULL, lock, i);
    CHECK_EQ(ait_sleep(MS(100)), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(x.result[i], -EOWNERDEAD);
        CHECK_EQ(x.at_ms[i], 50);
    }
}

/* The one at the head of the queue changes: by being served, and by being cancelled, also at the
 * moment of the end. */
static void changing(ait_scope *scope)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *head = NULL, *second = NULL;

    come(scope, NULL, lock_first, 0);
    come(scope, NULL, forget, 0);
    come(scope, &head, lock, 0);
    come(scope, &second, lock, 1);
    come(scope, NULL, lock, 2);
    CHECK_EQ(ait_sleep(MS(15)), 0);
    CHECK_EQ(ait_task_cancel(head), 1);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(x.result[0], -ECANCELED);
    CHECK_EQ(ait_sleep_until(TEST_START_US + MS(60)), 0);
    CHECK_EQ(ait_task_cancel(second), 1);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK(x.result[1] == -EOWNERDEAD || x.result[1] == -ECANCELED);
    CHECK_EQ(x.result[2], -EOWNERDEAD);
    CHECK_EQ(x.at_ms[2], 60);
}

/* Notified or cancelled while somebody holds the mutex who then forgets it; and notified after
 * that. */
static void conditions(ait_scope *scope)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *cancelled = NULL;

    come(scope, NULL, wait_condition, 0);
    come(scope, &cancelled, wait_condition, 1);
    come(scope, NULL, wait_condition, 2);
    come(scope, NULL, forget, 0);
    CHECK_EQ(ait_task_cancel(cancelled), 1);
    CHECK_EQ(ait_condition_notify(x.condition, 1), 1);
    CHECK_EQ(ait_sleep(MS(10)), 0);
    CHECK_EQ(x.result[0], 0);
    CHECK_EQ(ait_sleep(MS(100)), 0);
    CHECK_EQ(x.result[0], -EOWNERDEAD);
    CHECK_EQ(x.result[1], -EOWNERDEAD);
    /* Was handed the notification that the first could make no use of. */
    CHECK_EQ(x.result[2], -EOWNERDEAD);
}

static int run_case(void *userdata)
{
    AIT_SCOPE(scope);
    int r;

    memset(&x, 0, sizeof(x));
    CHECK_EQ(ait_mutex_new(&x.mutex), 0);
    CHECK_EQ(ait_condition_new(&x.condition), 0);
    CHECK_EQ(ait_scope_enter_after(&scope, 0, MS(10000)), 0);
    ((void (*)(ait_scope *))userdata)(scope);
    r = ait_scope_exit(scope, 0);
    x.mutex = ait_mutex_unref(x.mutex);
    x.condition = ait_condition_unref(x.condition);
    return r;
}

static void test_waiting(void **unused)
{
    assert_int_equal(run_virtual(run_case, waiting), 0);
}

static void test_changing(void **unused)
{
    assert_int_equal(run_virtual(run_case, changing), 0);
}

static void test_conditions(void **unused)
{
    assert_int_equal(run_virtual(run_case, conditions), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_changing),
        cmocka_unit_test(test_conditions),
    };

    (void)alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
