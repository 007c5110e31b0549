/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Completions: results in the order of the ends, and that leaving early, by whatever way, leaves
 * nothing behind. */

#include "check.h"

#define MAX_JOBS   8
#define CLEANUP_MS 100

struct job {
    int ms; /* -1: no job */
    int result;
};

static int executed, cancelled, destroyed, discarded;

static void reset(void)
{
    executed = cancelled = destroyed = discarded = 0;
}

static int job_main(void *userdata)
{
    const struct job *job = userdata;
    AIT_SCOPE(shield);
    int r = job->ms > 0 ? ait_sleep(MS(job->ms)) : 0;

    if (r < 0) {
        cancelled++;
        CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
        CHECK_EQ(ait_scope_exit(shield, ait_sleep(MS(CLEANUP_MS))), 0);
        return r;
    }
    executed++;
    return job->result;
}

static void job_destroy(void *userdata)
{
    destroyed++;
}

static void job_discard(size_t index, int result, void *userdata)
{
    CHECK(result >= 0);
    discarded++;
}

static const ait_task_options job_options = {
    .size = sizeof(job_options), .name = "job", .destroy = job_destroy};

static ait_call call_of(const struct job *job)
{
    return (ait_call){job_main, (void *)job, &job_options};
}

static ait_completion *open_jobs(const struct job *jobs, size_t limit)
{
    ait_completion *c = NULL;
    ait_call calls[MAX_JOBS];
    size_t n = 0;

    for (; n < MAX_JOBS && jobs[n].ms >= 0; n++)
        calls[n] = call_of(jobs + n);
    CHECK_EQ(ait_completion_open(&c, calls, n,
                                 AIT_GATHER_OPTIONS(.limit = limit, .discard = job_discard)),
             0);
    return c;
}

/* ---- what comes out, as a table -------------------------------------------------------------- */

struct row {
    const char *name;
    size_t limit;
    int deadline; /* of a scope around it, ms; 0: none */
    int take;     /* how many to fetch before leaving; 0: all */
    struct job jobs[MAX_JOBS];

    int indices[MAX_JOBS]; /* what is fetched, in order, */
    int results[MAX_JOBS];
    int n;   /* how many, */
    int ret; /* and what then; where all of .take came, 1 */
    int ms;  /* when it is closed */
    int executed, cancelled, discarded;
};

static const struct row rows[] = {
    {.name = "in the order of the ends",
     .jobs = {{300, 1}, {200, 2}, {100, 3}, {-1}},
     .indices = {2, 1, 0},
     .results = {3, 2, 1},
     .n = 3,
     .ms = 300,
     .executed = 3},
    {.name = "errors are results",
     .jobs = {{100, 1}, {200, -EIO}, {300, 3}, {400, -EBADF}, {-1}},
     .indices = {0, 1, 2, 3},
     .results = {1, -EIO, 3, -EBADF},
     .n = 4,
     .ms = 400,
     .executed = 4},
    {.name = "nothing", .jobs = {{-1}}},
    {.name = "a timeout around it",
     .deadline = 150,
     .jobs = {{100, 1}, {200, 2}, {300, 3}, {-1}},
     .indices = {0},
     .results = {1},
     .n = 1,
     .ret = -ECANCELED,
     .ms = 250,
     .executed = 1,
     .cancelled = 2},
    {.name = "leaving early",
     .take = 2,
     .jobs = {{100, 1}, {200, 2}, {300, 3}, {-1}},
     .indices = {0, 1},
     .results = {1, 2},
     .n = 2,
     .ret = 1,
     .ms = 301,
     .executed = 2,
     .cancelled = 1},
    {.name = "limit 1: one after the other",
     .limit = 1,
     .jobs = {{30, 1}, {20, 2}, {10, 3}, {-1}},
     .indices = {0, 1, 2},
     .results = {1, 2, 3},
     .n = 3,
     .ms = 60,
     .executed = 3},
    {.name = "limit 2, leaving early: some never begin",
     .limit = 2,
     .take = 1,
     .jobs = {{30, 1}, {20, 2}, {1000, 3}, {10, 4}, {-1}},
     .indices = {1},
     .results = {2},
     .n = 1,
     .ret = 1,
     .ms = 121,
     .cancelled = 2,
     .executed = 1},
    {.name = "limit 2, a timeout: cancelled while some have not begun",
     .limit = 2,
     .deadline = 25,
     .jobs = {{30, 1}, {20, 2}, {1000, 3}, {10, 4}, {-1}},
     .indices = {1},
     .results = {2},
     .n = 1,
     .ret = -ECANCELED,
     .ms = 125,
     .cancelled = 2,
     .executed = 1},
};

