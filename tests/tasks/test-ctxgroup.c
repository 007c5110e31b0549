/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Many contexts as one: side by side, all or nothing, and no exit left out. */

#include "alloc.h"
#include "check.h"

#define N 4

static struct thing {
    int enter_after, enter_r;
    int exit_after, exit_r;
    int n_entered, n_exited, told;
    int exit_got; /* what its sleep in exit returned */
} things[N];

static int thing_enter(void *userdata, void **ret_value)
{
    struct thing *t = userdata;
    int r;

    r = ait_sleep(MS(t->enter_after));
    if (r < 0)
        return r;
    if (t->enter_r < 0)
        return t->enter_r;
    t->n_entered++;
    *ret_value = t;
    return t->enter_r;
}

static int thing_exit(void *userdata, int r)
{
    struct thing *t = userdata;

    t->n_exited++;
    t->told = r;
    t->exit_got = ait_sleep(MS(t->exit_after));
    return t->exit_r;
}

static void set_up(ait_ctxgroup **ret, unsigned flags)
{
    memset(things, 0, sizeof(things));
    CHECK_EQ(ait_ctxgroup_open(ret, flags), 0);
    for (int i = 0; i < N; i++) {
        const ait_ctx ctx = {thing_enter, thing_exit, things + i};

        CHECK_EQ(ait_ctxgroup_add(*ret, &ctx), i);
        things[i].enter_after = things[i].exit_after = 10 * (i + 1);
        things[i].told = 99;
    }
}

/* Each as often exited as entered. */
static bool balanced(void)
{
    for (int i = 0; i < N; i++)
        if (things[i].n_entered != things[i].n_exited)
            return false;
    return true;
}

/* ---- in order -------------------------------------------------------------------------------- */

static int side_by_side_main(void *userdata)
{
    AIT_CTXGROUP(group);

    set_up(&group, 0);
    CHECK_EQ(ait_ctxgroup_size(group), N);
    CHECK_EQ(ait_ctxgroup_enter_result(group, 0), -ECANCELED);
    for (int round = 0; round < 2; round++) {
        int start = now_ms();

        things[1].enter_r = 3;
        CHECK_EQ(ait_ctxgroup_enter(group), N);
        CHECK_EQ(now_ms() - start, 40);
        CHECK_EQ(ait_ctxgroup_enter(group), -EBUSY);
        CHECK_EQ(ait_ctxgroup_add(group, &(const ait_ctx){}), -EBUSY);
        for (int i = 0; i < N; i++) {
            CHECK(ait_ctxgroup_value(group, (size_t)i) == things + i);
            CHECK_EQ(ait_ctxgroup_enter_result(group, (size_t)i), i == 1 ? 3 : 0);
        }
        CHECK_EQ(ait_ctxgroup_exit(group, 5), 5);
        CHECK_EQ(now_ms() - start, 80);
        for (int i = 0; i < N; i++) {
            CHECK_EQ(things[i].told, 5);
            CHECK_EQ(things[i].exit_got, 0);
            CHECK_EQ(ait_ctxgroup_exit_result(group, (size_t)i), 0);
            CHECK(ait_ctxgroup_value(group, (size_t)i) == NULL);
        }
        CHECK_EQ(ait_ctxgroup_exit(group, 0), -EINVAL);
    }
    return 0;
}

static void test_side_by_side(void **unused)
{
    assert_int_equal(run_virtual(side_by_side_main, NULL), 0);
}

static int empty_main(void *userdata)
{
    AIT_CTXGROUP(group);

    CHECK_EQ(ait_ctxgroup_open(&group, 0), 0);
    CHECK_EQ(ait_ctxgroup_enter(group), 0);
    CHECK_EQ(ait_ctxgroup_exit(group, -EIO), -EIO);
    /* Contexts of nothing at all. */
    CHECK_EQ(ait_ctxgroup_add(group, &(const ait_ctx){}), 0);
    CHECK_EQ(ait_ctxgroup_enter(group), 1);
    CHECK_EQ(ait_ctxgroup_exit(group, 2), 2);
    return 0;
}

static void test_empty(void **unused)
{
    assert_int_equal(run_virtual(empty_main, NULL), 0);
}

/* ---- enters that fail ------------------------------------------------------------------------ */

