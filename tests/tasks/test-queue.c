/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The queue: policies, order, closing, and that no item is lost or destroyed twice. */

#include "check.h"

#define ITEM(i) ((void *)(intptr_t)(i))

/* Items that the queue has destroyed, in order, a letter each. */
static char destroyed[32], got[64];

static void note(char *trace, size_t size, intptr_t i)
{
    size_t n = strlen(trace);

    if (n + 1 < size)
        trace[n] = (char)('0' + i);
}

static void destroy(void *item)
{
    note(destroyed, sizeof(destroyed), (intptr_t)item);
}

static void reset(void)
{
    memset(destroyed, 0, sizeof(destroyed));
    memset(got, 0, sizeof(got));
}

#define CHECK_TEXT(a, want)                                                                        \
    (strcmp(a, want) == 0 ? true                                                                   \
                          : ((void)fprintf(stderr, "got \"%s\", want \"%s\"\n", a, want),          \
                             check_failed(__FILE__, __LINE__, #a, 0, 1)))

/* ---- policies, as a table -------------------------------------------------------------------- */

struct policy {
    const char *name;
    size_t capacity;
    ait_queue_policy policy;
    int ret[5];       /* of putting 1 to 5 with try_put */
    const char *left; /* in the queue afterwards */
    const char *destroyed;
    uint64_t n_dropped;
};

static const struct policy policies[] = {
    {"block", 3, AIT_QUEUE_BLOCK, {0, 0, 0, -EAGAIN, -EAGAIN}, "123", "", 0},
    {"drop newest", 3, AIT_QUEUE_DROP_NEWEST, {0, 0, 0, 1, 1}, "123", "45", 2},
    {"drop oldest", 3, AIT_QUEUE_DROP_OLDEST, {0, 0, 0, 1, 1}, "345", "12", 2},
    {"fail", 3, AIT_QUEUE_FAIL, {0, 0, 0, -ENOBUFS, -ENOBUFS}, "123", "", 0},
    {"one: drop oldest", 1, AIT_QUEUE_DROP_OLDEST, {0, 1, 1, 1, 1}, "5", "1234", 4},
    {"hand to hand: block",
     0,
     AIT_QUEUE_BLOCK,
     {-EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN},
     "",
     "",
     0},
    {"hand to hand: drop newest", 0, AIT_QUEUE_DROP_NEWEST, {1, 1, 1, 1, 1}, "", "12345", 5},
    {"hand to hand: drop oldest", 0, AIT_QUEUE_DROP_OLDEST, {1, 1, 1, 1, 1}, "", "12345", 5},
    {"hand to hand: fail",
     0,
     AIT_QUEUE_FAIL,
     {-ENOBUFS, -ENOBUFS, -ENOBUFS, -ENOBUFS, -ENOBUFS},
     "",
     "",
     0},
};

static void check_policy(const struct policy *p, bool waiting)
{
    AIT_CLEANUP(ait_queue_unrefp) ait_queue *q = NULL;
    void *item = ITEM(9);

    reset();
    CHECK_EQ(ait_queue_new(&q, p->capacity, p->policy, destroy), 0);
    CHECK_EQ(ait_queue_capacity(q), p->capacity);
    for (int i = 0; i < 5; i++) {
        /* A put that cannot wait is the same with both calls. */
        int r = waiting && p->ret[i] != -EAGAIN ? ait_queue_put(q, ITEM(i + 1))
                                                : ait_queue_try_put(q, ITEM(i + 1));

        CHECK_EQ(r, p->ret[i]);
    }
    CHECK_EQ(ait_queue_size(q), strlen(p->left));
    CHECK_EQ(ait_queue_n_dropped(q), p->n_dropped);
    CHECK_TEXT(destroyed, p->destroyed);
    while (ait_queue_try_get(q, &item) > 0)
        note(got, sizeof(got), (intptr_t)item);
    CHECK_TEXT(got, p->left);
    CHECK_EQ(ait_queue_try_get(q, &item), -EAGAIN);
}

static int policies_main(void *userdata)
{
    for (size_t i = 0; i < ELEMENTS(policies); i++) {
        unsigned before = check_failures;

        check_policy(policies + i, false);
        check_policy(policies + i, true);
        if (check_failures > before)
            (void)fprintf(stderr, "policy: %s\n", policies[i].name);
    }
    return 0;
}

static void test_policies(void **unused)
{
    assert_int_equal(run_virtual(policies_main, NULL), 0);
}

/* The ring comes round; what is left goes with the queue. */
static int ring_main(void *userdata)
{
    ait_queue *q = NULL;
    void *item = NULL;

    reset();
    CHECK_EQ(ait_queue_new(&q, 3, AIT_QUEUE_BLOCK, destroy), 0);
    for (intptr_t i = 0; i < 50; i++) {
        CHECK_EQ(ait_queue_put(q, ITEM(i)), 0);
        if (i < 2)
            continue;
        CHECK_EQ(ait_queue_get(q, &item), 1);
        CHECK_EQ((intptr_t)item, i - 2);
    }
    CHECK_EQ(ait_queue_size(q), 2);
    ait_queue_unrefp(&q);
    CHECK(!q);
    CHECK_EQ(strlen(destroyed), 2);
    return 0;
}

static void test_ring(void **unused)
{
    assert_int_equal(run_virtual(ring_main, NULL), 0);
}

/* ---- producers and consumers ----------------------------------------------------------------- */

static ait_queue *queue;
static int last_result[8];

static int consume(void *userdata)
{
    int i = (int)(intptr_t)userdata, r;
    void *item = NULL;

    while ((r = ait_queue_get(queue, &item)) > 0)
        note(got, sizeof(got), (intptr_t)item);
    last_result[i] = r;
    return 0;
}

static int put_one(void *userdata)
{
    intptr_t i = (intptr_t)userdata;

    last_result[i] = ait_queue_put(queue, ITEM(i));
    return 0;
}

static void come(ait_scope *scope, ait_task **ret, ait_task_fn fn, intptr_t i)
{
    last_result[i] = 99;
    CHECK_EQ(ait_scope_spawn(scope, ret, fn, (void *)i, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
}

static int with_queue(size_t capacity, void (*body)(ait_scope *scope))
{
    AIT_SCOPE(scope);
    int r;

    reset();
    CHECK_EQ(ait_queue_new(&queue, capacity, AIT_QUEUE_BLOCK, destroy), 0);
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    body(scope);
    r = ait_scope_exit(scope, 0);
    ait_queue_unrefp(&queue);
    return r;
}

static void blocked_body(ait_scope *scope)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *cancelled = NULL;
    void *item = NULL;

    for (intptr_t i = 1; i <= 3; i++)
        come(scope, i == 2 ? &cancelled : NULL, put_one, i);
    CHECK_EQ(ait_queue_capacity(queue), ait_queue_size(queue));
    CHECK_EQ(ait_cancel_and_wait(cancelled, NULL), 1);
    /* With room for one the second waits, without any the first: it keeps its item. */
    CHECK_EQ(last_result[2], -ECANCELED);
    come(scope, NULL, put_one, 4);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(ait_queue_get(queue, &item), 1);
        note(got, sizeof(got), (intptr_t)item);
        CHECK_EQ(ait_sleep(MS(1)), 0);
    }
    CHECK_TEXT(got, "134");
    CHECK_EQ(last_result[1] | last_result[3] | last_result[4], 0);
    CHECK_EQ(ait_queue_try_get(queue, &item), -EAGAIN);
    CHECK_TEXT(destroyed, "");
}

static int blocked_main(void *userdata)
{
    return with_queue((size_t)(intptr_t)userdata, blocked_body);
}

static void test_blocked(void **unused)
{
    for (intptr_t capacity = 0; capacity < 2; capacity++)
        assert_int_equal(run_virtual(blocked_main, (void *)capacity), 0);
}

static void getters_body(ait_scope *scope)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *cancelled = NULL;

    come(scope, &cancelled, consume, 1);
    come(scope, NULL, consume, 2);
    CHECK_EQ(ait_cancel_and_wait(cancelled, NULL), 1);
    CHECK_EQ(last_result[1], -ECANCELED);
    for (int i = 1; i <= 5; i++)
        CHECK_EQ(ait_queue_put(queue, ITEM(i)), 0);
    CHECK_EQ(ait_queue_close(queue), 1);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_TEXT(got, "12345");
    CHECK_EQ(last_result[2], 0);
}

static int getters_main(void *userdata)
{
    return with_queue((size_t)(intptr_t)userdata, getters_body);
}

static void test_getters(void **unused)
{
    for (intptr_t capacity = 0; capacity < 7; capacity++)
        assert_int_equal(run_virtual(getters_main, (void *)capacity), 0);
}

/* An item on its way to a task that is cancelled at the same moment arrives. */
static void moment_body(ait_scope *scope)
{
    for (int cancel_first = 0; cancel_first < 2; cancel_first++) {
        AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;

        come(scope, &task, consume, 1);
        if (cancel_first)
            CHECK_EQ(ait_task_cancel(task), 1);
        CHECK_EQ(ait_queue_try_put(queue, ITEM(7)), 0);
        if (!cancel_first)
            CHECK_EQ(ait_task_cancel(task), 1);
        CHECK_EQ(ait_task_wait(task, NULL), 0);
        CHECK_EQ(last_result[1], -ECANCELED);
    }
    CHECK_TEXT(got, "77");
    CHECK_EQ(ait_queue_size(queue), 0);
}

/* The same for a putter: its item has been taken. */
static void moment_put_body(ait_scope *scope)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    void *item = NULL;

    come(scope, &task, put_one, 3);
    CHECK_EQ(ait_task_cancel(task), 1);
    CHECK_EQ(ait_queue_try_get(queue, &item), 1);
    CHECK_EQ((intptr_t)item, 3);
    CHECK_EQ(ait_task_wait(task, NULL), 0);
    CHECK_EQ(last_result[3], 0);
}

static int moment_main(void *userdata)
{
    (void)with_queue(1, moment_body);
    return with_queue(0, moment_put_body);
}

static void test_moment(void **unused)
{
    assert_int_equal(run_virtual(moment_main, NULL), 0);
}

/* ---- closing --------------------------------------------------------------------------------- */

static void close_body(ait_scope *scope)
{
    void *item = ITEM(9);

    come(scope, NULL, put_one, 1);
    come(scope, NULL, put_one, 2);
    CHECK_EQ(ait_queue_is_closed(queue), 0);
    CHECK_EQ(ait_queue_close(queue), 1);
    CHECK_EQ(ait_queue_close(queue), 0);
    CHECK_EQ(ait_queue_is_closed(queue), 1);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(last_result[1], 0);
    CHECK_EQ(last_result[2], -EPIPE);
    CHECK_EQ(ait_queue_put(queue, item), -EPIPE);
    CHECK_EQ(ait_queue_try_put(queue, item), -EPIPE);
    CHECK_EQ(ait_queue_get(queue, &item), 1);
    CHECK_EQ((intptr_t)item, 1);
    CHECK_EQ(ait_queue_get(queue, &item), 0);
    CHECK_EQ(ait_queue_try_get(queue, &item), 0);
    CHECK_EQ((intptr_t)item, 1);
    CHECK_TEXT(destroyed, "");
}

static int close_main(void *userdata)
{
    return with_queue(1, close_body);
}

static void test_close(void **unused)
{
    assert_int_equal(run_virtual(close_main, NULL), 0);
}

/* ---- join ------------------------------------------------------------------------------------ */

static int joiner(void *userdata)
{
    last_result[5] = ait_queue_join(queue);
    return 0;
}

static void join_body(ait_scope *scope)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL, *cancelled = NULL;
    void *item;

    CHECK_EQ(ait_queue_join(queue), 0);
    CHECK_EQ(ait_queue_complete_one(queue), -EOVERFLOW);
    CHECK_EQ(ait_queue_put(queue, ITEM(1)), 0);
    CHECK_EQ(ait_queue_put(queue, ITEM(2)), 0);
    CHECK_EQ(ait_queue_complete_one(queue), -EOVERFLOW);
    come(scope, &cancelled, joiner, 5);
    CHECK_EQ(ait_cancel_and_wait(cancelled, NULL), 1);
    CHECK_EQ(last_result[5], -ECANCELED);
    come(scope, &task, joiner, 5);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(ait_queue_get(queue, &item), 1);
        CHECK_EQ(ait_sleep(MS(1)), 0);
        CHECK_EQ(ait_task_is_done(task), 0);
        CHECK_EQ(ait_queue_complete_one(queue), 0);
    }
    CHECK_EQ(ait_task_wait(task, NULL), 0);
    CHECK_EQ(last_result[5], 0);
    CHECK_EQ(ait_queue_complete_one(queue), -EOVERFLOW);
}

