/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* gather and race, as tables on virtual time: what each call saw, what the caller got, when, and
 * that nothing was left behind. */

#include "check.h"

#define MAX_JOBS   8
#define CLEANUP_MS 100          /* what a cancelled job still takes */
#define SELF       (-ECANCELED) /* a job that gives up though nobody asked it to */

struct job {
    int ms; /* -1: no job; 0: does not wait at all */
    int result;
};

struct row {
    const char *name;
    bool race;
    unsigned flags;
    size_t limit;
    int deadline; /* of a scope around it, ms; 0: none */
    struct job jobs[MAX_JOBS];

    int ret;
    int winner; /* race: -1 where it is to stay untouched */
    int ms;     /* when it returns */
    int results[MAX_JOBS];
    int begun;     /* how many jobs were begun, */
    int cancelled; /* were cut short, */
    int discarded; /* and had results that were discarded */
};

static int begun, cancelled, destroyed, discarded, running, most_running;

static int job_main(void *userdata)
{
    const struct job *job = userdata;
    AIT_SCOPE(shield);
    int r;

    begun++;
    if (++running > most_running)
        most_running = running;
    r = job->ms > 0 ? ait_sleep(MS(job->ms)) : 0;
    if (r < 0) {
        cancelled++;
        CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
        CHECK_EQ(ait_scope_exit(shield, ait_sleep(MS(CLEANUP_MS))), 0);
    }
    running--;
    return r < 0 ? r : job->result;
}

static void job_destroy(void *userdata)
{
    destroyed++;
}

static void job_discard(size_t index, int result, void *userdata)
{
    CHECK(result >= 0);
    CHECK_EQ(*(int *)userdata, 77);
    CHECK(!ait_task_current());
    discarded++;
}

