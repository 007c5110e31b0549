/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Objects that end inside their own callbacks, and what threads leave behind. With a sanitizer, or
 * MALLOC_PERTURB_, what is touched after its end shows.
 */

#include <pthread.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "check.h"

/* ---- a loop ---------------------------------------------------------------------------------- */

static ait_loop *loop;
static sd_event *event;
static bool is_down;

static void down(void)
{
    CHECK_EQ(ait_loop_n_tasks(loop), 0);
    loop = ait_loop_unref(loop);
    is_down = true;
}

static void on_future(ait_future *f, int result, void *userdata)
{
    down();
}

static void on_post(void *userdata)
{
    down();
}

static int on_defer(sd_event_source *s, void *userdata)
{
    if (!is_down)
        down();
    return 0;
}

static int naps(void *userdata)
{
    return ait_sleep(MS(1));
}

enum { BY_FUTURE, BY_POST, BY_DEFER, N_WAYS };

static void run_down(bool guest, int how)
{
    sd_event_source *defer = NULL;
    ait_task *t = NULL;

    is_down = false;
    if (guest) {
        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(ait_loop_attach(&loop, event), 0);
    } else {
        assert_int_equal(ait_loop_new(&loop), 0);
    }
    assert_int_equal(ait_task_spawn(&t, naps, NULL, NULL), 0);
    if (how == BY_FUTURE)
        assert_int_equal(ait_future_add_callback(ait_task_future(t), NULL, on_future, NULL), 0);
    ait_task_unref(t);
    if (!guest)
        assert_int_equal(ait_loop_run(loop), 0);
    while (guest && !is_down && (how == BY_FUTURE || ait_loop_n_tasks(loop) > 0))
        assert_true(sd_event_run(event, UINT64_MAX) >= 0);
    if (how == BY_POST)
        assert_int_equal(ait_loop_post(loop, on_post, NULL), 0);
    if (how == BY_DEFER)
        assert_true(sd_event_add_defer(event, &defer, on_defer, NULL) >= 0);
    while (guest && !is_down)
        assert_true(sd_event_run(event, UINT64_MAX) >= 0);
    sd_event_source_disable_unref(defer);
    event = sd_event_unref(event);
    assert_true(is_down);
    assert_null(ait_loop_current());
    check_assert();
}

static void test_loop(void **unused)
{
    for (int how = 0; how < N_WAYS; how++)
        run_down(true, how);
    run_down(false, BY_FUTURE);
}

/* ---- a slot, a queue, a cache, a set --------------------------------------------------------- */

static ait_slot *slot;

static void on_slot(ait_future *f, int result, void *userdata)
{
    slot = ait_slot_unref(slot);
    ait_future_unref(f);
}

static int slot_main(void *userdata)
{
    ait_future *f = NULL;

    CHECK_EQ(ait_future_new(&f), 0);
    CHECK_EQ(ait_future_add_callback(f, &slot, on_slot, NULL), 0);
    CHECK_EQ(ait_future_resolve(f, 0), 0);
    CHECK_EQ(check_settle(), 0);
    CHECK(!slot);
    return 0;
}

static ait_cache *cache;

static int load(const void *key, void **ret_value, void *userdata)
{
    *ret_value = (void *)key;
    return 0;
}

static void drop_cache(void *value)
{
    cache = ait_cache_unref(cache);
}

/* Its last value takes the cache along. */
static int cache_main(void *userdata)
{
    for (int how = 0; how < 3; how++) {
        ait_cache_entry *e = NULL;
        ait_cache *mine;

        CHECK_EQ(ait_cache_new(&cache, AIT_CACHE_OPTIONS(.load = load, .destroy = drop_cache,
                                                         .max_entries = how == 2 ? 1 : 0)),
                 0);
        mine = cache;
        CHECK_EQ(ait_cache_get(cache, "a", &e), 0);
        ait_cache_entry_unref(e);
        if (how == 0)
            CHECK_EQ(ait_cache_clear(mine), 0);
        else if (how == 1)
            CHECK_EQ(ait_cache_invalidate(mine, "a"), 1);
        else
            CHECK_EQ(ait_cache_get(mine, "b", &e), 0);
        CHECK(!cache);
        if (how == 2) {
            ait_cache_entry_unref(e);
        }
    }
    return 0;
}