/* The second fails at 20 ms: the first has entered and is exited, the others are cut short. */
static int roll_back_main(void *userdata)
{
    AIT_CTXGROUP(group);

    set_up(&group, 0);
    things[1].enter_r = -EIO;
    things[0].exit_r = -EPIPE;
    CHECK_EQ(ait_ctxgroup_enter(group), -EIO);
    CHECK_EQ(now_ms(), 30);
    CHECK(balanced());
    CHECK_EQ(things[0].n_exited, 1);
    CHECK_EQ(things[0].told, -EIO);
    CHECK_EQ(things[0].exit_got, 0);
    CHECK_EQ(ait_ctxgroup_enter_result(group, 0), 0);
    CHECK_EQ(ait_ctxgroup_enter_result(group, 1), -EIO);
    CHECK_EQ(ait_ctxgroup_enter_result(group, 2), -ECANCELED);
    CHECK_EQ(ait_ctxgroup_exit_result(group, 0), -EPIPE);
    for (size_t i = 0; i < N; i++)
        CHECK(ait_ctxgroup_value(group, i) == NULL);
    /* Not entered: and so the body's result passes by. */
    CHECK_EQ(ait_ctxgroup_exit(group, -EBUSY), -EBUSY);
    /* Another time it goes well. */
    things[1].enter_r = 0;
    CHECK_EQ(ait_ctxgroup_enter(group), N);
    CHECK_EQ(ait_ctxgroup_exit(group, 0), -EPIPE);
    CHECK(balanced());
    return 0;
}

static int partial_main(void *userdata)
{
    AIT_CTXGROUP(group);

    set_up(&group, AIT_CTXGROUP_PARTIAL);
    things[1].enter_r = -EIO;
    things[3].enter_r = -ECANCELED;
    CHECK_EQ(ait_ctxgroup_enter(group), 2);
    CHECK_EQ(now_ms(), 40);
    CHECK_EQ(ait_ctxgroup_enter_result(group, 1), -EIO);
    CHECK(ait_ctxgroup_value(group, 1) == NULL);
    CHECK(ait_ctxgroup_value(group, 2) == things + 2);
    things[2].exit_r = -EPIPE;
    CHECK_EQ(ait_ctxgroup_exit(group, 0), -EPIPE);
    CHECK(balanced());
    CHECK_EQ(ait_ctxgroup_exit_result(group, 0), 0);
    CHECK_EQ(ait_ctxgroup_exit_result(group, 1), -ECANCELED);
    CHECK_EQ(ait_ctxgroup_exit_result(group, 2), -EPIPE);
    return 0;
}

static void test_enter_fails(void **unused)
{
    assert_int_equal(run_virtual(roll_back_main, NULL), 0);
    assert_int_equal(run_virtual(partial_main, NULL), 0);
}

/* ---- exits that fail ------------------------------------------------------------------------- */

static int exit_fails_main(void *userdata)
{
    static const struct {
        int exits[N], body, r;
    } cases[] = {
        {{0, -EPIPE, -EIO, 0}, 0, -EPIPE}, /* the first by time */
        {{0, -EPIPE, 0, 0}, -EBUSY, -EBUSY},
        {{0, AIT_CTX_HANDLED, 0, 0}, -EBUSY, 0},
        {{AIT_CTX_HANDLED, 0, 0, -EIO}, -EBUSY, -EIO},
        {{AIT_CTX_HANDLED, 0, 0, 0}, 4, 4},
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        AIT_CTXGROUP(group);

        set_up(&group, 0);
        for (int k = 0; k < N; k++)
            things[k].exit_r = cases[i].exits[k];
        CHECK_EQ(ait_ctxgroup_enter(group), N);
        CHECK_EQ(ait_ctxgroup_exit(group, cases[i].body), cases[i].r);
        CHECK(balanced());
    }
    return 0;
}

static void test_exit_fails(void **unused)
{
    assert_int_equal(run_virtual(exit_fails_main, NULL), 0);
}

/* ---- cancelled callers ----------------------------------------------------------------------- */

static int enter_task(void *userdata)
{
    AIT_CTXGROUP(group);
    int r;

    set_up(&group, userdata ? AIT_CTXGROUP_PARTIAL : 0);
    r = ait_ctxgroup_enter(group);
    /* Rolled back before it returns. */
    CHECK(balanced());
    CHECK_EQ(ait_ctxgroup_exit(group, r), r);
    CHECK_EQ(ait_ctxgroup_enter(group), -ECANCELED);
    return r;
}

static int enter_cancelled_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    int result;

    CHECK_EQ(ait_task_spawn(&task, enter_task, userdata, NULL), 0);
    CHECK_EQ(ait_sleep(MS(25)), 0);
    CHECK_EQ(ait_cancel_and_wait(task, &result), 0);
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(things[0].n_exited, 1);
    CHECK_EQ(things[1].n_exited, 1);
    CHECK_EQ(things[2].n_entered, 0);
    CHECK_EQ(now_ms(), 25 + 20);
    return 0;
}

static int exit_task(void *userdata)
{
    AIT_CTXGROUP(group);
    int r;

    set_up(&group, 0);
    if (userdata)
        CHECK_EQ(ait_ctxgroup_set_grace(group, *(uint64_t *)userdata), 0);
    r = ait_ctxgroup_enter(group);
    CHECK_EQ(r, N);
    (void)ait_task_started(0);
    r = ait_sleep(AIT_USEC_INFINITY);
    return ait_ctxgroup_exit(group, r);
}

