/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Task sets, and what scopes can do besides: names, cancelling after a while. */

#include "check.h"

static int n_done, n_cancelled;

static void reset(void)
{
    n_done = n_cancelled = 0;
}

/* Sleeps; where it is cut short it still takes 10 ms. */
static int work_main(void *userdata)
{
    AIT_SCOPE(shield);
    int r = ait_sleep(MS((intptr_t)userdata));

    if (r < 0) {
        CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
        CHECK_EQ(ait_scope_exit(shield, ait_sleep(MS(10))), 0);
        n_cancelled++;
        return r;
    }
    n_done++;
    return 0;
}

static void *ms(int n)
{
    return (void *)(intptr_t)n;
}

/* ---- as an attribute of an object ------------------------------------------------------------ */

static int object_main(void *userdata)
{
    for (int wait = 200; wait >= 0; wait -= 200) {
        AIT_CLEANUP(ait_taskset_unrefp) ait_taskset *set = NULL;
        int start = now_ms();

        reset();
        CHECK_EQ(ait_taskset_new(&set, NULL, 0), 0);
        for (int i = 0; i < 10; i++)
            CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(100), NULL), 0);
        CHECK_EQ(ait_taskset_n_tasks(set), 10);
        CHECK_EQ(ait_sleep(MS(wait + 1)), 0);
        CHECK_EQ(ait_taskset_cancel_and_wait(set), 0);
        CHECK_EQ(ait_taskset_n_tasks(set), 0);
        CHECK_EQ(n_done, wait ? 10 : 0);
        CHECK_EQ(n_cancelled, wait ? 0 : 10);
        CHECK_EQ(now_ms() - start, wait ? 201 : 11);
        CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(1), NULL), -ESTALE);
        CHECK_EQ(ait_taskset_cancel_and_wait(set), 0);
        CHECK_EQ(ait_taskset_wait(set), 0);
    }
    return 0;
}

static void test_object(void **unused)
{
    assert_int_equal(run_virtual(object_main, NULL), 0);
}

/* Cancelled before any has run: none does. */
static int before_main(void *userdata)
{
    AIT_CLEANUP(ait_taskset_unrefp) ait_taskset *set = NULL;

    reset();
    CHECK_EQ(ait_taskset_new(&set, NULL, 0), 0);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(100), NULL), 0);
    CHECK_EQ(ait_taskset_cancel_and_wait(set), 0);
    CHECK_EQ(n_done + n_cancelled, 0);
    return 0;
}

static void test_before(void **unused)
{
    assert_int_equal(run_virtual(before_main, NULL), 0);
}

/* Whoever waits for its tasks goes on when another ends the set. */
static int stop_main(void *userdata)
{
    CHECK_EQ(ait_sleep(MS(49)), 0);
    return ait_taskset_cancel_and_wait(userdata);
}

static int other_main(void *userdata)
{
    AIT_CLEANUP(ait_taskset_unrefp) ait_taskset *set = NULL;
    AIT_SCOPE(scope);

    reset();
    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST), 0);
    CHECK_EQ(ait_taskset_new(&set, scope, 0), 0);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(10 * i), NULL), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, stop_main, set, NULL), 0);
    CHECK_EQ(ait_taskset_wait(set), 0);
    CHECK_EQ(n_done, 5);
    CHECK_EQ(n_cancelled, 5);
    CHECK_EQ(now_ms(), 59);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    return 0;
}

static void test_other(void **unused)
{
    assert_int_equal(run_virtual(other_main, NULL), 0);
}

/* ---- the scope that it is made in ------------------------------------------------------------ */

static ait_taskset *shared;

static int uses_set_main(void *userdata)
{
    CHECK_EQ(ait_sleep(MS(20)), 0);
    /* The scope is being left, but not without us: the set still works. */
    CHECK_EQ(ait_taskset_spawn(shared, NULL, work_main, ms(5), NULL), 0);
    CHECK_EQ(ait_sleep(MS(20)), 0);
    return 0;
}

