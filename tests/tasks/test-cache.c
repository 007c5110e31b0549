/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The cache: one load a key, whoever leaves; how many, how old, how long. A value is a number that
 * counts up, so that a second load shows. */

#include "alloc.h"
#include "check.h"

#define LOAD_MS 10

static struct {
    int n_loads, n_cancelled, n_destroyed;
    int next;
    int error;   /* what loads return */
    bool inside; /* a load for this cache is under way */
    bool overlap;
    uint64_t load_usec;
} state;

static int load_number(const void *key, void **ret_value, void *userdata)
{
    int r;

    state.n_loads++;
    state.overlap |= state.inside;
    state.inside = true;
    r = ait_sleep(state.load_usec);
    state.inside = false;
    if (r < 0) {
        state.n_cancelled++;
        return r;
    }
    if (state.error < 0)
        return state.error;
    *ret_value = (void *)(intptr_t)++state.next;
    return 0;
}

static void destroyed(void *value)
{
    state.n_destroyed++;
}

static ait_cache *make(const ait_cache_options *options)
{
    ait_cache_options o = options ? *options : (ait_cache_options){.size = sizeof(o)};
    ait_cache *cache = NULL;

    memset(&state, 0, sizeof(state));
    state.load_usec = MS(LOAD_MS);
    o.size = sizeof(o);
    if (!o.load)
        o.load = load_number;
    o.destroy = destroyed;
    CHECK_EQ(ait_cache_new(&cache, &o), 0);
    return cache;
}

/* The value of a key; r is what get returns. */
static int value_of(ait_cache *cache, const void *key, int r)
{
    AIT_CLEANUP(ait_cache_entry_unrefp) ait_cache_entry *entry = NULL;

    CHECK_EQ(ait_cache_get(cache, key, &entry), r);
    CHECK_EQ(entry != NULL, r >= 0);
    return (int)(intptr_t)ait_cache_entry_value(entry);
}

/* ---- hits and misses ------------------------------------------------------------------------- */

static int lru_main(void *userdata)
{
    AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = make(AIT_CACHE_OPTIONS(.max_entries = 2));
    ait_cache_info info = {.size = sizeof(info)};

    CHECK_EQ(value_of(cache, "one", 0), 1);
    CHECK_EQ(value_of(cache, "two", 0), 2);
    CHECK_EQ(now_ms(), 2 * LOAD_MS);
    CHECK_EQ(value_of(cache, "one", 1), 1); /* moves on */
    CHECK_EQ(now_ms(), 2 * LOAD_MS);
    CHECK_EQ(value_of(cache, "three", 0), 3); /* two goes */
    CHECK_EQ(state.n_destroyed, 1);
    CHECK_EQ(value_of(cache, "one", 1), 1);
    CHECK_EQ(value_of(cache, "two", 0), 4); /* three goes */
    CHECK_EQ(value_of(cache, "two", 1), 4);
    CHECK_EQ(ait_cache_get_info(cache, &info), 0);
    CHECK_EQ(info.n_entries, 2);
    CHECK_EQ(info.n_hits, 3);
    CHECK_EQ(info.n_misses, 4);
    CHECK_EQ(info.n_evicted, 2);
    CHECK_EQ(info.n_waits, 0);
    CHECK_EQ(ait_cache_clear(cache), 0);
    CHECK_EQ(state.n_destroyed, 4);
    CHECK_EQ(value_of(cache, "one", 0), 5);
    CHECK_EQ(ait_cache_invalidate(cache, "one"), 1);
    CHECK_EQ(ait_cache_invalidate(cache, "one"), 0);
    CHECK_EQ(value_of(cache, "one", 0), 6);
    return 0;
}

static void test_lru(void **unused)
{
    assert_int_equal(run_virtual(lru_main, NULL), 0);
    assert_int_equal(state.n_destroyed, 6);
}

