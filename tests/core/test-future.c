/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Futures and slots: who is woken, in which order, from where, and who holds what. */

#include "check.h"

/* ---- manual futures -------------------------------------------------------------------------- */

static int manual_main(void *userdata)
{
    AIT_CLEANUP(ait_future_unrefp) ait_future *f = NULL;
    int result = 99;

    CHECK_EQ(ait_future_new(&f), 0);
    CHECK_EQ(ait_future_is_done(f), 0);
    CHECK_EQ(ait_future_result(f, &result), -EBUSY);
    CHECK_EQ(result, 99);
    CHECK_EQ(ait_future_resolve(f, -EIO), 0);
    CHECK_EQ(ait_future_is_done(f), 1);
    CHECK_EQ(ait_future_resolve(f, 5), -EALREADY);
    CHECK_EQ(ait_future_result(f, &result), 0);
    CHECK_EQ(result, -EIO);
    CHECK_EQ(ait_future_result(f, NULL), 0);
    result = 99;
    CHECK_EQ(ait_await(f, &result), 0);
    CHECK_EQ(result, -EIO);
    CHECK_EQ(ait_await(f, NULL), 0);
    CHECK_EQ(ait_future_resolve(ait_task_future(ait_task_current()), 0), -EPERM);
    CHECK_EQ(ait_await(ait_task_future(ait_task_current()), NULL), -EDEADLK);
    CHECK_EQ(ait_task_wait(ait_task_current(), NULL), -EDEADLK);
    return 0;
}

static void test_manual(void **unused)
{
    assert_int_equal(run_virtual(manual_main, NULL), 0);
}

static void nothing(ait_future *future, int result, void *userdata)
{
}

static void test_arguments(void **unused)
{
    ait_future *f = NULL;
    int result = 99;

    assert_int_equal(ait_future_new(&f), -EPERM);
    assert_null(f);
    assert_int_equal(ait_future_new(NULL), -EINVAL);
    assert_int_equal(ait_future_resolve(NULL, 0), -EINVAL);
    assert_int_equal(ait_future_is_done(NULL), -EINVAL);
    assert_int_equal(ait_future_result(NULL, &result), -EINVAL);
    assert_int_equal(result, 99);
    assert_int_equal(ait_await(NULL, &result), -EINVAL);
    assert_int_equal(ait_future_add_callback(NULL, NULL, nothing, NULL), -EINVAL);
    assert_null(ait_future_ref(NULL));
    assert_null(ait_future_unref(NULL));
    assert_null(ait_slot_unref(NULL));
    assert_null(ait_task_future(NULL));
}

/* ---- waiters --------------------------------------------------------------------------------- */

struct order {
    ait_future *future;
    int seen[16], n;
    int id;
};

static struct order order;

static int wait_main(void *userdata)
{
    int r = ait_await(order.future, NULL);

    order.seen[order.n++] = (int)(intptr_t)userdata;
    return r;
}

static int order_main(void *userdata)
{
    AIT_SCOPE(scope);

    order = (struct order){};
    CHECK_EQ(ait_future_new(&order.future), 0);
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    for (intptr_t i = 0; i < 8; i++)
        CHECK_EQ(ait_scope_spawn(scope, NULL, wait_main, (void *)i, NULL), 0);
    CHECK_EQ(check_settle(), 0);
    CHECK_EQ(order.n, 0);
    CHECK_EQ(ait_future_resolve(order.future, 0), 0);
    CHECK_EQ(order.n, 0);
    /* Who waits holds a reference. */
    ait_future_unref(order.future);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(order.n, 8);
    for (int i = 0; i < 8; i++)
        CHECK(order.seen[i] == i || check_shuffled());
    return 0;
}

static void test_order(void **unused)
{
    assert_int_equal(run_virtual(order_main, NULL), 0);
}

