/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The barrier: rounds, and how it breaks. What it has in common with the others is in test-sync.c.
 */

#include "check.h"

/* Spawns fn with the number i and lets it run until it waits: so the order of coming is known, also
 * where the scheduler shuffles. */
static void come(ait_scope *scope, ait_task **ret, ait_task_fn fn, intptr_t i)
{
    CHECK_EQ(ait_scope_spawn(scope, ret, fn, (void *)i, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
}

static int in_scope(void *userdata)
{
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    ((void (*)(ait_scope *))userdata)(scope);
    return ait_scope_exit(scope, 0);
}

static void run(void (*body)(ait_scope *scope))
{
    assert_int_equal(run_virtual(in_scope, body), 0);
}

static ait_barrier *three;
static int result[8];

static int wait_three(void *userdata)
{
    int i = (int)(intptr_t)userdata;

    result[i] = ait_barrier_wait(three);
    return 0;
}

static void rounds_body(ait_scope *scope)
{
    AIT_CLEANUP(ait_barrier_unrefp) ait_barrier *b = NULL;

    CHECK_EQ(ait_barrier_new(&b, 3), 0);
    three = b;
    for (int round = 0; round < 3; round++) {
        memset(result, 0x55, sizeof(result));
        come(scope, NULL, wait_three, 1);
        come(scope, NULL, wait_three, 2);
        CHECK_EQ(result[1], 0x55555555);
        CHECK_EQ(ait_barrier_wait(b), 1);
        CHECK_EQ(ait_sleep(MS(1)), 0);
        CHECK_EQ(result[1], 0);
        CHECK_EQ(result[2], 0);
        CHECK_EQ(ait_barrier_is_broken(b), 0);
    }
}

static void test_rounds(void **unused)
{
    run(rounds_body);
}

enum breaking { BY_CANCEL, BY_ABORT, BY_RESET };

static void break_barrier(ait_scope *scope, enum breaking how)
{
    AIT_CLEANUP(ait_barrier_unrefp) ait_barrier *b = NULL;
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;

    CHECK_EQ(ait_barrier_new(&b, 3), 0);
    three = b;
    come(scope, &task, wait_three, 1);
    come(scope, NULL, wait_three, 2);
    if (how == BY_CANCEL)
        CHECK_EQ(ait_task_cancel(task), 1);
    else
        CHECK_EQ(how == BY_ABORT ? ait_barrier_abort(b) : ait_barrier_reset(b), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(result[1], how == BY_CANCEL ? -ECANCELED : -ECONNABORTED);
    CHECK_EQ(result[2], -ECONNABORTED);
    CHECK_EQ(ait_barrier_is_broken(b), how != BY_RESET);
    if (how != BY_RESET) {
        CHECK_EQ(ait_barrier_wait(b), -ECONNABORTED);
        CHECK_EQ(ait_barrier_reset(b), 0);
    }
    come(scope, NULL, wait_three, 3);
    come(scope, NULL, wait_three, 4);
    CHECK_EQ(ait_barrier_wait(b), 1);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(result[3] + result[4], 0);
}

static void breaking_body(ait_scope *scope)
{
    for (enum breaking how = BY_CANCEL; how <= BY_RESET; how++)
        break_barrier(scope, how);
}

static void test_breaking(void **unused)
{
    run(breaking_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounds),
        cmocka_unit_test(test_breaking),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