static int leaving_main(void *userdata)
{
    AIT_CLEANUP(ait_taskset_unrefp) ait_taskset *set = NULL;
    AIT_SCOPE(scope);

    reset();
    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST), 0);
    CHECK_EQ(ait_taskset_new(&set, NULL, 0), 0);
    shared = set;
    CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(100000), NULL), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, uses_set_main, NULL, NULL), 0);
    CHECK_EQ(ait_scope_exit(scope, 3), 3);
    CHECK_EQ(now_ms(), 50);
    CHECK_EQ(n_done, 1);
    CHECK_EQ(n_cancelled, 1);
    CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(5), NULL), -ESTALE);
    return 0;
}

static void test_leaving(void **unused)
{
    assert_int_equal(run_virtual(leaving_main, NULL), 0);
}

enum ending { BY_CANCEL, BY_DEADLINE, BY_ABORT, BY_BODY };

static int end_scope(ait_scope *scope, enum ending how)
{
    int r = 0;

    switch (how) {
    case BY_CANCEL:
        CHECK_EQ(ait_scope_cancel(scope), 0);
        break;
    case BY_DEADLINE:
        CHECK_EQ(ait_scope_set_timeout(scope, MS(1)), 0);
        r = ait_sleep(MS(100));
        CHECK_EQ(r, -ECANCELED);
        break;
    case BY_ABORT:
        CHECK_EQ(ait_scope_abort(scope), 0);
        break;
    case BY_BODY:
        return -EIO;
    }
    return r;
}

/* Whatever ends the scope ends the set with it; what it had to do for that is not the body's
 * matter. */
static void check_ending(enum ending how, unsigned flags, int want)
{
    AIT_CLEANUP(ait_taskset_unrefp) ait_taskset *set = NULL;
    AIT_SCOPE(scope);
    int start = now_ms(), r;

    reset();
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_taskset_new(&set, scope, flags), 0);
    CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(1000), NULL), 0);
    CHECK_EQ(ait_sleep(MS(5)), 0);
    r = end_scope(scope, how);
    if (how == BY_CANCEL || how == BY_ABORT)
        CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(1), NULL),
                 flags & AIT_SCOPE_SHIELD && how == BY_CANCEL ? 0
                 : how == BY_ABORT                            ? -ESHUTDOWN
                                                              : -ECANCELED);
    CHECK_EQ(ait_scope_exit(scope, r), want);
    CHECK(now_ms() - start <= 5 + 1 + 10);
    CHECK_EQ(n_cancelled, 1);
}

static int endings_main(void *userdata)
{
    for (int shield = 0; shield < 2; shield++) {
        unsigned flags = shield ? AIT_SCOPE_SHIELD : 0;

        check_ending(BY_CANCEL, flags, 0);
        check_ending(BY_DEADLINE, flags, -ETIME);
        check_ending(BY_ABORT, flags, 0);
        check_ending(BY_BODY, flags, -EIO);
    }
    return 0;
}

static void test_endings(void **unused)
{
    assert_int_equal(run_virtual(endings_main, NULL), 0);
    assert_int_equal(check_handled, 0);
}

/* A shielded set works on in a cancelled scope. */
static int shielded_child(void *userdata)
{
    CHECK_EQ(ait_check_cancel(), 0);
    return work_main(userdata);
}