static int detach_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *a = NULL;
    AIT_SCOPE(scope);
    ait_future *f = NULL;

    order = (struct order){};
    CHECK_EQ(ait_future_new(&f), 0);
    order.future = f;
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_spawn(scope, &a, wait_main, (void *)1, NULL), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, wait_main, (void *)2, NULL), 0);
    CHECK_EQ(check_settle(), 0);
    CHECK_EQ(ait_cancel_and_wait(a, NULL), 0);
    CHECK_EQ(ait_future_is_done(f), 0);
    CHECK_EQ(ait_future_resolve(f, 7), 0);
    ait_future_unref(f);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(order.n, 2);
    CHECK_EQ(order.seen[0], 1);
    return 0;
}

/* A waiter that is cancelled leaves the future to the others; dropping a pending one cancels
 * nobody. */
static void test_detach(void **unused)
{
    assert_int_equal(run_virtual(detach_main, NULL), 0);
}

/* ---- slots ----------------------------------------------------------------------------------- */

static struct {
    ait_future *future;
    ait_slot *slot[8];
    int n, result, in_resolve;
    bool resolving;
} slots;

static void on_done(ait_future *future, int result, void *userdata)
{
    CHECK(future == slots.future);
    CHECK(ait_task_current() == NULL);
    CHECK(ait_scope_current() == NULL);
    CHECK_EQ(ait_yield(), -EPERM);
    CHECK_EQ(ait_sleep(1), -EPERM);
    CHECK_EQ(ait_await(future, NULL), -EPERM);
    slots.in_resolve += slots.resolving;
    slots.result = result;
    slots.n++;
}

static int callback_main(void *userdata)
{
    memset(&slots, 0, sizeof(slots));
    CHECK_EQ(ait_future_new(&slots.future), 0);
    CHECK_EQ(ait_future_add_callback(slots.future, &slots.slot[0], on_done, NULL), 0);
    CHECK_EQ(ait_future_add_callback(slots.future, &slots.slot[1], on_done, NULL), 0);
    CHECK_EQ(ait_future_add_callback(slots.future, NULL, on_done, NULL), 0);
    slots.slot[1] = ait_slot_unref(slots.slot[1]); /* will not run */
    slots.resolving = true;
    CHECK_EQ(ait_future_resolve(slots.future, 42), 0);
    slots.resolving = false;
    CHECK_EQ(slots.n, 0);
    CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(slots.n, 2);
    CHECK_EQ(slots.result, 42);
    CHECK_EQ(slots.in_resolve, 0);
    /* Of one that is resolved: not inside the call either. */
    CHECK_EQ(ait_future_add_callback(slots.future, NULL, on_done, NULL), 0);
    CHECK_EQ(slots.n, 2);
    CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(slots.n, 3);
    ait_slot_unref(slots.slot[0]); /* has run: harmless */
    /* Unref between resolve and run. */
    CHECK_EQ(ait_future_add_callback(slots.future, &slots.slot[2], on_done, NULL), 0);
    ait_slot_unrefp(&slots.slot[2]);
    CHECK(slots.slot[2] == NULL);
    CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(slots.n, 3);
    ait_future_unref(slots.future);
    return 0;
}

static void test_callback(void **unused)
{
    assert_int_equal(run_virtual(callback_main, NULL), 0);
}

static void unref_others(ait_future *future, int result, void *userdata)
{
    slots.n++;
    for (unsigned i = 0; i < ELEMENTS(slots.slot); i++)
        slots.slot[i] = ait_slot_unref(slots.slot[i]);
    CHECK_EQ(ait_future_add_callback(future, NULL, on_done, NULL), 0);
}

static int unref_main(void *userdata)
{
    memset(&slots, 0, sizeof(slots));
    CHECK_EQ(ait_future_new(&slots.future), 0);
    for (unsigned i = 0; i < ELEMENTS(slots.slot); i++)
        CHECK_EQ(ait_future_add_callback(slots.future, &slots.slot[i], unref_others, NULL), 0);
    CHECK_EQ(ait_future_resolve(slots.future, 0), 0);
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(slots.n, 2); /* the first of them, and on_done */
    ait_future_unref(slots.future);
    return 0;
}