static int exit_cancelled_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    AIT_SCOPE(scope);
    int result, start;

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_start(scope, &task, exit_task, userdata, NULL), 0);
    start = now_ms();
    CHECK_EQ(ait_cancel_and_wait(task, &result), 0);
    CHECK_EQ(result, -ECANCELED);
    CHECK(balanced());
    for (int i = 0; i < N; i++) {
        CHECK_EQ(things[i].told, -ECANCELED);
        CHECK_EQ(things[i].exit_got,
                 userdata && things[i].exit_after * 1000U > *(uint64_t *)userdata ? -ECANCELED : 0);
    }
    CHECK_EQ(now_ms() - start, userdata ? *(uint64_t *)userdata / 1000 : 40);
    return ait_scope_exit(scope, 0);
}

static void test_cancelled(void **unused)
{
    uint64_t graces[] = {MS(25), 0};

    assert_int_equal(run_virtual(enter_cancelled_main, NULL), 0);
    assert_int_equal(run_virtual(enter_cancelled_main, (void *)1), 0);
    assert_int_equal(run_virtual(exit_cancelled_main, NULL), 0);
    for (size_t i = 0; i < ELEMENTS(graces); i++)
        assert_int_equal(run_virtual(exit_cancelled_main, graces + i), 0);
}

/* Closed without exit. */
static int closed_main(void *userdata)
{
    {
        AIT_CTXGROUP(group);

        set_up(&group, 0);
        CHECK_EQ(ait_ctxgroup_enter(group), N);
    }
    CHECK(balanced());
    CHECK_EQ(things[3].told, -ECANCELED);
    return 0;
}

static void test_closed(void **unused)
{
    assert_int_equal(run_virtual(closed_main, NULL), 0);
}

/* ---- memory and misuse ----------------------------------------------------------------------- */

/* Each allocation fails in turn: entered as a whole or not at all, and every exit runs. */
static int memory_main(void *userdata)
{
    AIT_CTXGROUP(none);
    int r = -ENOMEM;

    alloc_fail_at(1);
    CHECK_EQ(ait_ctxgroup_open(&none, 0), -ENOMEM);
    alloc_fail_at(0);
    CHECK_EQ(ait_ctxgroup_open(&none, 0), 0);
    alloc_fail_at(1);
    CHECK_EQ(ait_ctxgroup_add(none, &(const ait_ctx){}), -ENOMEM);
    for (unsigned n = 1; n < 10; n++) {
        AIT_CTXGROUP(group);

        alloc_fail_at(0);
        set_up(&group, 0);
        alloc_fail_at(n);
        r = ait_ctxgroup_enter(group);
        alloc_fail_at(n);
        CHECK(r == N || r == -ENOMEM);
        CHECK_EQ(ait_ctxgroup_exit(group, 1), r == N ? 1 : -EINVAL);
        CHECK(balanced());
    }
    alloc_fail_at(0);
    CHECK_EQ(r, N);
    return 0;
}

static void test_memory(void **unused)
{
    assert_int_equal(run_virtual(memory_main, NULL), 0);
}

static void test_arguments(void **unused)
{
    AIT_CTXGROUP(group);

    assert_int_equal(ait_ctxgroup_open(NULL, 0), -EINVAL);
    assert_int_equal(ait_ctxgroup_open(&group, 2), -EINVAL);
    assert_int_equal(ait_ctxgroup_open(&group, 0), 0);
    assert_int_equal(ait_ctxgroup_add(NULL, &(const ait_ctx){}), -EINVAL);
    assert_int_equal(ait_ctxgroup_add(group, NULL), -EINVAL);
    assert_int_equal(ait_ctxgroup_set_grace(NULL, 0), -EINVAL);
    assert_int_equal(ait_ctxgroup_enter(NULL), -EINVAL);
    assert_int_equal(ait_ctxgroup_enter(group), -EPERM);
    assert_int_equal(ait_ctxgroup_exit(NULL, 0), -EINVAL);
    assert_int_equal(ait_ctxgroup_size(NULL), 0);
    assert_int_equal(ait_ctxgroup_enter_result(group, 0), -EINVAL);
    assert_int_equal(ait_ctxgroup_exit_result(NULL, 0), -EINVAL);
    assert_null(ait_ctxgroup_value(group, 0));
    assert_null(ait_ctxgroup_close(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_side_by_side), cmocka_unit_test(test_empty),
        cmocka_unit_test(test_enter_fails),  cmocka_unit_test(test_exit_fails),
        cmocka_unit_test(test_cancelled),    cmocka_unit_test(test_closed),
        cmocka_unit_test(test_memory),       cmocka_unit_test(test_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