static int age_main(void *userdata)
{
    AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = make(AIT_CACHE_OPTIONS(.max_age = MS(50)));

    CHECK_EQ(value_of(cache, "a", 0), 1);
    CHECK_EQ(ait_sleep(MS(49)), 0);
    CHECK_EQ(value_of(cache, "a", 1), 1);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(value_of(cache, "a", 0), 2);
    CHECK_EQ(state.n_destroyed, 1);
    /* Its age begins anew. */
    CHECK_EQ(ait_sleep(MS(49)), 0);
    CHECK_EQ(value_of(cache, "a", 1), 2);
    return 0;
}

static int no_age_main(void *userdata)
{
    AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = make(NULL);

    CHECK_EQ(value_of(cache, "a", 0), 1);
    CHECK_EQ(ait_sleep(3600 * AIT_USEC_PER_SEC), 0);
    CHECK_EQ(value_of(cache, "a", 1), 1);
    return 0;
}

static void test_age(void **unused)
{
    assert_int_equal(run_virtual(age_main, NULL), 0);
    assert_int_equal(run_virtual(no_age_main, NULL), 0);
}

/* An entry outlives the cache, and the loop. */
static ait_cache_entry *held;

static int held_main(void *userdata)
{
    ait_cache *cache = make(NULL);

    CHECK_EQ(ait_cache_get(cache, "kept", &held), 0);
    CHECK(ait_cache_ref(cache) == cache);
    CHECK(ait_cache_unref(cache) == NULL);
    CHECK(ait_cache_unref(cache) == NULL);
    CHECK_EQ(state.n_destroyed, 0);
    return 0;
}

static void test_held(void **unused)
{
    assert_int_equal(run_virtual(held_main, NULL), 0);
    assert_string_equal(ait_cache_entry_key(held), "kept");
    assert_int_equal((intptr_t)ait_cache_entry_value(held), 1);
    assert_ptr_equal(ait_cache_entry_ref(held), held);
    assert_null(ait_cache_entry_unref(held));
    assert_int_equal(state.n_destroyed, 0);
    assert_null(ait_cache_entry_unref(held));
    assert_int_equal(state.n_destroyed, 1);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static uint64_t same_hash(const void *key, void *userdata)
{
    return 7;
}

static int same_letter(const void *a, const void *b, void *userdata)
{
    return (*(const char *)a | 32) == (*(const char *)b | 32);
}

static int keys_main(void *userdata)
{
    AIT_CLEANUP(ait_cache_unrefp)
    ait_cache *numbers = make(AIT_CACHE_OPTIONS(.key_size = sizeof(int), .max_entries = SIZE_MAX));

    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 1000; i++)
            CHECK_EQ(value_of(numbers, &i, round), i + 1);
    for (int i = 0; i < 1000; i += 2)
        CHECK_EQ(ait_cache_invalidate(numbers, &i), 1);
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(value_of(numbers, &i, i & 1) > 1000, !(i & 1));

    AIT_CLEANUP(ait_cache_unrefp)
    ait_cache *letters = make(AIT_CACHE_OPTIONS(.hash = same_hash, .equal = same_letter));
    char key[] = "a";

    CHECK_EQ(value_of(letters, key, 0), 1);
    CHECK_EQ(value_of(letters, "b", 0), 2);
    key[0] = 'x'; /* the cache has a copy */
    CHECK_EQ(value_of(letters, "A", 1), 1);
    CHECK_EQ(value_of(letters, "B", 1), 2);
    return 0;
}

static void test_keys(void **unused)
{
    assert_int_equal(run_virtual(keys_main, NULL), 0);
}

/* ---- one load a key -------------------------------------------------------------------------- */

struct asker {
    ait_cache *cache;
    const char *key;
    ait_task *task;
    bool asked;
    int r, value, at_ms, order;
};

static int n_answered;

static int ask_task(void *userdata)
{
    AIT_CLEANUP(ait_cache_entry_unrefp) ait_cache_entry *entry = NULL;
    struct asker *a = userdata;

    a->asked = true;
    a->r = ait_cache_get(a->cache, a->key, &entry);
    a->value = (int)(intptr_t)ait_cache_entry_value(entry);
    a->at_ms = now_ms();
    a->order = n_answered++;
    return 0;
}