/* A callback may drop its own slot, those of its neighbours in the same batch, and add new ones. */
static void test_unref_in_callback(void **unused)
{
    assert_int_equal(run_virtual(unref_main, NULL), 0);
}

static int spawned_main(void *userdata)
{
    slots.n++;
    return ait_yield();
}

static void spawn_more(ait_future *future, int result, void *userdata)
{
    CHECK_EQ(ait_task_spawn(NULL, spawned_main, NULL, NULL), 0);
}

static int seven(void *userdata)
{
    return ait_sleep(MS(5)) < 0 ? -EIO : 7;
}

/* Callback code waits for a task, and spawns another, with no task around it. */
static void test_outside(void **unused)
{
    ait_task *task = NULL;
    ait_loop *loop = NULL;
    ait_slot *slot = NULL;

    memset(&slots, 0, sizeof(slots));
    assert_int_equal(ait_loop_new(&loop), 0);
    assert_int_equal(ait_task_spawn(&task, seven, NULL, NULL), 0);
    slots.future = ait_task_future(task);
    assert_int_equal(ait_future_add_callback(slots.future, &slot, on_done, NULL), 0);
    assert_int_equal(ait_future_add_callback(slots.future, NULL, spawn_more, NULL), 0);
    assert_int_equal(ait_loop_run(loop), 0);
    assert_int_equal(slots.result, 7);
    assert_int_equal(slots.n, 2);
    ait_slot_unref(slot);
    ait_task_unref(task);
    ait_loop_unref(loop);
    check_assert();
}

/* Slots that never ran, queued or not, held or floating, do not outlive their loop in a harmful
 * way. */
static void test_loop_ends(void **unused)
{
    ait_slot *queued = NULL, *pending = NULL;
    ait_future *done = NULL, *open = NULL;
    ait_loop *loop = NULL;

    memset(&slots, 0, sizeof(slots));
    assert_int_equal(ait_loop_new(&loop), 0);
    assert_int_equal(ait_future_new(&done), 0);
    assert_int_equal(ait_future_new(&open), 0);
    assert_int_equal(ait_future_add_callback(done, &queued, on_done, NULL), 0);
    assert_int_equal(ait_future_add_callback(done, NULL, on_done, NULL), 0);
    assert_int_equal(ait_future_add_callback(open, &pending, on_done, NULL), 0);
    assert_int_equal(ait_future_add_callback(open, NULL, on_done, NULL), 0);
    assert_int_equal(ait_future_resolve(done, 1), 0);
    ait_loop_unref(loop);
    ait_future_unref(done);
    ait_slot_unref(queued);
    ait_slot_unref(pending);
    ait_future_unref(open);
    assert_int_equal(slots.n, 0);
}

/* ---- tasks as futures ------------------------------------------------------------------------ */

static int result_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *t = NULL;
    AIT_SCOPE(scope);
    int result = 99;

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_spawn(scope, &t, seven, NULL, AIT_TASK_OPTIONS(.name = "seven")), 0);
    CHECK_EQ(ait_task_is_done(t), 0);
    CHECK_EQ(ait_task_result(t, &result), -EBUSY);
    CHECK_EQ(result, 99);
    CHECK_EQ(ait_task_wait(t, &result), 0);
    CHECK_EQ(result, 7);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    /* Kept by the reference, long after its scope. */
    result = 99;
    CHECK_EQ(ait_task_is_done(t), 1);
    CHECK_EQ(ait_task_result(t, &result), 0);
    CHECK_EQ(result, 7);
    CHECK(strcmp(ait_task_name(t), "seven") == 0);
    CHECK(ait_task_ref(t) == t);
    CHECK(ait_task_unref(t) == NULL);
    return 0;
}

static void test_task_result(void **unused)
{
    assert_int_equal(run_virtual(result_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manual),      cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_order),       cmocka_unit_test(test_detach),
        cmocka_unit_test(test_callback),    cmocka_unit_test(test_unref_in_callback),
        cmocka_unit_test(test_outside),     cmocka_unit_test(test_loop_ends),
        cmocka_unit_test(test_task_result),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