static void check_row(const struct row *row)
{
    int start = now_ms(), n = 0, r = 1, result = 99;
    size_t index = 99, n_jobs = 0;
    ait_completion *c;
    AIT_SCOPE(scope);

    reset();
    while (row->jobs[n_jobs].ms >= 0)
        n_jobs++;
    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_MOVE_ON), 0);
    if (row->deadline > 0)
        CHECK_EQ(ait_scope_set_timeout(scope, MS(row->deadline)), 0);
    c = open_jobs(row->jobs, row->limit);
    while ((row->take == 0 || n < row->take) && (r = ait_completion_next(c, &index, &result)) > 0) {
        CHECK_EQ(index, row->indices[n]);
        CHECK_EQ(result, row->results[n]);
        n++;
    }
    CHECK_EQ(n, row->n);
    CHECK_EQ(r, row->ret);
    /* What took its place begins. */
    if (row->take > 0)
        CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK(!ait_completion_close(c));
    CHECK_EQ(now_ms() - start, row->ms);
    CHECK_EQ(executed, row->executed);
    CHECK_EQ(cancelled, row->cancelled);
    CHECK_EQ(discarded, row->discarded);
    CHECK_EQ(destroyed, n_jobs);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(ait_loop_n_tasks(ait_loop_current()), 1);
}

static int rows_main(void *userdata)
{
    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        unsigned before = check_failures;

        check_row(rows + i);
        if (check_failures > before)
            (void)fprintf(stderr, "row: %s\n", rows[i].name);
    }
    return 0;
}

static void test_rows(void **unused)
{
    assert_int_equal(run_virtual(rows_main, NULL), 0);
    assert_int_equal(check_handled, 0);
}

/* ---- all at the same moment ------------------------------------------------------------------ */

static int at_once_main(void *userdata)
{
    static const struct job jobs[] = {{0, -EIO}, {0, -EIO}, {0, 7}, {-1}};
    int sum = 0, result;
    AIT_COMPLETION(c);

    reset();
    c = open_jobs(jobs, 0);
    CHECK_EQ(ait_completion_try_next(c, NULL, NULL), -EAGAIN);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(ait_completion_next(c, NULL, &result), 1);
        sum += result;
    }
    CHECK_EQ(sum, 7 - 2 * EIO);
    CHECK_EQ(ait_completion_next(c, NULL, NULL), 0);
    CHECK_EQ(ait_completion_try_next(c, NULL, NULL), 0);
    return 0;
}

static void test_at_once(void **unused)
{
    assert_int_equal(run_virtual(at_once_main, NULL), 0);
}

/* Results that nobody has fetched are given back, whether they were there at the close or came
 * during it. */
static int stubborn_main(void *userdata)
{
    (void)ait_sleep(MS(10));
    return 1;
}

static int unfetched_main(void *userdata)
{
    static const struct job quick = {5, 1};
    ait_call calls[] = {call_of(&quick), {stubborn_main, NULL, NULL}, call_of(&quick)};
    AIT_COMPLETION(c);

    reset();
    CHECK_EQ(ait_completion_open(&c, calls, 3, AIT_GATHER_OPTIONS(.discard = job_discard)), 0);
    CHECK_EQ(ait_sleep(MS(6)), 0);
    CHECK_EQ(ait_completion_next(c, NULL, NULL), 1);
    c = ait_completion_close(c);
    CHECK_EQ(discarded, 2);
    return 0;
}

