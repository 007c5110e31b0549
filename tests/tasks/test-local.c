/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Task-local values: who sees which, for how long, and when they are destroyed. */

#include "alloc.h"
#include "check.h"

static int n_destroyed[8];

/* A value is a small number, so that its end can be told. */
static void destroyed(void *value)
{
    n_destroyed[(intptr_t)value]++;
}

AIT_LOCAL(plain, NULL);
AIT_LOCAL(counted, destroyed);
AIT_LOCAL(other, destroyed);

static void *number(intptr_t n)
{
    return (void *)n;
}

static intptr_t seen(const ait_local *variable)
{
    return (intptr_t)ait_local_get(variable);
}

static void reset(void)
{
    memset(n_destroyed, 0, sizeof(n_destroyed));
}

static bool destroyed_only_once(unsigned first, unsigned last)
{
    for (unsigned i = first; i <= last; i++)
        if (n_destroyed[i] != 1)
            return false;
    return true;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static int fail_inside(void)
{
    AIT_LOCAL_SCOPED(counted, number(4));

    CHECK_EQ(seen(&counted), 4);
    return -EIO;
}

static int blocks_main(void *userdata)
{
    CHECK(ait_local_get(&plain) == NULL);
    {
        AIT_LOCAL_SCOPED(plain, number(1));
        AIT_LOCAL_SCOPED(counted, number(1));

        CHECK_EQ(seen(&plain), 1);
        {
            AIT_LOCAL_SCOPED(counted, number(2));
            AIT_LOCAL_SCOPED(counted, number(3));

            CHECK_EQ(seen(&counted), 3);
            CHECK_EQ(seen(&plain), 1);
            CHECK_EQ(seen(&other), 0);
            CHECK_EQ(ait_yield(), 0);
            CHECK_EQ(seen(&counted), 3);
        }
        CHECK_EQ(seen(&counted), 1);
        CHECK(destroyed_only_once(2, 3));
        CHECK_EQ(n_destroyed[1], 0);
        /* The same where the block is left by an error. */
        CHECK_EQ(fail_inside(), -EIO);
        CHECK_EQ(seen(&counted), 1);
        CHECK_EQ(n_destroyed[4], 1);
    }
    CHECK(ait_local_get(&plain) == NULL && ait_local_get(&counted) == NULL);
    CHECK_EQ(n_destroyed[1], 1);
    return 0;
}

static void test_blocks(void **unused)
{
    reset();
    assert_int_equal(run_virtual(blocks_main, NULL), 0);
}

/* ---- inheritance ----------------------------------------------------------------------------- */

struct expected {
    intptr_t plain, counted;
    ait_future *go;
};

static int see_task(void *userdata)
{
    const struct expected *e = userdata;
    int r;

    CHECK_EQ(seen(&plain), e->plain);
    CHECK_EQ(seen(&counted), e->counted);
    if (!e->go)
        return 0;
    r = ait_await(e->go, NULL);
    CHECK_EQ(seen(&plain), e->plain);
    CHECK_EQ(seen(&counted), e->counted);
    return r;
}

static int grandchild_task(void *userdata)
{
    static const struct expected inner = {5, 3, NULL};
    AIT_LOCAL_SCOPED(plain, number(5));

    CHECK_EQ(seen(&counted), 3);
    return ait_task_spawn(NULL, see_task, (void *)&inner, NULL);
}

static int inherit_main(void *userdata)
{
    AIT_CLEANUP(ait_future_unrefp) ait_future *go = NULL;
    struct expected expected[4] = {};
    AIT_SCOPE(scope);

    CHECK_EQ(ait_future_new(&go), 0);
    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, see_task, expected + 0, NULL), 0);
    {
        AIT_LOCAL_SCOPED(plain, number(1));
        AIT_LOCAL_SCOPED(counted, number(2));

        expected[1] = (struct expected){1, 2, go};
        CHECK_EQ(ait_scope_spawn(scope, NULL, see_task, expected + 1, NULL), 0);
        CHECK_EQ(ait_scope_spawn(scope, NULL, see_task, expected + 1, NULL), 0);
        {
            AIT_LOCAL_SCOPED(counted, number(3));

            expected[2] = (struct expected){1, 3, go};
            CHECK_EQ(ait_scope_spawn(scope, NULL, see_task, expected + 2, NULL), 0);
            CHECK_EQ(ait_scope_spawn(scope, NULL, grandchild_task, NULL, NULL), 0);
        }
        CHECK_EQ(seen(&counted), 2);
        /* Set after the spawn: not theirs. */
        AIT_LOCAL_SCOPED(counted, number(4));
        CHECK_EQ(ait_yield(), 0);
        CHECK_EQ(ait_yield(), 0);
    }
    CHECK_EQ(n_destroyed[4], 1);
    CHECK_EQ(n_destroyed[2] + n_destroyed[3], 0);
    CHECK_EQ(ait_future_resolve(go, 0), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK(destroyed_only_once(2, 4));
    return 0;
}

