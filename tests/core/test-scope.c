/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Scopes and their tasks beyond the semantics table: who may still spawn, what handlers may do,
 * when a userdata is given back. */

#include <unistd.h>

#include "check.h"

static char trace[64];

static void note(char c)
{
    size_t n = strlen(trace);

    if (n + 1 < sizeof(trace)) {
        trace[n] = c;
        trace[n + 1] = '\0';
    }
}

static void note_destroy(void *userdata)
{
    note((char)(intptr_t)userdata);
}

static bool traced(const char *want)
{
    bool same = strcmp(trace, want) == 0;

    if (!same)
        (void)fprintf(stderr, "'%s', not '%s'\n", trace, want);
    trace[0] = '\0';
    return same;
}

/* ---- spawning while the scope is left -------------------------------------------------------- */

static ait_scope *shared_scope;

static int next_generation(void *userdata)
{
    intptr_t left = (intptr_t)userdata;

    CHECK_EQ(ait_sleep(MS(10)), 0);
    note((char)('0' + left));
    if (left > 0)
        CHECK_EQ(ait_scope_spawn(shared_scope, NULL, next_generation, (void *)(left - 1), NULL), 0);
    return 0;
}

static int generations_main(void *userdata)
{
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    shared_scope = scope;
    CHECK_EQ(ait_scope_spawn(scope, NULL, next_generation, (void *)(intptr_t)4, NULL), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(now_ms(), 50);
    CHECK(traced("43210"));
    return 0;
}

/* Children spawn into the scope that is waiting for them: exit waits for those too. */
static void test_generations(void **unused)
{
    assert_int_equal(run_virtual(generations_main, NULL), 0);
}

static int grandchild(void *userdata)
{
    CHECK_EQ(ait_sleep(MS(30)), 0);
    note('g');
    return 0;
}

static int parent(void *userdata)
{
    CHECK_EQ(ait_task_spawn(NULL, grandchild, NULL, NULL), 0);
    note('p');
    return 0;
}

static int family_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *t = NULL;

    CHECK_EQ(ait_task_spawn(&t, parent, NULL, NULL), 0);
    CHECK_EQ(ait_task_wait(t, NULL), 0);
    CHECK_EQ(now_ms(), 30);
    CHECK(traced("pg"));
    return 0;
}

/* A task ends when its own children have. */
static void test_family(void **unused)
{
    assert_int_equal(run_virtual(family_main, NULL), 0);
}

/* ---- what is handed over --------------------------------------------------------------------- */

static int quiet_end(void *userdata)
{
    return 0;
}

static int bad_end(void *userdata)
{
    return -EIO;
}

static int spawns_child(void *userdata)
{
    return ait_task_spawn(NULL, grandchild, (void *)(intptr_t)'c',
                          AIT_TASK_OPTIONS(.destroy = note_destroy)) < 0
               ? -EIO
               : 0;
}

static int join_and_note(void *userdata)
{
    CHECK_EQ(ait_task_wait(userdata, NULL), 0);
    note('j');
    return 0;
}

static int spawn_noted(ait_scope *scope, ait_task **ret, ait_task_fn fn, char c)
{
    return ait_scope_spawn(scope, ret, fn, (void *)(intptr_t)c,
                           AIT_TASK_OPTIONS(.destroy = note_destroy));
}

static int destroy_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *t = NULL;
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR), 0);
    CHECK_EQ(spawn_noted(scope, NULL, quiet_end, 'a'), 0);
    CHECK_EQ(spawn_noted(scope, NULL, bad_end, 'b'), 0);
    CHECK_EQ(check_settle(), 0);
    CHECK(traced(check_shuffled() && trace[0] == 'b' ? "ba" : "ab"));
    /* After the children, before whoever waits. */
    CHECK_EQ(spawn_noted(scope, &t, spawns_child, 'd'), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, join_and_note, t, NULL), 0);
    CHECK_EQ(ait_sleep(MS(50)), 0);
    CHECK(traced("gcdj"));
    /* Where spawning is refused it stays the caller's. */
    CHECK_EQ(ait_scope_cancel(scope), 0);
    CHECK_EQ(spawn_noted(scope, NULL, quiet_end, 'x'), -ECANCELED);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(spawn_noted(scope, NULL, quiet_end, 'x'), -ESTALE);
    CHECK(traced(""));
    return 0;
}