static ait_taskset *set;

static int drop_set(ait_task *t, void *userdata)
{
    set = ait_taskset_unref(set);
    return 0;
}

static int set_main(void *userdata)
{
    CHECK_EQ(ait_taskset_new(&set, NULL, 0), 0);
    CHECK_EQ(ait_taskset_spawn(set, NULL, naps, NULL, NULL), 0);
    CHECK_EQ(ait_taskset_foreach(set, drop_set, NULL), 0);
    CHECK(!set);
    return ait_sleep(MS(10));
}

/* ---- an exit stack, a group of contexts ------------------------------------------------------ */

static unsigned n_run;
static ait_exitstack *stack;

static int count(void *userdata)
{
    n_run++;
    return 0;
}

static int close_stack(void *userdata)
{
    n_run++;
    stack = ait_exitstack_close(stack);
    return 0;
}

/* Closed by its second entry of three, or of many: the others still run, once. */
static int stack_main(void *userdata)
{
    for (unsigned n = 3; n <= 30; n += 27) {
        n_run = 0;
        CHECK_EQ(ait_exitstack_open(&stack), 0);
        for (unsigned i = 0; i < n; i++)
            CHECK_EQ(ait_defer_push(stack, i == n - 2 ? close_stack : count, NULL), 0);
        CHECK_EQ(ait_exitstack_exit(stack, 5), 5);
        CHECK(!stack);
        CHECK_EQ(n_run, n);
    }
    return 0;
}

static ait_ctxgroup *group;

static int close_group(void *userdata, int r)
{
    n_run++;
    group = ait_ctxgroup_close(group);
    return r;
}

static int count_exit(void *userdata, int r)
{
    n_run++;
    return r;
}

static int group_main(void *userdata)
{
    const ait_ctx closing = {.exit = close_group}, counting = {.exit = count_exit};

    n_run = 0;
    CHECK_EQ(ait_ctxgroup_open(&group, 0), 0);
    CHECK_EQ(ait_ctxgroup_add(group, &closing), 0);
    CHECK_EQ(ait_ctxgroup_add(group, &counting), 1);
    CHECK_EQ(ait_ctxgroup_enter(group), 2);
    CHECK_EQ(ait_ctxgroup_exit(group, 5), 5);
    CHECK(!group);
    CHECK_EQ(n_run, 2);
    return 0;
}

static void test_objects(void **unused)
{
    static const ait_task_fn fns[] = {slot_main, cache_main, set_main, stack_main, group_main};

    for (size_t i = 0; i < ELEMENTS(fns); i++)
        assert_int_equal(run_virtual(fns[i], NULL), 0);
}

/* ---- what threads leave ---------------------------------------------------------------------- */

static unsigned n_mappings(void)
{
    FILE *f = fopen("/proc/self/maps", "re");
    unsigned n = 0;
    int c;

    assert_non_null(f);
    while ((c = getc(f)) != EOF)
        n += c == '\n';
    (void)fclose(f);
    return n;
}

static int thread_body(void *userdata)
{
    return ait_sleep(1);
}

static void *thread_main(void *userdata)
{
    /* More than one loop, one after the other. */
    for (int i = 0; i < 2; i++)
        if (ait_run(thread_body, NULL, AIT_RUN_KEEP_SIGNALS) < 0)
            return (void *)1;
    return NULL;
}

static void run_threads(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        pthread_t thread;
        void *failed;

        assert_int_equal(pthread_create(&thread, NULL, thread_main, NULL), 0);
        assert_int_equal(pthread_join(thread, &failed), 0);
        assert_null(failed);
    }
}

static void test_threads(void **unused)
{
    unsigned before;

    run_threads(20);
    before = n_mappings();
    run_threads(100);
    /* libc keeps a stack or two. */
    assert_true(n_mappings() <= before + 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loop),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_threads),
    };

    (void)alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