static const struct row rows[] = {
    {.name = "gather: all succeed, results in the order of the calls",
     .jobs = {{300, 3}, {200, 2}, {100, 1}, {-1}},
     .ms = 300,
     .results = {3, 2, 1},
     .begun = 3},
    {.name = "gather: the first error ends the others",
     .jobs = {{100, 1}, {200, -EIO}, {300, 3}, {-1}},
     .ret = -EIO,
     .ms = 300,
     .results = {1, -EIO, -ECANCELED},
     .begun = 3,
     .cancelled = 1},
    {.name = "gather: the first error by time, not by place",
     .jobs = {{300, -EIO}, {200, -EBADF}, {-1}},
     .ret = -EBADF,
     .ms = 300,
     .results = {-ECANCELED, -EBADF},
     .begun = 2,
     .cancelled = 1},
    {.name = "gather, continue: errors stay in their places",
     .flags = AIT_GATHER_CONTINUE,
     .jobs = {{300, 3}, {200, -EIO}, {100, 1}, {-1}},
     .ret = 1,
     .ms = 300,
     .results = {3, -EIO, 1},
     .begun = 3},
    {.name = "gather, continue: a timeout around it, what was reached is there",
     .flags = AIT_GATHER_CONTINUE,
     .deadline = 350,
     .jobs =
         {{100, 1}, {200, -EIO}, {250, -EIO}, {300, 3}, {400, 4}, {500, -EIO}, {600, -EIO}, {-1}},
     .ret = -ECANCELED,
     .ms = 450,
     .results = {1, -EIO, -EIO, 3, -ECANCELED, -ECANCELED, -ECANCELED},
     .begun = 7,
     .cancelled = 3},
    {.name = "gather: an error before the timeout beats it",
     .deadline = 250,
     .jobs = {{200, -EIO}, {300, 3}, {-1}},
     .ret = -EIO,
     .ms = 300,
     .results = {-EIO, -ECANCELED},
     .begun = 2,
     .cancelled = 1},
    {.name = "gather: all fail at once, without waiting",
     .flags = AIT_GATHER_CONTINUE,
     .jobs = {{0, -EIO}, {0, -EIO}, {0, -EIO}, {-1}},
     .ret = 3,
     .results = {-EIO, -EIO, -EIO},
     .begun = 3},
    {.name = "gather: an error says more than a call that has given up",
     .jobs = {{100, SELF}, {200, -EIO}, {-1}},
     .ret = -EIO,
     .ms = 200,
     .results = {-ECANCELED, -EIO},
     .begun = 2},
    {.name = "gather, continue: a call that gives up is one of those that failed",
     .flags = AIT_GATHER_CONTINUE,
     .jobs = {{100, SELF}, {200, -EIO}, {200, 3}, {-1}},
     .ret = 2,
     .ms = 200,
     .results = {-ECANCELED, -EIO, 3},
     .begun = 3},
    {.name = "gather: a call that gives up by itself is no error, and no success",
     .jobs = {{100, SELF}, {200, 2}, {-1}},
     .ret = -EPROTO,
     .ms = 200,
     .results = {-ECANCELED, 2},
     .begun = 2},
    {.name = "gather: nothing to do", .jobs = {{-1}}},
    {.name = "gather, limit 2: the others begin as those end",
     .limit = 2,
     .jobs = {{100, 1}, {200, 2}, {100, 3}, {100, 4}, {100, 5}, {-1}},
     .ms = 300,
     .results = {1, 2, 3, 4, 5},
     .begun = 5},
    {.name = "gather, limit 1: one after the other",
     .limit = 1,
     .jobs = {{10, 1}, {20, 2}, {0, 3}, {30, 4}, {-1}},
     .ms = 60,
     .results = {1, 2, 3, 4},
     .begun = 4},
    {.name = "gather, limit 2: after an error none is begun",
     .limit = 2,
     .jobs = {{100, 1}, {150, -EIO}, {100, 3}, {100, 4}, {-1}},
     .ret = -EIO,
     .ms = 250,
     .results = {1, -EIO, -ECANCELED, -ECANCELED},
     .begun = 3,
     .cancelled = 1},
    {.name = "gather, limit 2: a timeout while some have not begun",
     .limit = 2,
     .deadline = 150,
     .jobs = {{100, 1}, {200, 2}, {100, 3}, {100, 4}, {-1}},
     .ret = -ECANCELED,
     .ms = 250,
     .results = {1, -ECANCELED, -ECANCELED, -ECANCELED},
     .begun = 3,
     .cancelled = 2},
    {.name = "gather: a limit above the number of calls",
     .limit = 100,
     .jobs = {{100, 1}, {200, 2}, {-1}},
     .ms = 200,
     .results = {1, 2},
     .begun = 2},

    {.name = "race: the first result, the losers are drained",
     .race = true,
     .jobs = {{100, 1}, {300, -EIO}, {500, 5}, {-1}},
     .ret = 1,
     .ms = 200,
     .results = {1, -ECANCELED, -ECANCELED},
     .begun = 3,
     .cancelled = 2},
    {.name = "race: the first to end has failed",
     .race = true,
     .jobs = {{400, 1}, {300, -EIO}, {500, 5}, {-1}},
     .ret = -EIO,
     .winner = 1,
     .ms = 400,
     .results = {-ECANCELED, -EIO, -ECANCELED},
     .begun = 3,
     .cancelled = 2},
    {.name = "race, continue: the first success",
     .race = true,
     .flags = AIT_GATHER_CONTINUE,
     .jobs = {{300, -EIO}, {350, -EBADF}, {400, 4}, {450, -EIO}, {500, 5}, {-1}},
     .ret = 4,
     .winner = 2,
     .ms = 500,
     .results = {-EIO, -EBADF, 4, -ECANCELED, -ECANCELED},
     .begun = 5,
     .cancelled = 2},
    {.name = "race, continue: all fail",
     .race = true,
     .flags = AIT_GATHER_CONTINUE,
     .jobs = {{300, -EIO}, {100, -EBADF}, {500, -EIO}, {-1}},
     .ret = -EBADF,
     .winner = 1,
     .ms = 500,
     .results = {-EIO, -EBADF, -EIO},
     .begun = 3},
    {.name = "race: a result of 0 is one",
     .race = true,
     .jobs = {{100, 1}, {50, 0}, {-1}},
     .winner = 1,
     .ms = 150,
     .results = {-ECANCELED, 0},
     .begun = 2,
     .cancelled = 1},
    {.name = "race: nobody", .race = true, .jobs = {{-1}}, .ret = -EINVAL, .winner = -1},
    {.name = "race: who gives up by itself does not win",
     .race = true,
     .jobs = {{100, SELF}, {200, 2}, {-1}},
     .ret = 2,
     .winner = 1,
     .ms = 200,
     .results = {-ECANCELED, 2},
     .begun = 2},
    {.name = "race: all give up by themselves",
     .race = true,
     .jobs = {{100, SELF}, {200, SELF}, {-1}},
     .ret = -EPROTO,
     .winner = -1,
     .ms = 200,
     .results = {-ECANCELED, -ECANCELED},
     .begun = 2},
    {.name = "race: cancelled before there is a winner",
     .race = true,
     .deadline = 50,
     .jobs = {{100, 1}, {200, 2}, {-1}},
     .ret = -ECANCELED,
     .winner = -1,
     .ms = 150,
     .results = {-ECANCELED, -ECANCELED},
     .begun = 2,
     .cancelled = 2},
    {.name = "race: cancelled while the losers are drained",
     .race = true,
     .deadline = 150,
     .jobs = {{200, 2}, {100, 1}, {-1}},
     .ret = 1,
     .winner = 1,
     .ms = 200,
     .results = {-ECANCELED, 1},
     .begun = 2,
     .cancelled = 1},
    {.name = "race, limit 2: whoever has not begun never does",
     .race = true,
     .limit = 2,
     .flags = AIT_GATHER_CONTINUE,
     .jobs = {{100, -EIO}, {400, 2}, {200, 3}, {100, 4}, {-1}},
     .ret = 3,
     .winner = 2,
     .ms = 400,
     .results = {-EIO, -ECANCELED, 3, -ECANCELED},
     .begun = 3,
     .cancelled = 1},
};