static void test_unfetched(void **unused)
{
    assert_int_equal(run_virtual(unfetched_main, NULL), 0);
}

/* ---- adding ---------------------------------------------------------------------------------- */

static ait_completion *crawler;

/* Adds two of the next depth each. */
static int crawl_main(void *userdata)
{
    intptr_t depth = (intptr_t)userdata;

    CHECK_EQ(ait_sleep(MS(1)), 0);
    for (int i = 0; i < 2 && depth < 4; i++)
        CHECK_EQ(ait_completion_add(crawler, &(ait_call){crawl_main, (void *)(depth + 1), NULL}),
                 0);
    CHECK_EQ(ait_completion_next(crawler, NULL, NULL), -EDEADLK);
    return (int)depth;
}

static int crawl_all_main(void *userdata)
{
    int counts[5] = {}, result, r;
    size_t index, next = 0;
    bool seen[31] = {};
    AIT_COMPLETION(c);

    CHECK_EQ(ait_completion_open(&c, NULL, 0, AIT_GATHER_OPTIONS(.limit = 3)), 0);
    CHECK_EQ(ait_completion_next(c, NULL, NULL), 0);
    crawler = c;
    CHECK_EQ(ait_completion_add(c, &(ait_call){crawl_main, NULL, NULL}), 0);
    while ((r = ait_completion_next(c, &index, &result)) > 0) {
        counts[result]++;
        CHECK(index < ELEMENTS(seen) && !seen[index]);
        seen[index] = true;
        next++;
    }
    CHECK_EQ(r, 0);
    CHECK_EQ(next, 31);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(counts[i], 1 << i);
    return 0;
}

static void test_adding(void **unused)
{
    assert_int_equal(run_virtual(crawl_all_main, NULL), 0);
}

/* ---- several fetchers ------------------------------------------------------------------------ */

static int fetched[4], fetcher_end[4];

static int fetcher_main(void *userdata)
{
    int i = (int)(intptr_t)userdata, r;

    while ((r = ait_completion_next(crawler, NULL, NULL)) > 0)
        fetched[i]++;
    fetcher_end[i] = r;
    return 0;
}

static int fetchers_main(void *userdata)
{
    static const struct job jobs[] = {{10, 1}, {20, 2}, {30, 3}, {40, 4}, {50, 5}, {60, 6}, {-1}};
    AIT_CLEANUP(ait_task_unrefp) ait_task *cancelled_one = NULL;
    AIT_COMPLETION(c);
    AIT_SCOPE(scope);

    memset(fetched, 0, sizeof(fetched));
    crawler = c = open_jobs(jobs, 0);
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    for (intptr_t i = 0; i < 3; i++) {
        CHECK_EQ(
            ait_scope_spawn(scope, i == 1 ? &cancelled_one : NULL, fetcher_main, (void *)i, NULL),
            0);
        CHECK_EQ(ait_sleep(MS(1)), 0);
    }
    CHECK_EQ(ait_sleep(MS(32)), 0);
    CHECK_EQ(fetched[0] + fetched[1] + fetched[2], 3);
    CHECK_EQ(fetched[1], 1);
    CHECK_EQ(ait_cancel_and_wait(cancelled_one, NULL), 1);
    CHECK_EQ(fetcher_end[1], -ECANCELED);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    /* The last one was one fetcher's; the other is told that there is nothing more. */
    CHECK_EQ(fetched[0] + fetched[1] + fetched[2], 6);
    CHECK_EQ(fetcher_end[0] | fetcher_end[2], 0);
    return 0;
}

static void test_fetchers(void **unused)
{
    assert_int_equal(run_virtual(fetchers_main, NULL), 0);
}

