/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What somebody else's cancellation does to a caller whom nobody has cancelled: -ECANCELED from a
 * loader, a job, a context or a child is an error, and another one.
 */

#include "check.h"

static int sleeps(void *userdata)
{
    return ait_sleep(AIT_USEC_INFINITY);
}

/* Its own helper is cancelled, and it passes that on. */
static int helper_cancelled(void)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *t = NULL;
    int r, result = 0;

    r = ait_task_spawn(&t, sleeps, NULL, NULL);
    if (r >= 0)
        r = ait_sleep(MS(1));
    if (r >= 0)
        r = ait_task_cancel(t);
    if (r >= 0)
        r = ait_task_wait(t, &result);
    return r < 0 ? r : result;
}

static int load(const void *key, void **ret_value, void *userdata)
{
    return helper_cancelled();
}

static ait_cache *cache;

static int call_cache(void)
{
    ait_cache_entry *entry = NULL;
    int r;

    r = ait_cache_get(cache, "key", &entry);
    ait_cache_entry_unref(entry);
    return r;
}

static int enter(void *userdata, void **ret_value)
{
    return helper_cancelled();
}

static int call_ctxgroup(void)
{
    static const ait_ctx ctx = {.enter = enter};
    AIT_CTXGROUP(group);
    int r;

    r = ait_ctxgroup_open(&group, 0);
    if (r >= 0)
        r = ait_ctxgroup_add(group, &ctx);
    return r < 0 ? r : ait_ctxgroup_enter(group);
}

static int says_cancelled(void *userdata)
{
    return -ECANCELED;
}

static int call_offload(void)
{
    return ait_offload(says_cancelled, NULL);
}

static int call_start(void)
{
    AIT_SCOPE(scope);
    int r;

    r = ait_scope_enter(&scope, 0);
    return r < 0 ? r
                 : ait_scope_exit(scope, ait_scope_start(scope, NULL, says_cancelled, NULL, NULL));
}

static int call_gather(void)
{
    const ait_call calls[] = {{says_cancelled, NULL, NULL}};

    return ait_gather(calls, 1, NULL, NULL);
}

static int call_race(void)
{
    const ait_call calls[] = {{says_cancelled, NULL, NULL}};

    return ait_race(calls, 1, NULL, NULL, NULL);
}

static const struct {
    const char *name;
    int (*call)(void);
} rows[] = {
    {"ait_cache_get", call_cache}, {"ait_ctxgroup_enter", call_ctxgroup},
    {"ait_offload", call_offload}, {"ait_scope_start", call_start},
    {"ait_gather", call_gather},   {"ait_race", call_race},
};

static int caller(void *userdata)
{
    size_t i = (size_t)(uintptr_t)userdata;
    int r = rows[i].call();

    if (!CHECK_EQ(r, -EPROTO))
        (void)fprintf(stderr, "  %s\n", rows[i].name);
    return r;
}

/* One calls, or three at the same moment, of whom one is the first; the group hears of it. */
static int rows_main(void *userdata)
{
    CHECK_EQ(ait_cache_new(&cache, AIT_CACHE_OPTIONS(.load = load)), 0);
    for (size_t i = 0; i < ELEMENTS(rows); i++)
        for (int n = 1; n <= 3; n += 2) {
            AIT_SCOPE(scope);

            CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR), 0);
            for (int k = 0; k < n; k++)
                CHECK_EQ(ait_scope_spawn(scope, NULL, caller, (void *)i, NULL), 0);
            CHECK_EQ(ait_scope_exit(scope, 0), 0);
            CHECK_EQ(ait_scope_n_errors(scope), n);
            CHECK_EQ(ait_check_cancel(), 0);
        }
    cache = ait_cache_unref(cache);
    return 0;
}

static void test_rows(void **unused)
{
    assert_int_equal(run_virtual(rows_main, NULL), 0);
}

/* A caller who is cancelled himself is told so. */
static int cancelled_main(void *userdata)
{
    CHECK_EQ(ait_cache_new(&cache, AIT_CACHE_OPTIONS(.load = load)), 0);
    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        AIT_SCOPE(scope);

        CHECK_EQ(ait_scope_enter(&scope, 0), 0);
        CHECK_EQ(ait_scope_cancel(scope), 0);
        CHECK_EQ(rows[i].call(), -ECANCELED);
        CHECK_EQ(ait_scope_exit(scope, 0), 0);
    }
    cache = ait_cache_unref(cache);
    return 0;
}

static void test_cancelled(void **unused)
{
    assert_int_equal(run_virtual(cancelled_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_cancelled),
    };

    (void)alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