static size_t n_jobs(const struct row *row)
{
    size_t n = 0;

    while (n < MAX_JOBS && row->jobs[n].ms >= 0)
        n++;
    return n;
}

static const ait_task_options job_options = {
    .size = sizeof(job_options), .name = "job", .destroy = job_destroy};

static int call_row(const struct row *row, size_t *winner, int *results)
{
    int magic = 77;
    const ait_gather_options *options =
        AIT_GATHER_OPTIONS(.flags = row->flags, .limit = row->limit, .discard = job_discard,
                           .userdata = &magic);
    ait_call calls[MAX_JOBS];
    size_t n = n_jobs(row);

    for (size_t i = 0; i < n; i++)
        calls[i] = (ait_call){job_main, (void *)(row->jobs + i), &job_options};
    if (row->race)
        return ait_race(calls, n, options, winner, results);
    return ait_gather(calls, n, row->flags == 0 && row->limit == 0 ? NULL : options, results);
}

static void check_row(const struct row *row)
{
    int results[MAX_JOBS] = {}, start = now_ms();
    size_t winner = (size_t)-1;
    AIT_SCOPE(scope);

    begun = cancelled = destroyed = discarded = running = most_running = 0;
    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_MOVE_ON), 0);
    if (row->deadline > 0)
        CHECK_EQ(ait_scope_set_timeout(scope, MS(row->deadline)), 0);
    CHECK_EQ(call_row(row, &winner, results), row->ret);
    CHECK_EQ(now_ms() - start, row->ms);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    if (row->race)
        CHECK_EQ((int)winner, row->winner);
    for (size_t i = 0; i < n_jobs(row); i++)
        CHECK_EQ(results[i], row->results[i]);
    CHECK_EQ(begun, row->begun);
    CHECK_EQ(cancelled, row->cancelled);
    CHECK_EQ(discarded, row->discarded);
    CHECK_EQ(destroyed, n_jobs(row));
    CHECK_EQ(running, 0);
    if (row->limit > 0)
        CHECK(most_running <= (int)row->limit);
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
    /* Errors of calls go to the caller alone. */
    assert_int_equal(check_handled, 0);
}

/* ---- what tables do not show ----------------------------------------------------------------- */

static int stubborn_main(void *userdata)
{
    (void)ait_sleep(MS(50));
    return 8;
}

/* A loser that succeeds all the same: somebody has to take its result. */
static int discard_main(void *userdata)
{
    struct job job = {.ms = 40, .result = 4};
    ait_call calls[] = {
        {stubborn_main, NULL, NULL}, {job_main, &job, NULL}, {stubborn_main, NULL, NULL}};
    int magic = 77, results[3];
    size_t winner = 9;

    discarded = 0;
    CHECK_EQ(ait_race(calls, 3, NULL, &winner, results), 4);
    CHECK_EQ(winner, 1);
    CHECK_EQ(results[0], 8);
    CHECK_EQ(results[2], 8);
    CHECK_EQ(ait_race(calls, 3, AIT_GATHER_OPTIONS(.discard = job_discard, .userdata = &magic),
                      NULL, results),
             4);
    CHECK_EQ(discarded, 2);
    CHECK_EQ(results[0], -ECANCELED);
    CHECK_EQ(results[1], 4);
    CHECK_EQ(ait_race(calls, 3, AIT_GATHER_OPTIONS(.discard = job_discard, .userdata = &magic),
                      NULL, NULL),
             4);
    CHECK_EQ(discarded, 4);
    return 0;
}

static void test_discard(void **unused)
{
    assert_int_equal(run_virtual(discard_main, NULL), 0);
}

static int grandchild_done;

static int grandchild_main(void *userdata)
{
    int r = ait_sleep(MS(20));

    grandchild_done += r == 0;
    return r;
}

static int parent_main(void *userdata)
{
    CHECK_EQ(ait_task_spawn(NULL, grandchild_main, NULL, NULL), 0);
    return 5;
}