static int join_main(void *userdata)
{
    return with_queue(2, join_body);
}

static void test_join(void **unused)
{
    assert_int_equal(run_virtual(join_main, NULL), 0);
}

/* ---- from callbacks, and misuse -------------------------------------------------------------- */

static void put_from_outside(void *userdata)
{
    void *item = NULL;

    CHECK_EQ(ait_queue_put(queue, ITEM(6)), -EPERM);
    CHECK_EQ(ait_queue_get(queue, &item), -EPERM);
    CHECK_EQ(ait_queue_join(queue), -EPERM);
    CHECK_EQ(ait_queue_try_put(queue, ITEM(6)), 0);
}

static void outside_body(ait_scope *scope)
{
    void *item = NULL;

    CHECK_EQ(ait_loop_post(ait_loop_current(), put_from_outside, NULL), 0);
    CHECK_EQ(ait_queue_get(queue, &item), 1);
    CHECK_EQ((intptr_t)item, 6);
    /* A cancelled task may not wait, but may try. */
    CHECK_EQ(ait_scope_cancel(scope), 0);
    CHECK_EQ(ait_queue_put(queue, ITEM(1)), -ECANCELED);
    CHECK_EQ(ait_queue_size(queue), 0);
    CHECK_EQ(ait_queue_try_put(queue, ITEM(1)), 0);
    CHECK_EQ(ait_queue_get(queue, &item), -ECANCELED);
    CHECK_EQ(ait_queue_try_get(queue, &item), 1);
}