static void test_inherit(void **unused)
{
    reset();
    assert_int_equal(run_virtual(inherit_main, NULL), 0);
}

/* A child that never began had it, too. */
static int unborn_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    static const struct expected never = {99, 99, NULL};
    AIT_SCOPE(scope);
    int result;

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    {
        AIT_LOCAL_SCOPED(counted, number(1));

        CHECK_EQ(ait_scope_spawn(scope, &task, see_task, (void *)&never, NULL), 0);
    }
    CHECK_EQ(n_destroyed[1], 0);
    CHECK_EQ(ait_cancel_and_wait(task, &result), 0);
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(n_destroyed[1], 1);
    return ait_scope_exit(scope, 0);
}

static void test_unborn(void **unused)
{
    reset();
    assert_int_equal(run_virtual(unborn_main, NULL), 0);
}

/* ---- outside tasks --------------------------------------------------------------------------- */

static int spawned_outside(void *userdata)
{
    CHECK(ait_local_get(&counted) == NULL);
    return 0;
}

static void spawn_it(void *userdata)
{
    CHECK(ait_local_get(&counted) == NULL);
    CHECK_EQ(ait_task_spawn(NULL, spawned_outside, NULL, NULL), 0);
}

static int deep(void *userdata)
{
    return (int)seen(&counted);
}

static int callback_main(void *userdata)
{
    AIT_LOCAL_SCOPED(counted, number(1));

    CHECK_EQ(ait_loop_post(ait_loop_current(), spawn_it, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_call_on_thread_stack(deep, NULL), 0);
    return 0;
}

static void test_outside(void **unused)
{
    ait_local_binding binding;

    reset();
    assert_null(ait_local_get(&counted));
    assert_null(ait_local_get(NULL));
    assert_null(ait_local_push(NULL, &counted, NULL));
    assert_null(ait_local_push(&binding, NULL, NULL));
    ait_local_pop(NULL);
    {
        AIT_LOCAL_SCOPED(counted, number(2));

        assert_null(ait_local_get(&counted));
        assert_int_equal(n_destroyed[2], 0);
    }
    assert_int_equal(n_destroyed[2], 1);
    assert_int_equal(run_virtual(callback_main, NULL), 0);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Setting allocates nothing; the first spawn after it copies, in one piece or not at all. */
static int memory_main(void *userdata)
{
    struct expected expected = {1, 2, NULL}, nothing = {};
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, see_task, &nothing, NULL), 0);
    CHECK_EQ(ait_yield(), 0);
    alloc_fail_at(0);
    AIT_LOCAL_SCOPED(plain, number(1));
    AIT_LOCAL_SCOPED(counted, number(2));
    CHECK_EQ(alloc_count(), 0);
    for (unsigned n = 1; n <= 2; n++) {
        alloc_fail_at(n);
        CHECK_EQ(ait_scope_spawn(scope, NULL, see_task, &expected, NULL), -ENOMEM);
        CHECK_EQ(n_destroyed[2], 0);
    }
    alloc_fail_at(0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, see_task, &expected, NULL), 0);
    CHECK_EQ(alloc_count(), 2);
    CHECK_EQ(ait_scope_spawn(scope, NULL, see_task, &expected, NULL), 0);
    CHECK_EQ(alloc_count(), 2);
    return ait_scope_exit(scope, 0);
}

static void test_memory(void **unused)
{
    reset();
    assert_int_equal(run_virtual(memory_main, NULL), 0);
    assert_int_equal(n_destroyed[2], 1);
}

/* Many blocks deep, and a chain of tasks each of which adds one: nothing here recurses in the
 * library. */
static int chain_task(void *userdata)
{
    intptr_t n = (intptr_t)userdata;
    AIT_LOCAL_SCOPED(plain, number(n));

    if (n == 2000)
        return 0;
    CHECK_EQ(ait_task_spawn(NULL, chain_task, (void *)(n + 1), NULL), 0);
    return 0;
}

static int nest(int n)
{
    AIT_LOCAL_SCOPED(counted, number(n & 7));

    if (n > 0)
        return nest(n - 1);
    return ait_task_spawn(NULL, chain_task, (void *)1, NULL);
}

static int deep_main(void *userdata)
{
    return nest(199); /* frames of an unoptimised sanitizer build are a kilobyte each */
}

static void test_deep(void **unused)
{
    reset();
    assert_int_equal(run_virtual(deep_main, NULL), 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(n_destroyed[i], 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks), cmocka_unit_test(test_inherit),
        cmocka_unit_test(test_unborn), cmocka_unit_test(test_outside),
        cmocka_unit_test(test_memory), cmocka_unit_test(test_deep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