static int shielded_main(void *userdata)
{
    AIT_CLEANUP(ait_taskset_unrefp) ait_taskset *set = NULL;
    AIT_SCOPE(scope);
    AIT_SCOPE(inner);

    reset();
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_taskset_new(&set, NULL, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_scope_cancel(scope), 0);
    CHECK_EQ(ait_taskset_spawn(set, NULL, shielded_child, ms(20), NULL), 0);
    CHECK_EQ(ait_scope_enter(&inner, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_taskset_wait(set), 0);
    CHECK_EQ(ait_scope_exit(inner, 0), 0);
    CHECK_EQ(n_done, 1);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    return 0;
}

static void test_shielded(void **unused)
{
    assert_int_equal(run_virtual(shielded_main, NULL), 0);
}

/* Pushed down through it: the tasks of the tasks of the set. */
static int nested_main(void *userdata)
{
    CHECK_EQ(ait_task_spawn(NULL, work_main, ms(1000), NULL), 0);
    return work_main(ms(1000));
}

static int pushed_main(void *userdata)
{
    AIT_CLEANUP(ait_taskset_unrefp) ait_taskset *set = NULL, *empty = NULL;
    AIT_SCOPE(outer);
    AIT_SCOPE(scope);

    reset();
    CHECK_EQ(ait_scope_enter(&outer, 0), 0);
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_taskset_new(&empty, scope, 0), 0);
    CHECK_EQ(ait_taskset_new(&set, scope, 0), 0);
    CHECK_EQ(ait_taskset_spawn(set, NULL, nested_main, NULL, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_scope_cancel(outer), 0);
    CHECK_EQ(ait_scope_is_cancelled(ait_taskset_scope(empty)), 1);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(n_cancelled, 2);
    CHECK_EQ(ait_scope_exit(outer, 0), 0);
    return 0;
}

static void test_pushed(void **unused)
{
    assert_int_equal(run_virtual(pushed_main, NULL), 0);
}

/* ---- cancel_all, wait, deadlock -------------------------------------------------------------- */

static int inside_main(void *userdata)
{
    CHECK_EQ(ait_taskset_cancel_and_wait(shared), -EDEADLK);
    CHECK_EQ(ait_taskset_wait(shared), -EDEADLK);
    CHECK_EQ(ait_scope_cancel_and_wait(ait_taskset_scope(shared)), -EDEADLK);
    return 0;
}

static int cancel_it(ait_task *task, void *userdata)
{
    CHECK_EQ(ait_task_cancel(task), 1);
    return 0;
}

static int again_main(void *userdata)
{
    AIT_CLEANUP(ait_taskset_unrefp) ait_taskset *set = NULL;

    reset();
    CHECK_EQ(ait_taskset_new(&set, NULL, 0), 0);
    shared = set;
    CHECK_EQ(ait_taskset_wait(set), 0);
    for (int round = 1; round <= 3; round++) {
        CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(1000), NULL), 0);
        CHECK_EQ(ait_taskset_spawn(set, NULL, inside_main, NULL, NULL), 0);
        CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(1000), NULL), 0);
        CHECK_EQ(ait_sleep(MS(1)), 0);
        CHECK_EQ(ait_taskset_foreach(set, cancel_it, NULL), 0);
        CHECK_EQ(ait_taskset_n_tasks(set), 2);
        CHECK_EQ(ait_taskset_wait(set), 0);
        CHECK_EQ(n_cancelled, 2 * round);
    }
    CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(3), NULL), 0);
    CHECK_EQ(ait_taskset_wait(set), 0);
    CHECK_EQ(n_done, 1);
    /* As a scope, too. */
    CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(1000), NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_scope_cancel_and_wait(ait_taskset_scope(set)), 0);
    CHECK_EQ(ait_taskset_n_tasks(set), 0);
    CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(1000), NULL), -ESTALE);
    CHECK_EQ(ait_scope_cancel_and_wait(ait_taskset_scope(set)), 0);
    return 0;
}

static void test_again(void **unused)
{
    assert_int_equal(run_virtual(again_main, NULL), 0);
}

static int wait_result, shutdown_result;

static int waiter_main(void *userdata)
{
    wait_result = ait_taskset_wait(userdata);
    return 0;
}

static int shutter_main(void *userdata)
{
    shutdown_result = ait_taskset_cancel_and_wait(userdata);
    return 0;
}