/* Closed under them. */
static int closed_main(void *userdata)
{
    static const struct job jobs[] = {{1000, 1}, {-1}};
    AIT_SCOPE(scope);

    reset();
    crawler = open_jobs(jobs, 0);
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    fetcher_end[0] = 99;
    CHECK_EQ(ait_scope_spawn(scope, NULL, fetcher_main, (void *)0, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    crawler = ait_completion_close(crawler);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(fetcher_end[0], 0);
    CHECK_EQ(cancelled, 1);
    return 0;
}

static void test_closed(void **unused)
{
    assert_int_equal(run_virtual(closed_main, NULL), 0);
}

/* ---- ends of all kinds ----------------------------------------------------------------------- */

static int close_it_main(void *userdata)
{
    CHECK_EQ(ait_sleep(MS(1)), 0);
    crawler = ait_completion_close(crawler);
    return ait_sleep(MS(1000));
}

/* From inside a call it cannot be waited for; it goes by itself. */
static int close_inside_main(void *userdata)
{
    static const struct job jobs[] = {{1000, 1}, {-1}};
    int start = now_ms();
    AIT_SCOPE(scope);

    reset();
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    crawler = open_jobs(jobs, 0);
    CHECK_EQ(ait_completion_add(crawler, &(ait_call){close_it_main, NULL, NULL}), 0);
    CHECK_EQ(ait_sleep(MS(2)), 0);
    CHECK(!crawler);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(now_ms() - start, 1 + CLEANUP_MS);
    CHECK_EQ(cancelled, 1);
    CHECK_EQ(destroyed, 1);
    return 0;
}

static void test_close_inside(void **unused)
{
    assert_int_equal(run_virtual(close_inside_main, NULL), 0);
}

/* The scope that it was opened in ends it; what was reached can still be read. */
static int scope_ends_main(void *userdata)
{
    static const struct job jobs[] = {{10, 1}, {1000, 2}, {1000, 3}, {-1}}, more = {1, 1};
    ait_call call = call_of(&more);
    size_t index = 9;
    int result = 9;
    ait_completion *c;
    AIT_SCOPE(scope);

    reset();
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    c = open_jobs(jobs, 2);
    CHECK_EQ(ait_sleep(MS(20)), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(ait_completion_add(c, &call), -ESTALE);
    CHECK_EQ(ait_completion_next(c, &index, &result), 1);
    CHECK_EQ(index, 0);
    CHECK_EQ(result, 1);
    CHECK_EQ(ait_completion_next(c, NULL, &result), 1);
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(ait_completion_next(c, NULL, &result), 1);
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(ait_completion_next(c, NULL, NULL), 0);
    CHECK(!ait_completion_close(c));
    CHECK_EQ(destroyed, 3);
    return 0;
}

static void test_scope_ends(void **unused)
{
    assert_int_equal(run_virtual(scope_ends_main, NULL), 0);
}

/* A cancelled task still sees what was reached. */
static int partial_main(void *userdata)
{
    static const struct job jobs[] = {{10, 1}, {1000, 2}, {-1}};
    int result = 9;
    AIT_SCOPE(scope);
    AIT_COMPLETION(c);

    reset();
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    c = open_jobs(jobs, 0);
    CHECK_EQ(ait_sleep(MS(20)), 0);
    CHECK_EQ(ait_scope_cancel(scope), 0);
    CHECK_EQ(ait_completion_next(c, NULL, &result), -ECANCELED);
    CHECK_EQ(ait_completion_try_next(c, NULL, &result), 1);
    CHECK_EQ(result, 1);
    CHECK_EQ(ait_completion_try_next(c, NULL, &result), -EAGAIN);
    CHECK_EQ(ait_completion_add(c, &(ait_call){stubborn_main, NULL, NULL}), -ECANCELED);
    c = ait_completion_close(c);
    CHECK_EQ(ait_completion_open(&c, NULL, 0, NULL), -ECANCELED);
    CHECK(!c);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(cancelled, 1);
    return 0;
}

static void test_partial(void **unused)
{
    assert_int_equal(run_virtual(partial_main, NULL), 0);
}

/* A timeout around one fetch concerns that fetch alone. */
static int patient_main(void *userdata)
{
    static const struct job jobs[] = {{100, 4}, {-1}};
    int result = 9, timeouts = 0, r;
    AIT_COMPLETION(c);

    reset();
    c = open_jobs(jobs, 0);
    do {
        AIT_SCOPE(scope);

        CHECK_EQ(ait_scope_enter_after(&scope, 0, MS(30)), 0);
        r = ait_scope_exit(scope, ait_completion_next(c, NULL, &result));
        timeouts += r == -ETIME;
    } while (r == -ETIME);
    CHECK_EQ(r, 1);
    CHECK_EQ(result, 4);
    CHECK_EQ(timeouts, 3);
    CHECK_EQ(cancelled, 0);
    return 0;
}

static void test_patient(void **unused)
{
    assert_int_equal(run_virtual(patient_main, NULL), 0);
}

/* Outside tasks there is no waiting, but everything else. */
static void test_outside(void **unused)
{
    static const struct job job = {10, 1};
    ait_call call = call_of(&job), none = {};
    AIT_CLEANUP(ait_clock_unrefp) ait_clock *clock = NULL;
    ait_completion *c = NULL;
    ait_loop *loop = NULL;
    int result = 9;

    reset();
    assert_int_equal(ait_completion_open(&c, NULL, 0, NULL), -EPERM);
    assert_int_equal(ait_loop_new(&loop), 0);
    assert_int_equal(ait_vclock_new(&clock), 0);
    assert_int_equal(ait_loop_set_clock(loop, clock), 0);
    assert_int_equal(ait_completion_open(NULL, NULL, 0, NULL), -EINVAL);
    assert_int_equal(ait_completion_open(&c, NULL, 1, NULL), -EINVAL);
    assert_int_equal(ait_completion_open(&c, &none, 1, NULL), -EINVAL);
    assert_int_equal(
        ait_completion_open(&c, NULL, 0, AIT_GATHER_OPTIONS(.flags = AIT_GATHER_CONTINUE)),
        -EINVAL);
    assert_int_equal(ait_completion_add(NULL, &call), -EINVAL);
    assert_int_equal(ait_completion_next(NULL, NULL, NULL), -EINVAL);
    assert_int_equal(ait_completion_try_next(NULL, NULL, NULL), -EINVAL);
    assert_null(ait_completion_close(NULL));
    assert_null(c);
    assert_int_equal(ait_completion_open(&c, &call, 1, NULL), 0);
    assert_int_equal(ait_completion_add(c, &none), -EINVAL);
    assert_int_equal(ait_completion_add(c, NULL), -EINVAL);
    assert_int_equal(ait_completion_next(c, NULL, NULL), -EPERM);
    assert_int_equal(ait_completion_try_next(c, NULL, &result), -EAGAIN);
    assert_int_equal(ait_loop_run(loop), 0);
    assert_int_equal(ait_completion_try_next(c, NULL, &result), 1);
    assert_int_equal(result, 1);
    assert_int_equal(ait_completion_add(c, &call), 0);
    /* Cancels; the loop drains. */
    c = ait_completion_close(c);
    assert_int_equal(ait_loop_run(loop), 0);
    assert_int_equal(destroyed, 2);
    ait_loop_unref(loop);
    check_assert();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),         cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_unfetched),    cmocka_unit_test(test_adding),
        cmocka_unit_test(test_fetchers),     cmocka_unit_test(test_closed),
        cmocka_unit_test(test_close_inside), cmocka_unit_test(test_scope_ends),
        cmocka_unit_test(test_partial),      cmocka_unit_test(test_patient),
        cmocka_unit_test(test_outside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