static void test_destroy(void **unused)
{
    assert_int_equal(run_virtual(destroy_main, NULL), 0);
}

/* ---- what a handler may do ------------------------------------------------------------------- */

static int flaky(void *userdata)
{
    unsigned *tries = userdata;

    CHECK_EQ(ait_sleep(MS(10)), 0);
    return ++*tries < 5 ? -EIO : 0;
}

static void restart(ait_scope *scope, const ait_error_info *info, void *userdata)
{
    note('r');
    CHECK_EQ(ait_scope_spawn(scope, NULL, flaky, userdata, NULL), 0);
}

static int restart_main(void *userdata)
{
    unsigned tries = 0;
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_set_error_handler(scope, restart, &tries), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, flaky, &tries, NULL), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0); /* it spawns while we wait here */
    CHECK_EQ(tries, 5);
    CHECK_EQ(now_ms(), 50);
    CHECK(traced("rrrr"));
    return 0;
}

static void give_up(ait_scope *scope, const ait_error_info *info, void *userdata)
{
    note('u');
    CHECK_EQ(ait_scope_cancel(scope), 0);
}

static int sleeper(void *userdata)
{
    return ait_sleep(MS(100));
}

static int give_up_main(void *userdata)
{
    unsigned tries = 0;
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_set_error_handler(scope, give_up, NULL), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, flaky, &tries, NULL), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, sleeper, NULL, NULL), 0);
    CHECK_EQ(ait_sleep(MS(100)), -ECANCELED);
    CHECK_EQ(now_ms(), 10);
    CHECK_EQ(ait_scope_exit(scope, -ECANCELED), 0);
    CHECK_EQ(ait_scope_cancelled_caught(scope), 1);
    CHECK(traced("u"));
    return 0;
}

static void test_handlers(void **unused)
{
    assert_int_equal(run_virtual(restart_main, NULL), 0);
    assert_int_equal(run_virtual(give_up_main, NULL), 0);
}

/* ---- names, the current scope ---------------------------------------------------------------- */

static int name_main(void *userdata)
{
    ait_task *self = ait_task_current();
    char name[16] = "before";
    ait_scope *root = ait_scope_current();
    AIT_CLEANUP(ait_task_unrefp) ait_task *t = NULL;
    AIT_SCOPE(a);
    AIT_SCOPE(b);

    CHECK(strcmp(ait_task_name(self), "test") == 0);
    CHECK_EQ(ait_task_spawn(&t, quiet_end, NULL, AIT_TASK_OPTIONS(.name = name)), 0);
    name[0] = 'x'; /* it was copied */
    CHECK(strcmp(ait_task_name(t), "before") == 0);
    CHECK_EQ(ait_task_set_name(t, "after"), 0);
    CHECK(strcmp(ait_task_name(t), "after") == 0);
    CHECK_EQ(ait_task_set_name(t, NULL), -EINVAL);
    CHECK_EQ(ait_scope_enter(&a, 0), 0);
    CHECK(ait_scope_current() == a);
    CHECK_EQ(ait_scope_enter(&b, 0), 0);
    CHECK(ait_scope_current() == b);
    CHECK_EQ(ait_yield(), 0);
    CHECK(ait_scope_current() == b && ait_task_current() == self);
    CHECK_EQ(ait_scope_exit(b, 0), 0);
    CHECK(ait_scope_current() == a);
    CHECK_EQ(ait_scope_exit(a, 0), 0);
    CHECK(ait_scope_current() == root);
    return 0;
}

static void test_names(void **unused)
{
    assert_int_equal(run_virtual(name_main, NULL), 0);
}

/* ---- chains and crowds ----------------------------------------------------------------------- */

#define CHAIN 100

static ait_task *chain[CHAIN];

static int link_main(void *userdata)
{
    intptr_t i = (intptr_t)userdata;
    int r;

    r = i == 0 ? ait_sleep(AIT_USEC_INFINITY) : ait_task_wait(chain[i - 1], NULL);
    return r < 0 ? r : 1;
}