/* The wait is cut short, the shutdown is not. */
static int cut_main(void *userdata)
{
    AIT_CLEANUP(ait_taskset_unrefp) ait_taskset *set = NULL;
    AIT_CLEANUP(ait_task_unrefp) ait_task *waiter = NULL, *shutter = NULL;

    reset();
    CHECK_EQ(ait_taskset_new(&set, NULL, 0), 0);
    CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(1000), NULL), 0);
    CHECK_EQ(ait_task_spawn(&waiter, waiter_main, set, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_cancel_and_wait(waiter, NULL), 1);
    CHECK_EQ(wait_result, -ECANCELED);
    CHECK_EQ(n_cancelled, 0);
    CHECK_EQ(ait_task_spawn(&shutter, shutter_main, set, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(1), NULL), -ESHUTDOWN);
    CHECK_EQ(ait_cancel_and_wait(shutter, NULL), 1);
    CHECK_EQ(shutdown_result, -ECANCELED);
    CHECK_EQ(n_cancelled, 1);
    CHECK_EQ(now_ms(), 11);
    return 0;
}

static void test_cut(void **unused)
{
    assert_int_equal(run_virtual(cut_main, NULL), 0);
}

/* ---- errors, names, deadlines ---------------------------------------------------------------- */

static int fail_main(void *userdata)
{
    return (int)(intptr_t)userdata;
}

static int handled;

static void handler(ait_scope *scope, const ait_error_info *info, void *userdata)
{
    CHECK_EQ(info->error, -EIO);
    CHECK_EQ(strcmp(info->name, "ABC"), 0);
    CHECK(scope == ait_taskset_scope(userdata));
    CHECK(!ait_task_current());
    handled++;
}

static int errors_main(void *userdata)
{
    AIT_CLEANUP(ait_taskset_unrefp) ait_taskset *set = NULL, *quiet = NULL;
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    int result = 0;

    handled = 0;
    CHECK_EQ(ait_taskset_new(&set, NULL, 0), 0);
    CHECK_EQ(ait_taskset_new(&quiet, NULL, AIT_SCOPE_SUPERVISOR), 0);
    CHECK_EQ(strcmp(ait_scope_name(ait_taskset_scope(set)), "scope"), 0);
    CHECK_EQ(ait_scope_set_name(ait_taskset_scope(set), "XYZ"), 0);
    CHECK_EQ(strcmp(ait_scope_name(ait_taskset_scope(set)), "XYZ"), 0);
    CHECK_EQ(ait_taskset_spawn(set, NULL, fail_main, ms(-EIO), NULL), 0);
    CHECK_EQ(ait_taskset_spawn(quiet, &task, fail_main, ms(-EIO), NULL), 0);
    CHECK_EQ(ait_task_wait(task, &result), 0);
    CHECK_EQ(result, -EIO);
    CHECK_EQ(ait_taskset_wait(set), 0);
    CHECK_EQ(check_handled, 1);
    CHECK_EQ(ait_scope_set_error_handler(ait_taskset_scope(set), handler, set), 0);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(ait_taskset_spawn(set, NULL, fail_main, ms(-EIO), AIT_TASK_OPTIONS(.name = "ABC")),
                 0);
    CHECK_EQ(ait_taskset_wait(set), 0);
    CHECK_EQ(handled, 10);
    CHECK_EQ(ait_scope_set_error_handler(ait_taskset_scope(set), NULL, NULL), 0);
    CHECK_EQ(ait_taskset_spawn(set, NULL, fail_main, ms(-EIO), NULL), 0);
    CHECK_EQ(ait_taskset_wait(set), 0);
    CHECK_EQ(check_handled, 2);
    return 0;
}

static void test_errors(void **unused)
{
    assert_int_equal(run_virtual(errors_main, NULL), 0);
    assert_int_equal(check_handled, 2);
}