/* A call has not ended before its own tasks have: winning does not cut them short. */
static int grandchild_wins_main(void *userdata)
{
    ait_call calls[] = {{parent_main, NULL, NULL}, {stubborn_main, NULL, NULL}};
    int start = now_ms();

    grandchild_done = 0;
    CHECK_EQ(ait_race(calls, 2, NULL, NULL, NULL), 5);
    CHECK_EQ(grandchild_done, 1);
    CHECK_EQ(now_ms() - start, 20);
    return 0;
}

static void test_grandchild(void **unused)
{
    assert_int_equal(run_virtual(grandchild_wins_main, NULL), 0);
}

#define MANY 500

static int count_main(void *userdata)
{
    if (++running > most_running)
        most_running = running;
    CHECK_EQ(ait_sleep(MS(1)), 0);
    running--;
    return (int)(intptr_t)userdata;
}

static int many_main(void *userdata)
{
    static ait_call calls[MANY];
    static int results[MANY];

    for (intptr_t i = 0; i < MANY; i++)
        calls[i] = (ait_call){count_main, (void *)i, NULL};
    for (size_t limit = 0; limit <= 64; limit += 16) {
        running = most_running = 0;
        CHECK_EQ(ait_gather(calls, MANY, AIT_GATHER_OPTIONS(.limit = limit), results), 0);
        CHECK_EQ(most_running, limit ? (int)limit : MANY);
        for (int i = 0; i < MANY; i++)
            CHECK_EQ(results[i], i);
    }
    return 0;
}

static void test_many(void **unused)
{
    assert_int_equal(run_virtual(many_main, NULL), 0);
}

/* Refused at the entry: nothing begins, and the userdata is given back all the same. */
static int refused_main(void *userdata)
{
    struct job job = {.ms = 10};
    ait_call call = {job_main, &job, AIT_TASK_OPTIONS(.destroy = job_destroy)};
    int result = 5;
    size_t winner = 5;
    AIT_SCOPE(scope);

    begun = destroyed = 0;
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_cancel(scope), 0);
    CHECK_EQ(ait_gather(&call, 1, NULL, &result), -ECANCELED);
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(ait_race(&call, 1, NULL, &winner, NULL), -ECANCELED);
    CHECK_EQ(winner, 5);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(begun, 0);
    CHECK_EQ(destroyed, 2);
    return 0;
}

static void test_refused(void **unused)
{
    assert_int_equal(run_virtual(refused_main, NULL), 0);
}

static void from_outside(void *userdata)
{
    ait_call call = {count_main, NULL, AIT_TASK_OPTIONS(.destroy = job_destroy)};

    CHECK_EQ(ait_gather(&call, 1, NULL, NULL), -EPERM);
    CHECK_EQ(ait_race(&call, 1, NULL, NULL, NULL), -EPERM);
}

static int misuse_main(void *userdata)
{
    ait_task_options short_options = {.size = 1};
    ait_call none = {}, bad = {count_main, NULL, &short_options};
    ait_call deep = {count_main, NULL,
                     AIT_TASK_OPTIONS(.stack_size = SIZE_MAX / 2, .destroy = job_destroy)};
    ait_call good = {count_main, NULL, AIT_TASK_OPTIONS(.destroy = job_destroy)};
    int result = 5;

    destroyed = 0;
    CHECK_EQ(ait_gather(NULL, 1, NULL, NULL), -EINVAL);
    CHECK_EQ(ait_gather(&none, 1, NULL, &result), -EINVAL);
    CHECK_EQ(ait_gather(&bad, 1, NULL, &result), -EINVAL);
    CHECK_EQ(ait_gather(&good, 1, &(ait_gather_options){.size = 1}, &result), -EINVAL);
    CHECK_EQ(ait_gather(&good, 1, AIT_GATHER_OPTIONS(.flags = 8), &result), -EINVAL);
    CHECK_EQ(ait_race(&good, 0, NULL, NULL, NULL), -EINVAL);
    CHECK_EQ(ait_gather(NULL, 0, NULL, NULL), 0);
    CHECK_EQ(result, 5);
    CHECK_EQ(ait_loop_post(ait_loop_current(), from_outside, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(destroyed, 0);
    /* A task that cannot be made has failed. */
    CHECK(ait_gather(&deep, 1, NULL, &result) < 0);
    CHECK(result < 0 && result != -ECANCELED);
    CHECK_EQ(destroyed, 1);
    return 0;
}

static void test_misuse(void **unused)
{
    assert_int_equal(run_virtual(misuse_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),       cmocka_unit_test(test_discard),
        cmocka_unit_test(test_grandchild), cmocka_unit_test(test_many),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_misuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