static int chain_main(void *userdata)
{
    int result = 0;
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    for (intptr_t i = 0; i < CHAIN; i++)
        CHECK_EQ(ait_scope_spawn(scope, &chain[i], link_main, (void *)i, NULL), 0);
    CHECK_EQ(ait_yield(), 0);
    /* Cancelling one that waits cancels nothing that it waits for, ... */
    CHECK_EQ(ait_cancel_and_wait(chain[CHAIN / 2], &result), 0);
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(ait_task_is_done(chain[CHAIN / 2 - 1]), 0);
    /* ... and those that wait for it see an outcome, not a cancel of their own. */
    CHECK_EQ(ait_task_wait(chain[CHAIN - 1], &result), 0);
    CHECK_EQ(result, 1);
    CHECK_EQ(ait_cancel_and_wait(chain[0], NULL), 0);
    CHECK_EQ(ait_task_wait(chain[CHAIN / 2 - 1], &result), 0);
    CHECK_EQ(result, 1);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    for (unsigned i = 0; i < CHAIN; i++)
        chain[i] = ait_task_unref(chain[i]);
    return 0;
}

static void test_chain(void **unused)
{
    assert_int_equal(run_virtual(chain_main, NULL), 0);
}

/* Takes a while to clean up; returns what it was given. */
static int lingering(void *userdata)
{
    AIT_SCOPE(shield);

    (void)ait_sleep(AIT_USEC_INFINITY);
    CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_sleep(AIT_USEC_PER_SEC), 0);
    CHECK_EQ(ait_scope_exit(shield, 0), 0);
    return (int)(intptr_t)userdata;
}

static int many_main(void *userdata)
{
    ait_task *tasks[4] = {0};
    AIT_SCOPE(scope);
    uint64_t begin;

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    for (intptr_t i = 0; i < 3; i++)
        CHECK_EQ(ait_scope_spawn(scope, &tasks[i], lingering, (void *)i, NULL), 0);
    CHECK_EQ(check_settle(), 0);
    begin = ait_now(NULL);
    CHECK_EQ(ait_cancel_and_wait_many(tasks, 4), 0);
    /* All at once, not one after the other. */
    CHECK_EQ(ait_now(NULL) - begin == AIT_USEC_PER_SEC, 1);
    for (int i = 0; i < 3; i++) {
        int result = -1;

        CHECK_EQ(ait_task_result(tasks[i], &result), 0);
        CHECK_EQ(result, i);
        /* It had ended before: nothing was cancelled that it could have ignored. */
        CHECK_EQ(ait_cancel_and_wait_full(tasks[i], AIT_CANCEL_STRICT, &result), 1);
        ait_task_unref(tasks[i]);
    }
    tasks[0] = ait_task_current();
    CHECK_EQ(ait_cancel_and_wait_many(tasks, 1), -EDEADLK);
    CHECK_EQ(ait_task_cancelling(tasks[0]), 0);
    return ait_scope_exit(scope, 0);
}

static void test_cancel_many(void **unused)
{
    assert_int_equal(run_virtual(many_main, NULL), 0);
}

static int crowd_main(void *userdata)
{
    for (unsigned round = 0; round < 3; round++) {
        AIT_SCOPE(scope);

        CHECK_EQ(ait_scope_enter(&scope, 0), 0);
        for (unsigned i = 0; i < 3000; i++)
            CHECK_EQ(ait_scope_spawn(scope, NULL, i % 2 ? quiet_end : sleeper, NULL, NULL), 0);
        CHECK_EQ(ait_yield(), 0);
        /* Holes where half of them were. */
        for (unsigned i = 0; i < 1000; i++)
            CHECK_EQ(ait_scope_spawn(scope, NULL, sleeper, NULL, NULL), 0);
        CHECK_EQ(ait_scope_cancel(scope), 0);
        CHECK_EQ(ait_scope_exit(scope, 0), 0);
        CHECK_EQ(ait_loop_n_tasks(ait_loop_current()), 1);
    }
    return 0;
}

static void test_crowd(void **unused)
{
    assert_int_equal(run_virtual(crowd_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generations), cmocka_unit_test(test_family),
        cmocka_unit_test(test_destroy),     cmocka_unit_test(test_handlers),
        cmocka_unit_test(test_names),       cmocka_unit_test(test_chain),
        cmocka_unit_test(test_cancel_many), cmocka_unit_test(test_crowd),
    };

    (void)alarm(100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
