/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is done at the end: in which order, with which result, under which cancellation. */

#include "alloc.h"
#include "check.h"

/* What has run, in order, as a word. */
static char trace[64];

static void reset(void)
{
    trace[0] = '\0';
}

static void note(char c)
{
    size_t n = strlen(trace);

    if (n + 1 < sizeof(trace)) {
        trace[n] = c;
        trace[n + 1] = '\0';
    }
}

static bool traced(const char *want)
{
    bool same = strcmp(trace, want) == 0;

    if (!same)
        (void)fprintf(stderr, "trace '%s', want '%s'\n", trace, want);
    reset();
    return same;
}

static void note_plain(void *userdata)
{
    note(*(const char *)userdata);
}

/* Suspends on the way: its letter shows that it was let. */
static int note_slowly(void *userdata)
{
    int r = ait_sleep(MS(5));

    note(r < 0 ? '!' : *(const char *)userdata);
    return r;
}

static int note_and_fail(void *userdata)
{
    note(*(const char *)userdata);
    return -EIO;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static int leave_early(bool early)
{
    AIT_DEFER(note_plain, "1");
    AIT_DEFER(note_plain, "2");

    note('a');
    if (early)
        return -EIO;
    AIT_DEFER(note_plain, "3");
    for (int i = 0; i < 2; i++) {
        AIT_DEFER(note_plain, "i");
        note('b');
    }
    return 0;
}

static void test_block(void **unused)
{
    reset();
    assert_int_equal(leave_early(false), 0);
    assert_true(traced("abibi321"));
    assert_int_equal(leave_early(true), -EIO);
    assert_true(traced("a21"));
}

static void free_slowly(void *userdata)
{
    AIT_SHIELD_CLEANUP(MS(100));

    (void)note_slowly(userdata);
}

static void free_too_slowly(void *userdata)
{
    AIT_SHIELD_CLEANUP(MS(2));

    (void)note_slowly(userdata);
}

static int shield_main(void *userdata)
{
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    {
        AIT_DEFER(free_too_slowly, "b");
        AIT_DEFER(free_slowly, "a");
        CHECK_EQ(ait_scope_cancel(scope), 0);
        CHECK_EQ(ait_sleep(1), -ECANCELED);
    }
    CHECK_EQ(now_ms(), 7);
    CHECK(traced("a!"));
    CHECK_EQ(ait_check_cancel(), -ECANCELED);
    return ait_scope_exit(scope, -ECANCELED);
}

static void test_shield(void **unused)
{
    reset();
    assert_int_equal(run_virtual(shield_main, NULL), 0);
    /* Outside tasks there is nothing to keep away. */
    assert_null(ait_shield_enter(1));
    AIT_SHIELD_CLEANUP(1);
}

/* ---- exit stacks: results -------------------------------------------------------------------- */

static int pass_on(void *userdata, int r)
{
    note('p');
    return 0;
}

static int handle(void *userdata, int r)
{
    note(r < 0 ? 'h' : 'H');
    return AIT_CTX_HANDLED;
}

static int raise_it(void *userdata, int r)
{
    note('f');
    return (int)(intptr_t)userdata;
}

static int remember(void *userdata, int r)
{
    *(int *)userdata = r;
    return 0;
}

struct step {
    int (*exit)(void *userdata, int r);
    int error;
};

/* Pushed in this order, so run from the last to the first. */
static const struct {
    struct step steps[4];
    int body, r;
    const char *trace;
} result_cases[] = {
    {{{NULL}}, 0, 0, ""},
    {{{NULL}}, 7, 7, ""},
    {{{NULL}}, -EIO, -EIO, ""},
    {{{pass_on}, {pass_on}}, 7, 7, "pp"},
    {{{pass_on}, {pass_on}}, -EIO, -EIO, "pp"},
    {{{raise_it, -EBUSY}}, 0, -EBUSY, "f"},
    {{{raise_it, -EBUSY}}, 7, -EBUSY, "f"},
    /* The first error, and that is the body's where it has one. */
    {{{raise_it, -EBUSY}}, -EIO, -EIO, "f"},
    {{{raise_it, -EBUSY}, {pass_on}, {raise_it, -EPIPE}}, 0, -EPIPE, "fpf"},
    {{{handle}}, 0, 0, "H"},
    {{{handle}}, 7, 7, "H"},
    {{{handle}}, -EIO, 0, "h"},
    {{{handle}, {handle}}, -EIO, 0, "hH"},
    {{{raise_it, -EBUSY}, {handle}}, -EIO, -EBUSY, "hf"},
    {{{handle}, {raise_it, -EBUSY}}, 0, 0, "fh"},
    {{{handle}}, -ECANCELED, 0, "h"},
};

static int results_main(void *userdata)
{
    for (size_t i = 0; i < ELEMENTS(result_cases); i++) {
        AIT_EXITSTACK(stack);

        CHECK_EQ(ait_exitstack_open(&stack), 0);
        for (size_t k = 0; k < 4 && result_cases[i].steps[k].exit; k++)
            CHECK_EQ(ait_exitstack_push(stack, result_cases[i].steps[k].exit,
                                        (void *)(intptr_t)result_cases[i].steps[k].error),
                     0);
        if (!CHECK_EQ(ait_exitstack_exit(stack, result_cases[i].body), result_cases[i].r) ||
            !CHECK(traced(result_cases[i].trace)))
            (void)fprintf(stderr, "case %zu\n", i);
        /* Empty, and good for more. */
        CHECK_EQ(ait_exitstack_exit(stack, 3), 3);
    }
    return 0;
}

static void test_results(void **unused)
{
    reset();
    assert_int_equal(run_virtual(results_main, NULL), 0);
    /* Where nothing suspends, no task is needed. */
    assert_int_equal(results_main(NULL), 0);
    check_assert();
}

/* ---- exit stacks: entries -------------------------------------------------------------------- */

static int many_main(void *userdata)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    AIT_EXITSTACK(stack);

    CHECK_EQ(ait_exitstack_open(&stack), 0);
    for (int i = 0; i < 26; i++)
        CHECK_EQ(i % 2 ? ait_defer_push(stack, note_slowly, (void *)(letters + i))
                       : ait_exitstack_push_destroy(stack, note_plain, (void *)(letters + i)),
                 0);
    CHECK_EQ(ait_exitstack_exit(stack, 0), 0);
    CHECK(traced("zyxwvutsrqponmlkjihgfedcba"));
    CHECK_EQ(now_ms(), 13 * 5);
    return 0;
}