static int deadline_main(void *userdata)
{
    AIT_CLEANUP(ait_taskset_unrefp) ait_taskset *set = NULL;

    reset();
    CHECK_EQ(ait_taskset_new(&set, NULL, 0), 0);
    CHECK_EQ(ait_scope_set_timeout(ait_taskset_scope(set), MS(20)), 0);
    CHECK_EQ(ait_scope_cancel_after(ait_taskset_scope(set), MS(900)), 0);
    CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(1000), NULL), 0);
    CHECK_EQ(ait_taskset_wait(set), 0);
    CHECK_EQ(now_ms(), 30);
    CHECK_EQ(n_cancelled, 1);
    CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(1), NULL), -ESTALE);
    CHECK_EQ(ait_scope_is_expired(ait_taskset_scope(set)), 1);
    return 0;
}

static void test_deadline(void **unused)
{
    assert_int_equal(run_virtual(deadline_main, NULL), 0);
}

/* ---- references ------------------------------------------------------------------------------ */

/* Dropped while its tasks run: they go on, and the scope ends them at the latest. */
static int dropped_main(void *userdata)
{
    ait_taskset *set = NULL;
    AIT_SCOPE(scope);

    reset();
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_taskset_new(&set, NULL, 0), 0);
    CHECK(ait_taskset_ref(set) == set);
    CHECK(!ait_taskset_unref(set));
    CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(10), NULL), 0);
    CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(20), NULL), 0);
    set = ait_taskset_unref(set);
    CHECK_EQ(ait_sleep(MS(100)), 0);
    CHECK_EQ(n_done, 2);
    CHECK_EQ(ait_taskset_new(&set, NULL, 0), 0);
    CHECK_EQ(ait_taskset_spawn(set, NULL, work_main, ms(1000), NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    set = ait_taskset_unref(set);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(n_cancelled, 1);
    return 0;
}

static void test_dropped(void **unused)
{
    assert_int_equal(run_virtual(dropped_main, NULL), 0);
}

/* In the loop's root; it may outlive the loop. */
static void test_root(void **unused)
{
    ait_taskset *set = NULL, *idle = NULL;
    ait_scope *root;
    ait_loop *loop = NULL;

    assert_int_equal(ait_taskset_new(&set, NULL, 0), -EPERM);
    assert_int_equal(ait_loop_new(&loop), 0);
    root = ait_loop_root(loop);
    assert_int_equal(ait_taskset_new(NULL, NULL, 0), -EINVAL);
    assert_int_equal(ait_taskset_new(&set, NULL, AIT_SCOPE_FAIL_FAST), -EINVAL);
    assert_null(set);
    assert_int_equal(ait_taskset_new(&set, root, 0), 0);
    assert_int_equal(ait_taskset_new(&idle, NULL, 0), 0);
    assert_int_equal(ait_taskset_new(NULL, ait_taskset_scope(set), 0), -EINVAL);
    assert_int_equal(ait_taskset_spawn(set, NULL, fail_main, NULL, NULL), 0);
    assert_int_equal(ait_taskset_wait(set), -EPERM);
    assert_int_equal(ait_taskset_cancel_and_wait(set), -EPERM);
    assert_null(ait_scope_leave(ait_taskset_scope(set)));
    assert_int_equal(ait_scope_exit(ait_taskset_scope(set), 0), -EINVAL);
    assert_int_equal(ait_loop_run(loop), 0);
    assert_int_equal(ait_taskset_n_tasks(set), 0);
    assert_int_equal(ait_scope_set_timeout(ait_taskset_scope(idle), MS(100)), 0);
    assert_int_equal(ait_scope_cancel_after(ait_taskset_scope(idle), MS(100)), 0);
    assert_null(ait_taskset_unref(idle));
    assert_int_equal(ait_scope_set_timeout(ait_taskset_scope(set), MS(100)), 0);
    assert_int_equal(ait_scope_cancel_after(ait_taskset_scope(set), MS(100)), 0);
    ait_loop_unref(loop);
    assert_int_equal(ait_taskset_spawn(set, NULL, fail_main, NULL, NULL), -EPERM);
    assert_null(ait_taskset_unref(set));
    assert_null(ait_taskset_ref(NULL));
    assert_null(ait_taskset_unref(NULL));
    assert_null(ait_taskset_scope(NULL));
    assert_int_equal(ait_taskset_spawn(NULL, NULL, fail_main, NULL, NULL), -EINVAL);
    assert_int_equal(ait_taskset_cancel_and_wait(NULL), -EINVAL);
    assert_int_equal(ait_taskset_wait(NULL), -EINVAL);
    assert_int_equal(ait_taskset_n_tasks(NULL), 0);
    check_assert();
}

static int end_with_set_main(void *userdata)
{
    ait_taskset *set = NULL;
    int r = ait_taskset_new(&set, NULL, 0);

    if (r < 0)
        return r;
    r = ait_taskset_spawn(set, NULL, work_main, ms(1000), NULL);
    ait_taskset_unref(set);
    (void)ait_sleep(MS(1));
    return r;
}

/* A task that ends with a set in its own root. */
static void test_task_root(void **unused)
{
    reset();
    assert_int_equal(run_virtual(end_with_set_main, NULL), 0);
    assert_int_equal(n_cancelled, 1);
}

/* ---- names and cancelling after a while ------------------------------------------------------ */

struct after {
    const char *name;
    unsigned flags;
    int cancel_after, timeout, body;
    bool outer_cancelled;
    bool withdrawn;
    int ret, ms, caught, expired;
};

static const struct after afters[] = {
    {.name = "cancels", .cancel_after = 10, .body = 100, .ret = 0, .ms = 10, .caught = 1},
    {.name = "not needed", .cancel_after = 100, .body = 10, .ret = 7, .ms = 10},
    {.name = "at once", .cancel_after = 0, .body = 10, .ret = 0, .ms = 0, .caught = 1},
    {.name = "propagates",
     .flags = AIT_SCOPE_PROPAGATE,
     .cancel_after = 10,
     .body = 100,
     .ret = -ECANCELED,
     .ms = 10},
    {.name = "before the deadline",
     .cancel_after = 10,
     .timeout = 20,
     .body = 100,
     .ret = 0,
     .ms = 10,
     .caught = 1},
    {.name = "after the deadline",
     .cancel_after = 20,
     .timeout = 10,
     .body = 100,
     .ret = -ETIME,
     .ms = 10,
     .caught = 1,
     .expired = 1},
    {.name = "cleanup in a shield, with a limit",
     .flags = AIT_SCOPE_SHIELD,
     .cancel_after = 10,
     .body = 100,
     .outer_cancelled = true,
     .ret = -ECANCELED,
     .ms = 10},
    {.name = "withdrawn", .cancel_after = 10, .body = 100, .withdrawn = true, .ret = 7, .ms = 100},
};

static void check_after(const struct after *a)
{
    int start = now_ms(), r;
    AIT_SCOPE(outer);
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&outer, 0), 0);
    if (a->outer_cancelled)
        CHECK_EQ(ait_scope_cancel(outer), 0);
    CHECK_EQ(ait_scope_enter(&scope, a->flags), 0);
    CHECK_EQ(ait_scope_cancel_after(scope, MS(1)), 0); /* replaced */
    CHECK_EQ(ait_scope_cancel_after(scope, MS(a->cancel_after)), 0);
    if (a->timeout)
        CHECK_EQ(ait_scope_set_timeout(scope, MS(a->timeout)), 0);
    if (a->withdrawn)
        CHECK_EQ(ait_scope_cancel_after(scope, AIT_USEC_INFINITY), 0);
    r = ait_sleep(MS(a->body));
    CHECK_EQ(ait_scope_exit(scope, r < 0 ? r : 7), a->ret);
    CHECK_EQ(now_ms() - start, a->ms);
    CHECK_EQ(ait_scope_cancelled_caught(scope), a->caught);
    CHECK_EQ(ait_scope_is_expired(scope), a->expired);
    CHECK_EQ(ait_scope_cancel_after(scope, 1), -ESTALE);
    CHECK_EQ(ait_scope_exit(outer, 0), 0);
}