/* Asks in this order, each before the next. */
static void ask(ait_cache *cache, struct asker *askers, size_t n)
{
    n_answered = 0;
    for (size_t i = 0; i < n; i++) {
        askers[i].cache = cache;
        if (!askers[i].key)
            askers[i].key = "key";
        CHECK_EQ(ait_task_spawn(&askers[i].task, ask_task, askers + i, NULL), 0);
        while (!askers[i].asked)
            CHECK_EQ(ait_yield(), 0);
    }
}

static void answers(struct asker *askers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        CHECK_EQ(ait_task_wait(askers[i].task, NULL), 0);
        askers[i].task = ait_task_unref(askers[i].task);
    }
}

static int once_main(void *userdata)
{
    AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = make(NULL);
    ait_cache_info info = {.size = sizeof(info)};
    struct asker askers[10] = {};

    ask(cache, askers, 10);
    answers(askers, 10);
    CHECK_EQ(state.n_loads, 1);
    CHECK_EQ(now_ms(), LOAD_MS);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(askers[i].r, 0);
        CHECK_EQ(askers[i].value, 1);
        CHECK(askers[i].order == i || getenv("AIT_SHUFFLE"));
    }
    CHECK_EQ(ait_cache_get_info(cache, &info), 0);
    CHECK_EQ(info.n_waits, 9);
    CHECK_EQ(info.n_misses, 1);
    /* Other keys load side by side. */
    struct asker others[3] = {{.key = "x"}, {.key = "y"}, {.key = "z"}};
    ask(cache, others, 3);
    answers(others, 3);
    CHECK_EQ(now_ms(), 2 * LOAD_MS);
    return 0;
}

static int errors_main(void *userdata)
{
    uint64_t error_age = userdata ? MS(20) : 0;
    AIT_CLEANUP(ait_cache_unrefp)
    ait_cache *cache = make(AIT_CACHE_OPTIONS(.error_age = error_age));
    struct asker askers[4] = {};

    state.error = -EIO;
    ask(cache, askers, 4);
    answers(askers, 4);
    CHECK_EQ(state.n_loads, 1);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(askers[i].r, -EIO);
    (void)value_of(cache, "key", -EIO);
    CHECK_EQ(state.n_loads, userdata ? 1 : 2);
    state.error = 0;
    CHECK_EQ(ait_sleep(MS(20)), 0);
    CHECK_EQ(value_of(cache, "key", 0), 1);
    CHECK_EQ(value_of(cache, "key", 1), 1);
    CHECK_EQ(state.n_destroyed, 0);
    return 0;
}

static void test_once(void **unused)
{
    assert_int_equal(run_virtual(once_main, NULL), 0);
    assert_int_equal(run_virtual(errors_main, NULL), 0);
    assert_int_equal(run_virtual(errors_main, (void *)1), 0);
}

/* ---- who leaves ------------------------------------------------------------------------------ */

/* Which of five askers are cancelled, in which order, 5 ms into the load; all others get the value.
 */
static const struct {
    const char *cancelled; /* their numbers */
    int n_loads, ready_ms;
} leave_cases[] = {
    {"", 1, 10},     {"1", 1, 10},    {"4", 1, 10},    {"0", 2, 15},   {"01", 2, 15},
    {"10", 2, 15},   {"04", 2, 15},   {"012", 2, 15},  {"210", 2, 15}, {"0123", 2, 15},
    {"3210", 2, 15}, {"01234", 1, 0}, {"43210", 1, 0},
};