static void test_many(void **unused)
{
    reset();
    assert_int_equal(run_virtual(many_main, NULL), 0);
}

static int push_another(void *userdata)
{
    note('1');
    return ait_defer_push(userdata, note_and_fail, "2");
}

static int all_run_main(void *userdata)
{
    AIT_EXITSTACK(stack);
    int told = 1;

    CHECK_EQ(ait_exitstack_open(&stack), 0);
    CHECK_EQ(ait_exitstack_push(stack, remember, &told), 0);
    CHECK_EQ(ait_defer_push(stack, note_and_fail, "a"), 0);
    CHECK_EQ(ait_defer_push(stack, push_another, stack), 0);
    CHECK_EQ(ait_defer_push(stack, note_and_fail, "b"), 0);
    CHECK_EQ(ait_exitstack_exit(stack, 0), -EIO);
    CHECK(traced("b12a"));
    CHECK_EQ(told, -EIO);
    /* Left without exit. */
    CHECK_EQ(ait_exitstack_push(stack, remember, &told), 0);
    stack = ait_exitstack_close(stack);
    CHECK(stack == NULL);
    CHECK_EQ(told, -ECANCELED);
    return 0;
}

static void test_all_run(void **unused)
{
    reset();
    assert_int_equal(run_virtual(all_run_main, NULL), 0);
}

/* A cancelled task's entries may suspend; their grace is one for all of them. */
static int cancelled_task(void *userdata)
{
    AIT_EXITSTACK(stack);
    int r;

    CHECK_EQ(ait_exitstack_open(&stack), 0);
    if (userdata)
        CHECK_EQ(ait_exitstack_set_grace(stack, *(uint64_t *)userdata), 0);
    CHECK_EQ(ait_defer_push(stack, note_slowly, "a"), 0);
    CHECK_EQ(ait_defer_push(stack, note_slowly, "b"), 0);
    CHECK_EQ(ait_defer_push(stack, note_slowly, "c"), 0);
    r = ait_sleep(AIT_USEC_INFINITY);
    CHECK_EQ(r, -ECANCELED);
    r = ait_exitstack_exit(stack, r);
    CHECK_EQ(ait_check_cancel(), -ECANCELED);
    return r;
}

static int cancelled_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    int result;

    CHECK_EQ(ait_task_spawn(&task, cancelled_task, userdata, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_cancel_and_wait(task, &result), 0);
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(now_ms(), userdata ? 8 : 16);
    return 0;
}

static void test_cancelled(void **unused)
{
    uint64_t grace = MS(7);

    reset();
    assert_int_equal(run_virtual(cancelled_main, NULL), 0);
    assert_true(traced("cba"));
    assert_int_equal(run_virtual(cancelled_main, &grace), 0);
    assert_true(traced("c!!"));
}

/* ---- contexts -------------------------------------------------------------------------------- */

