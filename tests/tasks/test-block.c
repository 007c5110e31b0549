/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Blocks with a limit or a shield: each way out of them, on virtual time. */

#include "alloc.h"
#include "check.h"

static int nap(void *userdata)
{
    int r = ait_sleep(MS(100));

    if (userdata)
        *(int *)userdata = r < 0 ? r : 1;
    return r;
}

/* ---- what a block makes of its result -------------------------------------------------------- */

struct row {
    const char *name;
    int sleep_ms;  /* of the statement; 0: none */
    int result;    /* that it then sets; 0: what the sleep has returned */
    int cancel_ms; /* when the task is cancelled; 0: never */
    int move_on, timeout;
    int end_ms;
};

static const struct row rows[] = {
    {"in time", 10, 7, 0, 7, 7, 10},
    {"in time, an error", 10, -EIO, 0, -EIO, -EIO, 10},
    {"does not wait", 0, 3, 0, 3, 3, 0},
    {"out of time", 200, 0, 0, 0, -ETIME, 50},
    {"out of time, a success all the same", 200, 9, 0, 9, 9, 50},
    {"out of time, an error of its own", 200, -EIO, 0, -EIO, -EIO, 50},
    {"cancelled from outside", 200, 0, 20, -ECANCELED, -ECANCELED, 20},
    {"cancelled from outside, an error of its own", 200, -EIO, 20, -EIO, -EIO, 20},
};

struct running {
    const struct row *row;
    int move_on, end_ms;
};

static int statement(const struct row *row)
{
    int r = row->sleep_ms > 0 ? ait_sleep(MS(row->sleep_ms)) : 0;

    return row->result != 0 ? row->result : r;
}

static int move_on(void *userdata)
{
    struct running *run = userdata;
    int r = 99;

    AIT_MOVE_ON_AFTER(r, MS(50))
        r = statement(run->row);
    run->end_ms = now_ms();
    return r;
}

static int timeout(void *userdata)
{
    struct running *run = userdata;
    int r = 99;

    AIT_TIMEOUT(r, MS(50))
        r = statement(run->row);
    run->end_ms = now_ms();
    return r;
}

static int run_one(struct running *run, ait_task_fn fn)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *t = NULL;
    int r = 99;

    CHECK_EQ(ait_task_spawn(&t, fn, run, NULL), 0);
    if (run->row->cancel_ms > 0) {
        CHECK_EQ(ait_sleep(MS(run->row->cancel_ms)), 0);
        CHECK_EQ(ait_task_cancel(t), 1);
    }
    CHECK_EQ(ait_task_wait(t, &r), 0);
    return r;
}

static int run_move_on(void *userdata)
{
    return run_one(userdata, move_on);
}

static int run_timeout(void *userdata)
{
    return run_one(userdata, timeout);
}

static void test_results(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        struct running run = {.row = rows + i};

        if (!CHECK_EQ(run_virtual(run_move_on, &run), rows[i].move_on) ||
            !CHECK_EQ(run.end_ms, rows[i].end_ms))
            print_error("move on, %s\n", rows[i].name);
        if (!CHECK_EQ(run_virtual(run_timeout, &run), rows[i].timeout) ||
            !CHECK_EQ(run.end_ms, rows[i].end_ms))
            print_error("timeout, %s\n", rows[i].name);
        check_assert();
    }
}

/* ---- ways out -------------------------------------------------------------------------------- */

enum way { BY_END, BY_CONTINUE, BY_BREAK, BY_GOTO, BY_RETURN };

struct leaving {
    enum way way;
    ait_scope *outer;
    int child; /* what its sleep came to */
};

static int leave(struct leaving *l)
{
    int r = 99, n = 0;

    AIT_TIMEOUT(r, MS(1000)) {
        n++;
        CHECK(ait_scope_current() != l->outer);
        CHECK_EQ(ait_scope_spawn(ait_scope_current(), NULL, nap, &l->child, NULL), 0);
        CHECK_EQ(ait_sleep(MS(10)), 0);
        r = 5;
        if (l->way == BY_BREAK)
            break;
        if (l->way == BY_CONTINUE)
            continue;
        if (l->way == BY_GOTO)
            goto out;
        if (l->way == BY_RETURN)
            return r + 1;
    }
out:
    CHECK_EQ(n, 1);
    return r;
}

static int leaving_main(void *userdata)
{
    struct leaving *l = userdata;
    bool early = l->way >= BY_BREAK;

    l->outer = ait_scope_current();
    CHECK_EQ(leave(l), l->way == BY_RETURN ? 6 : 5);
    CHECK(ait_scope_current() == l->outer);
    CHECK_EQ(l->child, early ? -ECANCELED : 1);
    CHECK_EQ(now_ms(), early ? 10 : 100);
    return ait_check_cancel();
}

static void test_ways_out(void **unused)
{
    for (int way = BY_END; way <= BY_RETURN; way++) {
        struct leaving l = {.way = (enum way)way};

        assert_int_equal(run_virtual(leaving_main, &l), 0);
    }
}

/* A block ends with its tasks, also where the time is over. */
static int children_main(void *unused)
{
    int child = 99, r;

    AIT_MOVE_ON_AFTER(r, MS(50))
        r = ait_scope_spawn(ait_scope_current(), NULL, nap, &child, NULL);
    CHECK_EQ(child, -ECANCELED);
    CHECK_EQ(now_ms(), 50);
    return r;
}