static int leave_main(void *userdata)
{
    for (size_t i = 0; i < ELEMENTS(leave_cases); i++) {
        AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = make(NULL);
        const char *cancelled = leave_cases[i].cancelled;
        ait_cache_info info = {.size = sizeof(info)};
        struct asker askers[5] = {};
        int start = now_ms();

        ask(cache, askers, 5);
        CHECK_EQ(ait_sleep(MS(5)), 0);
        for (const char *p = cancelled; *p; p++)
            CHECK_EQ(ait_task_cancel(askers[*p - '0'].task), 1);
        answers(askers, 5);
        for (int k = 0; k < 5; k++) {
            bool left = strchr(cancelled, '0' + k) != NULL;

            CHECK_EQ(askers[k].r, left ? -ECANCELED : 0);
            CHECK_EQ(askers[k].value, left ? 0 : 1);
            CHECK_EQ(askers[k].at_ms - start, left ? 5 : leave_cases[i].ready_ms);
        }
        CHECK(!state.overlap);
        if (!CHECK_EQ(state.n_loads, leave_cases[i].n_loads))
            (void)fprintf(stderr, "cancelled: %s\n", cancelled);
        CHECK_EQ(ait_cache_get_info(cache, &info), 0);
        CHECK_EQ(info.n_entries, strlen(cancelled) < 5);
        /* Nothing of it stays in the way. */
        CHECK_EQ(value_of(cache, "key", strlen(cancelled) < 5), 1);
    }
    return 0;
}

/* The next in line is cancelled when it was named already, and has not run yet. */
static int named_and_cancelled_main(void *userdata)
{
    AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = make(NULL);
    struct asker askers[3] = {};

    ask(cache, askers, 3);
    CHECK_EQ(ait_task_cancel(askers[0].task), 1);
    CHECK_EQ(ait_yield(), 0); /* its load unwinds, and the second is named */
    CHECK_EQ(ait_task_cancel(askers[1].task), 1);
    answers(askers, 3);
    CHECK_EQ(askers[0].r, -ECANCELED);
    CHECK_EQ(askers[1].r, -ECANCELED);
    CHECK_EQ(askers[2].r, 0);
    CHECK_EQ(askers[2].value, 1);
    CHECK(!state.overlap);
    return 0;
}

/* The value comes at the very moment that the caller is cancelled: it is not thrown away. */
static int same_moment_main(void *userdata)
{
    AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = make(NULL);
    struct asker askers[2] = {};

    ask(cache, askers, 2);
    CHECK_EQ(ait_sleep(MS(LOAD_MS)), 0);
    CHECK_EQ(ait_yield(), 0);
    (void)ait_task_cancel(askers[1].task);
    answers(askers, 2);
    CHECK_EQ(askers[0].r, 0);
    CHECK_EQ(askers[1].r, 0);
    CHECK_EQ(askers[1].value, 1);
    return 0;
}

static int entry_main(void *userdata)
{
    AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = make(NULL);
    ait_cache_entry *entry = NULL;
    AIT_SCOPE(scope);

    CHECK_EQ(value_of(cache, "key", 0), 1);
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_cancel(scope), 0);
    /* Also where it would not have to wait. */
    CHECK_EQ(ait_cache_get(cache, "key", &entry), -ECANCELED);
    CHECK_EQ(ait_cache_get(cache, "other", &entry), -ECANCELED);
    CHECK(entry == NULL);
    CHECK_EQ(state.n_loads, 1);
    return ait_scope_exit(scope, -ECANCELED);
}

static void test_leave(void **unused)
{
    assert_int_equal(run_virtual(leave_main, NULL), 0);
    assert_int_equal(run_virtual(named_and_cancelled_main, NULL), 0);
    assert_int_equal(run_virtual(same_moment_main, NULL), 0);
    assert_int_equal(run_virtual(entry_main, NULL), 0);
}

/* ---- dropped while it loads ------------------------------------------------------------------ */

static int dropped_main(void *userdata)
{
    bool all = userdata;
    AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = make(NULL);
    struct asker before[2] = {}, after[2] = {};

    ask(cache, before, 2);
    CHECK_EQ(ait_sleep(MS(5)), 0);
    if (all)
        CHECK_EQ(ait_cache_clear(cache), 0);
    else
        CHECK_EQ(ait_cache_invalidate(cache, "key"), 1);
    ask(cache, after, 2);
    answers(before, 2);
    CHECK_EQ(now_ms(), LOAD_MS);
    answers(after, 2);
    CHECK_EQ(now_ms(), LOAD_MS + 5);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(before[i].value, 1);
        CHECK_EQ(after[i].value, 2);
    }
    CHECK_EQ(state.n_destroyed, 1);
    CHECK_EQ(value_of(cache, "key", 1), 2);
    return 0;
}