static int after_main(void *userdata)
{
    for (size_t i = 0; i < ELEMENTS(afters); i++) {
        unsigned before = check_failures;

        check_after(afters + i);
        if (check_failures > before)
            (void)fprintf(stderr, "row: %s\n", afters[i].name);
    }
    /* A timer that outlives its scope's exit fires into nothing. */
    CHECK_EQ(ait_sleep(MS(200)), 0);
    return ait_scope_cancel_after(NULL, 1);
}

static void test_after(void **unused)
{
    assert_int_equal(run_virtual(after_main, NULL), -EINVAL);
}

static int own_root_main(void *userdata)
{
    int r;

    CHECK_EQ(ait_scope_cancel_after(ait_scope_current(), MS(5)), 0);
    r = ait_sleep(MS(100));
    CHECK_EQ(ait_task_cancelling(ait_task_current()), 1);
    CHECK_EQ(now_ms(), 5);
    return r;
}

static void test_own_root(void **unused)
{
    assert_int_equal(run_virtual(own_root_main, NULL), -ECANCELED);
}

static int names_main(void *userdata)
{
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(strcmp(ait_scope_name(scope), "scope"), 0);
    CHECK_EQ(ait_scope_set_name(scope, "fetch"), 0);
    CHECK_EQ(strcmp(ait_scope_name(scope), "fetch"), 0);
    CHECK_EQ(ait_scope_set_name(scope, ait_scope_name(scope)), 0);
    CHECK_EQ(ait_scope_set_name(scope, "again"), 0);
    CHECK_EQ(ait_scope_set_name(scope, NULL), -EINVAL);
    CHECK_EQ(ait_scope_set_name(NULL, "x"), -EINVAL);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    /* Until it is left. */
    CHECK_EQ(strcmp(ait_scope_name(scope), "again"), 0);
    scope = ait_scope_leave(scope);
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(strcmp(ait_scope_name(scope), "scope"), 0);
    CHECK_EQ(strcmp(ait_scope_name(NULL), "scope"), 0);
    CHECK_EQ(ait_scope_set_name(ait_loop_root(ait_loop_current()), "root"), 0);
    return 0;
}