static int nested_main(void *unused)
{
    int inner = 99, outer = 99;

    AIT_TIMEOUT(outer, MS(20)) {
        AIT_TIMEOUT(inner, MS(500))
            inner = ait_sleep(MS(1000));
        outer = inner;
    }
    CHECK_EQ(inner, -ECANCELED);
    CHECK_EQ(outer, -ETIME);
    AIT_TIMEOUT(outer, MS(500)) {
        AIT_MOVE_ON_AFTER(inner, MS(20))
            inner = ait_sleep(MS(1000));
        CHECK_EQ(inner, 0);
        outer = ait_sleep(MS(20));
    }
    CHECK_EQ(outer, 0);
    CHECK_EQ(now_ms(), 60);
    return 0;
}

/* On one line, as a macro has it. */
/* clang-format off */
#define ALL_ON_ONE_LINE AIT_SHIELD(MS(200)) AIT_TIMEOUT(outer, MS(100)) AIT_TIMEOUT(inner, MS(50)) inner = ait_sleep(MS(300));
/* clang-format on */

static int one_line_main(void *userdata)
{
    int outer = 0, inner = 0;

    ALL_ON_ONE_LINE
    CHECK_EQ(inner, -ETIME);
    CHECK_EQ(outer, 0);
    CHECK_EQ(now_ms(), 50);
    return 0;
}

static void test_blocks(void **unused)
{
    assert_int_equal(run_virtual(one_line_main, NULL), 0);
    assert_int_equal(run_virtual(children_main, NULL), 0);
    assert_int_equal(run_virtual(nested_main, NULL), 0);
}

/* ---- shields --------------------------------------------------------------------------------- */

static int shield_ends(bool early)
{
    AIT_SHIELD(AIT_USEC_INFINITY) {
        CHECK_EQ(ait_sleep(MS(30)), 0);
        if (early)
            return ait_sleep(MS(10));
    }
    return 7;
}

static int shielded(void *unused)
{
    int n = 0;

    CHECK_EQ(ait_sleep(MS(1000)), -ECANCELED);
    AIT_SHIELD(AIT_USEC_INFINITY) {
        CHECK_EQ(ait_sleep(MS(30)), 0);
        n++;
    }
    CHECK_EQ(ait_sleep(MS(1)), -ECANCELED);
    /* It has a limit, and that one goes through it. */
    AIT_SHIELD(MS(20))
        CHECK_EQ(ait_sleep(MS(1000)), -ECANCELED);
    CHECK_EQ(shield_ends(true), 0);
    CHECK_EQ(shield_ends(false), 7);
    AIT_SHIELD(AIT_USEC_INFINITY) {
        n++;
        break;
    }
    CHECK_EQ(n, 2);
    CHECK_EQ(now_ms(), 10 + 30 + 20 + 40 + 30);
    return ait_check_cancel();
}

/* Falling out of a shield waits for what was begun in it, breaking out of it does not. */
static int shielded_children(void *unused)
{
    int child = 99;

    AIT_SHIELD(AIT_USEC_INFINITY)
        CHECK_EQ(ait_task_spawn(NULL, nap, &child, NULL), 0);
    CHECK_EQ(child, 1);
    AIT_SHIELD(AIT_USEC_INFINITY) {
        CHECK_EQ(ait_task_spawn(NULL, nap, &child, NULL), 0);
        CHECK_EQ(ait_sleep(MS(10)), 0);
        break;
    }
    CHECK_EQ(child, -ECANCELED);
    CHECK_EQ(now_ms(), 110);
    return 0;
}

static int shield_main(void *unused)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *t = NULL;
    int r = 99;

    CHECK_EQ(ait_task_spawn(&t, shielded, NULL, NULL), 0);
    CHECK_EQ(ait_sleep(MS(10)), 0);
    CHECK_EQ(ait_cancel_and_wait(t, &r), 0);
    return r;
}

static void test_shields(void **unused)
{
    assert_int_equal(run_virtual(shield_main, NULL), -ECANCELED);
    assert_int_equal(run_virtual(shielded_children, NULL), 0);
}

/* ---- where there can be no scope ------------------------------------------------------------- */

static int short_of_memory(void *unused)
{
    ait_scope *s[64];
    unsigned n = 0;
    bool ran = false;
    int r = 99;

    /* Scopes come from a pool: until it is empty. */
    alloc_fail_at(1);
    while (n < ELEMENTS(s) && ait_scope_enter(s + n, 0) >= 0)
        n++;
    alloc_fail_at(1);
    AIT_TIMEOUT(r, MS(1))
        ran = true;
    CHECK_EQ(r, -ENOMEM);
    CHECK(!ran);
    alloc_fail_at(1);
    AIT_SHIELD(MS(1))
        ran = true;
    CHECK(ran);
    alloc_fail_at(0);
    while (n-- > 0)
        ait_scope_leave(s[n]);
    return 0;
}

static void test_refused(void **unused)
{
    bool ran = false;
    int r = 99;

    AIT_MOVE_ON_AFTER(r, MS(1))
        ran = true;
    assert_int_equal(r, -EPERM);
    assert_false(ran);
    AIT_SHIELD(MS(1))
        ran = true;
    assert_true(ran);
    assert_int_equal(run_virtual(short_of_memory, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results), cmocka_unit_test(test_ways_out),
        cmocka_unit_test(test_blocks),  cmocka_unit_test(test_shields),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