/* Its load fails, or is cancelled, after it was dropped: the newer one is not touched. */
static int dropped_and_failed_main(void *userdata)
{
    AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = make(NULL);
    struct asker before[2] = {}, after[1] = {};

    ask(cache, before, 2);
    CHECK_EQ(ait_sleep(MS(5)), 0);
    CHECK_EQ(ait_cache_invalidate(cache, "key"), 1);
    ask(cache, after, 1);
    if (userdata) {
        CHECK_EQ(ait_task_cancel(before[0].task), 1);
        CHECK_EQ(ait_task_cancel(before[1].task), 1);
    } else {
        state.error = -EIO;
        answers(before, 2);
        state.error = 0;
        CHECK_EQ(before[1].r, -EIO);
    }
    answers(after, 1);
    CHECK_EQ(after[0].value, 1);
    CHECK_EQ(value_of(cache, "key", 1), 1);
    if (userdata)
        answers(before, 2);
    return 0;
}

static int let_go_main(void *userdata)
{
    ait_cache *cache = make(NULL);
    struct asker askers[2] = {};

    ask(cache, askers, 2);
    ait_cache_unref(cache);
    answers(askers, 2);
    CHECK_EQ(askers[0].value, 1);
    CHECK_EQ(askers[1].value, 1);
    CHECK_EQ(state.n_destroyed, 1);
    return 0;
}

static void test_dropped(void **unused)
{
    assert_int_equal(run_virtual(dropped_main, NULL), 0);
    assert_int_equal(run_virtual(dropped_main, (void *)1), 0);
    assert_int_equal(run_virtual(dropped_and_failed_main, NULL), 0);
    assert_int_equal(run_virtual(dropped_and_failed_main, (void *)1), 0);
    assert_int_equal(run_virtual(let_go_main, NULL), 0);
}

/* ---- loaders that use the cache -------------------------------------------------------------- */

static ait_cache *recursive;

static int load_recursively(const void *key, void **ret_value, void *userdata)
{
    AIT_CLEANUP(ait_cache_entry_unrefp) ait_cache_entry *below = NULL;
    int n = *(const int *)key, m = n - 1;

    if (n < 0)
        return ait_cache_get(recursive, key, &below);
    if (n == 0)
        return 0;
    CHECK_EQ(ait_cache_get(recursive, &m, &below), 0);
    *ret_value = (void *)((intptr_t)ait_cache_entry_value(below) + n);
    return 0;
}

static int recursive_main(void *userdata)
{
    AIT_CLEANUP(ait_cache_unrefp)
    ait_cache *cache = make(AIT_CACHE_OPTIONS(.load = load_recursively, .key_size = sizeof(int)));
    int n = 20, self = -1;

    recursive = cache;
    CHECK_EQ(value_of(cache, &n, 0), 210);
    n = 10;
    CHECK_EQ(value_of(cache, &n, 1), 55);
    (void)value_of(cache, &self, -EDEADLK);
    return 0;
}

static void test_recursive(void **unused)
{
    assert_int_equal(run_virtual(recursive_main, NULL), 0);
}

/* ---- memory and misuse ----------------------------------------------------------------------- */