struct thing {
    char name;
    int enter_error, exit_r;
    int told;
};

static int thing_enter(void *userdata, void **ret_value)
{
    struct thing *t = userdata;
    int r;

    r = ait_sleep(MS(1));
    if (r < 0)
        return r;
    note(t->name);
    *ret_value = t;
    return t->enter_error;
}

static int thing_exit(void *userdata, int r)
{
    struct thing *t = userdata;

    note((char)(t->name - 'a' + 'A'));
    t->told = r;
    (void)ait_sleep(MS(1));
    return t->exit_r;
}

static int contexts_main(void *userdata)
{
    struct thing a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c', .enter_error = -EACCES};
    const ait_ctx ctx_a = {thing_enter, thing_exit, &a}, ctx_b = {thing_enter, NULL, &b},
                  ctx_c = {thing_enter, thing_exit, &c}, empty = {NULL, NULL, NULL};
    AIT_EXITSTACK(stack);
    void *value = NULL;
    int r;

    CHECK_EQ(ait_exitstack_open(&stack), 0);
    CHECK_EQ(ait_exitstack_enter(stack, &ctx_a, &value), 0);
    CHECK(value == &a);
    CHECK_EQ(ait_exitstack_enter(stack, &ctx_b, NULL), 0);
    CHECK_EQ(ait_exitstack_enter(stack, &empty, NULL), 0);
    value = NULL;
    r = ait_exitstack_enter(stack, &ctx_c, &value);
    CHECK_EQ(r, -EACCES);
    CHECK(value == NULL);
    CHECK_EQ(ait_exitstack_exit(stack, r), -EACCES);
    CHECK(traced("abcA"));
    CHECK_EQ(a.told, -EACCES);
    return 0;
}

static int body(void *value, void *userdata)
{
    struct thing *t = value;

    note(t ? '+' : '-');
    return *(int *)userdata;
}

static int with_main(void *userdata)
{
    static const struct {
        int enter_error, body, exit_r, r, told;
        const char *trace;
    } cases[] = {
        {0, 5, 0, 5, 5, "a+A"},
        {0, -EIO, 0, -EIO, -EIO, "a+A"},
        {0, -EIO, AIT_CTX_HANDLED, 0, -EIO, "a+A"},
        {0, -EIO, -EPIPE, -EIO, -EIO, "a+A"},
        {0, 0, -EPIPE, -EPIPE, 0, "a+A"},
        {-EACCES, 0, 0, -EACCES, 99, "a"},
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        struct thing a = {.name = 'a',
                          .enter_error = cases[i].enter_error,
                          .exit_r = cases[i].exit_r,
                          .told = 99};
        const ait_ctx ctx = {thing_enter, thing_exit, &a};
        int result = cases[i].body;

        CHECK_EQ(ait_ctx_run(&ctx, body, &result), cases[i].r);
        CHECK_EQ(a.told, cases[i].told);
        CHECK(traced(cases[i].trace));
    }
    return 0;
}

static int cancelled_body(void *value, void *userdata)
{
    return ait_sleep(AIT_USEC_INFINITY);
}

static int with_cancelled_task(void *userdata)
{
    const ait_ctx ctx = {thing_enter, thing_exit, userdata};

    return ait_ctx_run(&ctx, cancelled_body, NULL);
}

static int with_cancelled_main(void *userdata)
{
    struct thing a = {.name = 'a'};
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter_after(&scope, AIT_SCOPE_MOVE_ON, MS(10)), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, with_cancelled_task, &a, NULL), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(a.told, -ECANCELED);
    CHECK_EQ(now_ms(), 11);
    CHECK(traced("aA"));
    return 0;
}

static void test_contexts(void **unused)
{
    reset();
    assert_int_equal(run_virtual(contexts_main, NULL), 0);
    assert_int_equal(run_virtual(with_main, NULL), 0);
    assert_int_equal(run_virtual(with_cancelled_main, NULL), 0);
}

/* ---- moving, memory, misuse ------------------------------------------------------------------ */

static int pop_all_main(void *userdata)
{
    for (int n = 3; n <= 20; n += 17) {
        AIT_EXITSTACK(stack);
        AIT_EXITSTACK(kept);

        CHECK_EQ(ait_exitstack_open(&stack), 0);
        for (int i = 0; i < n; i++)
            CHECK_EQ(ait_exitstack_push_destroy(stack, note_plain, i == 0 ? "<" : "x"), 0);
        CHECK_EQ(ait_exitstack_pop_all(stack, &kept), 0);
        CHECK_EQ(ait_exitstack_exit(stack, 0), 0);
        CHECK(traced(""));
        CHECK_EQ(ait_exitstack_push_destroy(stack, note_plain, "y"), 0);
        CHECK_EQ(ait_exitstack_exit(kept, 0), 0);
        CHECK(traced(n == 3 ? "xx<" : "xxxxxxxxxxxxxxxxxxx<"));
        CHECK_EQ(ait_exitstack_exit(stack, 0), 0);
        CHECK(traced("y"));
    }
    return 0;
}