static void test_names(void **unused)
{
    assert_int_equal(run_virtual(names_main, NULL), 0);
}

/* ---- which there are, and what is in them ---------------------------------------------------- */

static int look_inside(void *userdata)
{
    ait_taskset **want = userdata;

    CHECK(ait_taskset_current() == *want);
    return ait_sleep(MS(10));
}

static int look_deeper(void *userdata)
{
    const ait_call calls[] = {{look_inside, userdata, NULL}};
    AIT_COMPLETION(c);
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    /* The sets that completions are made of are nobody's. */
    CHECK_EQ(ait_completion_open(&c, calls, 1, NULL), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, look_inside, userdata, NULL), 0);
    return look_inside(userdata);
}

static int list_name(ait_task *task, void *userdata)
{
    strcat(userdata, ait_task_name(task));
    return strcmp(ait_task_name(task), "stop") == 0 ? 3 : 0;
}

static int list_set(ait_taskset *set, void *userdata)
{
    strcat(userdata, ait_scope_name(ait_taskset_scope(set)));
    return strcmp(ait_scope_name(ait_taskset_scope(set)), "stop") == 0 ? 4 : 0;
}

static void spawn_named(ait_taskset *set, ait_task_fn fn, const char *name, void *userdata)
{
    CHECK_EQ(ait_taskset_spawn(set, NULL, fn, userdata, AIT_TASK_OPTIONS(.name = name)), 0);
}