static int memory_main(void *userdata)
{
    AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = NULL;
    struct asker askers[2] = {};

    for (unsigned n = 1; n <= 2; n++) {
        alloc_fail_at(n);
        CHECK_EQ(ait_cache_new(&cache, AIT_CACHE_OPTIONS(.load = load_number)), -ENOMEM);
        CHECK(cache == NULL);
    }
    alloc_fail_at(0);
    cache = make(AIT_CACHE_OPTIONS(.key_size = sizeof(int), .max_entries = SIZE_MAX));
    for (int i = 0; i < 100; i++) {
        /* Each second load has no memory for its entry; that for the table it can do without. */
        alloc_fail_at(i & 1 ? 2 : 1);
        (void)value_of(cache, &i, i & 1 ? 0 : -ENOMEM);
    }
    for (int i = 0; i < 100; i++) {
        alloc_fail_at(0);
        (void)value_of(cache, &i, i & 1);
        if (i & 1)
            CHECK_EQ(alloc_count(), 0);
    }
    /* A wait allocates nothing. */
    int key = 1000;

    askers[0].key = askers[1].key = (const char *)&key;
    ask(cache, askers, 1);
    alloc_fail_at(0);
    (void)value_of(cache, &key, 0);
    CHECK_EQ(alloc_count(), 0);
    answers(askers, 1);
    return 0;
}

static void test_memory(void **unused)
{
    assert_int_equal(run_virtual(memory_main, NULL), 0);
}

static int arguments_main(void *userdata)
{
    AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = make(NULL);
    ait_cache_entry *entry = NULL;
    ait_cache_info info = {};

    CHECK_EQ(ait_cache_new(NULL, AIT_CACHE_OPTIONS(.load = load_number)), -EINVAL);
    CHECK_EQ(ait_cache_new(&cache, NULL), -EINVAL);
    CHECK_EQ(ait_cache_new(&cache, AIT_CACHE_OPTIONS()), -EINVAL);
    CHECK_EQ(ait_cache_new(&cache, AIT_CACHE_OPTIONS(.load = load_number, .hash = same_hash)),
             -EINVAL);
    CHECK_EQ(ait_cache_new(&cache, AIT_CACHE_OPTIONS(.load = load_number, .equal = same_letter)),
             -EINVAL);
    CHECK_EQ(ait_cache_get(NULL, "x", &entry), -EINVAL);
    CHECK_EQ(ait_cache_get(cache, NULL, &entry), -EINVAL);
    CHECK_EQ(ait_cache_get(cache, "x", NULL), -EINVAL);
    CHECK_EQ(ait_cache_invalidate(NULL, "x"), -EINVAL);
    CHECK_EQ(ait_cache_invalidate(cache, NULL), -EINVAL);
    CHECK_EQ(ait_cache_clear(NULL), -EINVAL);
    CHECK_EQ(ait_cache_get_info(cache, &info), -EINVAL);
    CHECK_EQ(ait_cache_get_info(NULL, &info), -EINVAL);
    return 0;
}

static int outside_cb_result;

static void outside(void *userdata)
{
    ait_cache_entry *entry = NULL;

    outside_cb_result = ait_cache_get(userdata, "x", &entry);
}

static int outside_main(void *userdata)
{
    AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = make(NULL);

    CHECK_EQ(ait_loop_post(ait_loop_current(), outside, cache), 0);
    CHECK_EQ(ait_sleep(1), 0);
    CHECK_EQ(outside_cb_result, -EPERM);
    return 0;
}

static void test_arguments(void **unused)
{
    ait_cache *cache = NULL;

    assert_int_equal(ait_cache_new(&cache, AIT_CACHE_OPTIONS(.load = load_number)), -EPERM);
    assert_int_equal(run_virtual(arguments_main, NULL), 0);
    assert_int_equal(run_virtual(outside_main, NULL), 0);
    assert_null(ait_cache_ref(NULL));
    assert_null(ait_cache_unref(NULL));
    assert_null(ait_cache_entry_ref(NULL));
    assert_null(ait_cache_entry_unref(NULL));
    assert_null(ait_cache_entry_value(NULL));
    assert_null(ait_cache_entry_key(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lru),     cmocka_unit_test(test_age),
        cmocka_unit_test(test_held),    cmocka_unit_test(test_keys),
        cmocka_unit_test(test_once),    cmocka_unit_test(test_leave),
        cmocka_unit_test(test_dropped), cmocka_unit_test(test_recursive),
        cmocka_unit_test(test_memory),  cmocka_unit_test(test_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