static void test_pop_all(void **unused)
{
    reset();
    assert_int_equal(run_virtual(pop_all_main, NULL), 0);
}

static int enter_and_push(void *userdata, void **ret_value)
{
    /* The place that was kept for this very context. */
    CHECK_EQ(ait_exitstack_push_destroy(userdata, note_plain, "i"), 0);
    alloc_fail_at(1);
    return 0;
}

static int note_exit(void *userdata, int r)
{
    note(r == -ENOMEM ? 'm' : 'e');
    return 0;
}

static int memory_main(void *userdata)
{
    const struct thing a = {.name = 'a'};
    const ait_ctx ctx = {thing_enter, thing_exit, (void *)&a};
    AIT_EXITSTACK(stack);
    AIT_EXITSTACK(other);

    alloc_fail_at(1);
    CHECK_EQ(ait_exitstack_open(&other), -ENOMEM);
    CHECK(other == NULL);
    alloc_fail_at(0);
    CHECK_EQ(ait_exitstack_open(&stack), 0);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(ait_exitstack_push_destroy(stack, note_plain, "x"), 0);
    alloc_fail_at(1);
    CHECK_EQ(ait_exitstack_push_destroy(stack, note_plain, "y"), -ENOMEM);
    alloc_fail_at(1);
    CHECK_EQ(ait_exitstack_enter(stack, &ctx, NULL), -ENOMEM);
    alloc_fail_at(1);
    CHECK_EQ(ait_exitstack_pop_all(stack, &other), -ENOMEM);
    alloc_fail_at(0);
    CHECK_EQ(ait_exitstack_exit(stack, 0), 0);
    CHECK(traced("xxxxxxxx"));
    for (int i = 0; i < 7; i++)
        CHECK_EQ(ait_exitstack_push_destroy(stack, note_plain, "x"), 0);
    const ait_ctx greedy = {enter_and_push, note_exit, stack};
    CHECK_EQ(ait_exitstack_enter(stack, &greedy, NULL), -ENOMEM);
    alloc_fail_at(0);
    CHECK(traced("m"));
    CHECK_EQ(ait_exitstack_exit(stack, 0), 0);
    CHECK(traced("ixxxxxxx"));
    return 0;
}

static void test_memory(void **unused)
{
    reset();
    assert_int_equal(run_virtual(memory_main, NULL), 0);
}

static void test_arguments(void **unused)
{
    const ait_ctx ctx = {};
    AIT_EXITSTACK(stack);

    assert_int_equal(ait_exitstack_open(NULL), -EINVAL);
    assert_int_equal(ait_exitstack_open(&stack), 0);
    assert_int_equal(ait_defer_push(NULL, note_slowly, NULL), -EINVAL);
    assert_int_equal(ait_defer_push(stack, NULL, NULL), -EINVAL);
    assert_int_equal(ait_exitstack_push(NULL, pass_on, NULL), -EINVAL);
    assert_int_equal(ait_exitstack_push(stack, NULL, NULL), -EINVAL);
    assert_int_equal(ait_exitstack_push_destroy(NULL, free, NULL), -EINVAL);
    assert_int_equal(ait_exitstack_push_destroy(stack, NULL, NULL), -EINVAL);
    assert_int_equal(ait_exitstack_enter(NULL, &ctx, NULL), -EINVAL);
    assert_int_equal(ait_exitstack_enter(stack, NULL, NULL), -EINVAL);
    assert_int_equal(ait_exitstack_pop_all(NULL, &stack), -EINVAL);
    assert_int_equal(ait_exitstack_pop_all(stack, NULL), -EINVAL);
    assert_int_equal(ait_exitstack_set_grace(NULL, 1), -EINVAL);
    assert_int_equal(ait_exitstack_exit(NULL, 0), -EINVAL);
    assert_int_equal(ait_exitstack_exit(NULL, -EIO), -EIO);
    assert_null(ait_exitstack_close(NULL));
    assert_int_equal(ait_ctx_run(NULL, body, NULL), -EINVAL);
    assert_int_equal(ait_ctx_run(&ctx, NULL, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block),    cmocka_unit_test(test_shield),
        cmocka_unit_test(test_results),  cmocka_unit_test(test_many),
        cmocka_unit_test(test_all_run),  cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_contexts), cmocka_unit_test(test_pop_all),
        cmocka_unit_test(test_memory),   cmocka_unit_test(test_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