static int enumerate_main(void *unused)
{
    AIT_CLEANUP(ait_taskset_unrefp) ait_taskset *set = NULL, *other = NULL;
    ait_loop *loop = ait_loop_current();
    char names[64] = "";

    CHECK_EQ(ait_loop_foreach_taskset(loop, list_set, names), 0);
    CHECK_EQ(ait_taskset_new(&set, NULL, 0), 0);
    CHECK_EQ(ait_scope_set_name(ait_taskset_scope(set), "S"), 0);
    CHECK_EQ(ait_taskset_new(&other, NULL, 0), 0);
    CHECK_EQ(ait_scope_set_name(ait_taskset_scope(other), "stop"), 0);
    CHECK(ait_taskset_current() == NULL);
    spawn_named(set, look_inside, "a", &set);
    spawn_named(set, look_deeper, "b", &set);
    spawn_named(set, look_inside, "stop", &set);
    spawn_named(set, look_inside, "c", &set);
    CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(ait_loop_foreach_taskset(loop, list_set, names), 4);
    CHECK_EQ(ait_taskset_foreach(other, list_name, names), 0);
    CHECK_EQ(ait_taskset_foreach(set, list_name, names), 3);
    CHECK_EQ(strcmp(names, "Sstopabstop"), 0);
    CHECK_EQ(ait_taskset_wait(set), 0);
    CHECK_EQ(ait_taskset_cancel_and_wait(set), 0);
    names[0] = '\0';
    CHECK_EQ(ait_loop_foreach_taskset(loop, list_set, names), 4);
    CHECK_EQ(ait_taskset_foreach(set, list_name, names), 0);
    CHECK_EQ(strcmp(names, "stop"), 0);
    CHECK_EQ(ait_taskset_foreach(NULL, list_name, names), -EINVAL);
    CHECK_EQ(ait_taskset_foreach(set, NULL, names), -EINVAL);
    CHECK_EQ(ait_loop_foreach_taskset(NULL, list_set, names), -EINVAL);
    CHECK_EQ(ait_loop_foreach_taskset(loop, NULL, names), -EINVAL);
    return 0;
}

/* Nobody refers to it any more: it is there as long as its tasks are, and they know it. */
static int forgotten_main(void *unused)
{
    ait_taskset *set = NULL, *was;
    char names[16] = "";

    CHECK_EQ(ait_taskset_new(&set, NULL, 0), 0);
    CHECK_EQ(ait_scope_set_name(ait_taskset_scope(set), "F"), 0);
    was = set;
    spawn_named(set, look_inside, "a", &was);
    set = ait_taskset_unref(set);
    CHECK_EQ(ait_loop_foreach_taskset(ait_loop_current(), list_set, names), 0);
    CHECK_EQ(ait_sleep(MS(20)), 0);
    CHECK_EQ(ait_loop_foreach_taskset(ait_loop_current(), list_set, names), 0);
    CHECK_EQ(strcmp(names, "F"), 0);
    return 0;
}

static void test_enumerate(void **unused)
{
    assert_null(ait_taskset_current());
    assert_int_equal(run_virtual(enumerate_main, NULL), 0);
    assert_int_equal(run_virtual(forgotten_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_object),   cmocka_unit_test(test_before),
        cmocka_unit_test(test_other),    cmocka_unit_test(test_leaving),
        cmocka_unit_test(test_endings),  cmocka_unit_test(test_shielded),
        cmocka_unit_test(test_pushed),   cmocka_unit_test(test_again),
        cmocka_unit_test(test_cut),      cmocka_unit_test(test_errors),
        cmocka_unit_test(test_deadline), cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_root),     cmocka_unit_test(test_task_root),
        cmocka_unit_test(test_after),    cmocka_unit_test(test_own_root),
        cmocka_unit_test(test_names),    cmocka_unit_test(test_enumerate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