static int outside_main(void *userdata)
{
    return with_queue(2, outside_body);
}

static void test_outside(void **unused)
{
    assert_int_equal(run_virtual(outside_main, NULL), 0);
}

static int misuse_main(void *userdata)
{
    ait_queue *q = NULL;
    void *item;

    CHECK_EQ(ait_queue_new(NULL, 1, AIT_QUEUE_BLOCK, NULL), -EINVAL);
    CHECK_EQ(ait_queue_new(&q, 1, (ait_queue_policy)(AIT_QUEUE_FAIL + 1), NULL), -EINVAL);
    CHECK_EQ(ait_queue_new(&q, SIZE_MAX, AIT_QUEUE_BLOCK, NULL), -EINVAL);
    CHECK(!q);
    CHECK_EQ(ait_queue_put(NULL, NULL), -EINVAL);
    CHECK_EQ(ait_queue_try_put(NULL, NULL), -EINVAL);
    CHECK_EQ(ait_queue_get(NULL, &item), -EINVAL);
    CHECK_EQ(ait_queue_try_get(NULL, &item), -EINVAL);
    CHECK_EQ(ait_queue_close(NULL), -EINVAL);
    CHECK_EQ(ait_queue_is_closed(NULL), -EINVAL);
    CHECK_EQ(ait_queue_complete_one(NULL), -EINVAL);
    CHECK_EQ(ait_queue_join(NULL), -EINVAL);
    CHECK_EQ(ait_queue_size(NULL) + ait_queue_capacity(NULL) + ait_queue_n_dropped(NULL), 0);
    CHECK(!ait_queue_ref(NULL) && !ait_queue_unref(NULL));
    CHECK_EQ(ait_queue_new(&q, 1, AIT_QUEUE_DROP_OLDEST, NULL), 0);
    CHECK_EQ(ait_queue_get(q, NULL), -EINVAL);
    CHECK_EQ(ait_queue_try_get(q, NULL), -EINVAL);
    /* Without a destroy function items are just forgotten; NULL is an item. */
    CHECK_EQ(ait_queue_put(q, ITEM(1)), 0);
    CHECK_EQ(ait_queue_put(q, NULL), 1);
    CHECK_EQ(ait_queue_get(q, &item), 1);
    CHECK(!item);
    CHECK(ait_queue_ref(q) == q);
    CHECK(!ait_queue_unref(q));
    CHECK_EQ(ait_queue_put(q, ITEM(1)), 0);
    CHECK(!ait_queue_unref(q));
    return 0;
}

static void test_misuse(void **unused)
{
    ait_queue *q = NULL;

    assert_int_equal(ait_queue_new(&q, 1, AIT_QUEUE_BLOCK, NULL), -EPERM);
    assert_int_equal(run_virtual(misuse_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies), cmocka_unit_test(test_ring),
        cmocka_unit_test(test_blocked),  cmocka_unit_test(test_getters),
        cmocka_unit_test(test_moment),   cmocka_unit_test(test_close),
        cmocka_unit_test(test_join),     cmocka_unit_test(test_outside),
        cmocka_unit_test(test_misuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
