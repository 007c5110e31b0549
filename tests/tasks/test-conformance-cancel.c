/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What aiotools' tests of cancel_and_wait() and of shields check; docs/aiotools.md tells row by
 * row. */

#include "conformance.h"

#define GROUP AIT_SCOPE_FAIL_FAST

/* ---- single tasks ---------------------------------------------------------------------------- */

static int already_done(void *userdata)
{
    static const struct job job = {.name = "done", .ms = 100, .ret = 7};
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    int result = 0;

    job_spawn(ait_scope_current(), &task, &job);
    CHECK_EQ(ait_task_wait(task, NULL), 0);
    CHECK_EQ(ait_cancel_and_wait(task, &result), 1);
    trace("result:%s", outcome(result));
    return 0;
}

static int swallows(void *userdata)
{
    AIT_SCOPE(shield);

    int r = ait_sleep(MS(100));
    CHECK_EQ(r, -ECANCELED);
    CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_sleep(MS(100)), 0);
    CHECK_EQ(ait_scope_exit(shield, 0), 0);
    if (userdata)
        CHECK_EQ(ait_task_uncancel(ait_task_current()), 0);
    trace("swallowed");
    return 0;
}

static int cancel_at_50(ait_task_fn fn, void *userdata, unsigned flags)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    int result = 1;

    CHECK_EQ(ait_task_spawn(&task, fn, userdata, NULL), 0);
    CHECK_EQ(ait_sleep(MS(50)), 0);
    int r = ait_cancel_and_wait_full(task, flags, &result);
    trace("waited:%s", outcome(r));
    CHECK_EQ(ait_task_is_done(task), 1);
    return 0;
}

static int swallowed(void *userdata)
{
    return cancel_at_50(swallows, (void *)1, 0);
}

static int swallowed_strict(void *userdata)
{
    return cancel_at_50(swallows, NULL, AIT_CANCEL_STRICT);
}

static int long_cleanup(void *userdata)
{
    static const struct job job = {.name = "job", .ms = 100, .cleanup_ms = 100};

    return cancel_at_50(job_main, (void *)(uintptr_t)&job, 0);
}

static int shield_in_the_middle(void *userdata)
{
    AIT_SCOPE(shield);

    trace("begin");
    int r = ait_sleep(MS(100));
    if (r < 0)
        return r;
    CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_sleep(MS(100)), 0);
    trace("shielded");
    CHECK_EQ(ait_scope_exit(shield, 0), 0);
    shield = ait_scope_leave(shield);
    r = ait_sleep(MS(100));
    if (r >= 0)
        trace("end");
    return r;
}

static int cancel_in_each_part(void *userdata)
{
    for (int ms = 50; ms <= 250; ms += 100) {
        AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
        int result = 0;

        CHECK_EQ(ait_task_spawn(&task, shield_in_the_middle, NULL, NULL), 0);
        CHECK_EQ(ait_sleep(MS(ms)), 0);
        CHECK_EQ(ait_cancel_and_wait(task, &result), 0);
        trace("result:%s", outcome(result));
    }
    return 0;
}

static int gives_up_in_shield(void *userdata)
{
    AIT_SCOPE(shield);

    CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_sleep(MS(100)), 0);
    return ait_scope_exit(shield, -ECANCELED);
}

static int shield_self_cancellation(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    int result = 0;

    CHECK_EQ(ait_task_spawn(&task, gives_up_in_shield, NULL, NULL), 0);
    CHECK_EQ(ait_task_wait(task, &result), 0);
    CHECK_EQ(ait_task_cancelling(task), 0);
    trace("result:%s", outcome(result));
    return 0;
}

/* ---- those who cancel are cancelled ---------------------------------------------------------- */

static int canceller(void *userdata)
{
    return ait_cancel_and_wait(userdata, NULL);
}

static int cancelling_cancellation(void *userdata)
{
    static const struct job job = {.name = "job", .ms = 100, .cleanup_ms = 500};
    AIT_CLEANUP(ait_task_unrefp) ait_task *a = NULL, *b = NULL, *c = NULL;
    int result = 0;

    job_spawn(ait_scope_current(), &a, &job);
    CHECK_EQ(ait_sleep(MS(50)), 0);
    CHECK_EQ(ait_task_spawn(&b, canceller, a, NULL), 0);
    CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(ait_task_spawn(&c, canceller, b, NULL), 0);
    CHECK_EQ(ait_task_wait(c, &result), 0);
    trace("third:%s", outcome(result));
    CHECK_EQ(ait_task_result(b, &result), 0);
    trace("second:%s", outcome(result));
    CHECK_EQ(ait_task_result(a, &result), 0);
    trace("first:%s", outcome(result));
    return 0;
}

/* ---- several at once ------------------------------------------------------------------------- */

static int grouped(void *userdata)
{
    static const struct job jobs[] = {
        {.name = "a", .ms = 200, .cleanup_ms = 100}, {.name = "b", .ms = 200, .cleanup_ms = 100},
        {.name = "c", .ms = 130, .ret = -EIO},       {.name = "d", .ms = 100, .ret = 4},
        {.name = "e", .ms = 230, .ret = -EIO},
    };
    ait_task *tasks[ELEMENTS(jobs)];
    AIT_SCOPE(s);
    int result = 0;

    CHECK_EQ(ait_scope_enter(&s, AIT_SCOPE_SUPERVISOR), 0);
    for (size_t i = 0; i < ELEMENTS(jobs); i++)
        job_spawn(s, &tasks[i], &jobs[i]);
    CHECK_EQ(ait_sleep(MS(150)), 0);
    for (size_t i = 0; i < ELEMENTS(jobs); i++)
        CHECK(ait_task_cancel(tasks[i]) >= 0);
    for (size_t i = 0; i < ELEMENTS(jobs); i++) {
        CHECK_EQ(ait_task_wait(tasks[i], &result), 0);
        trace("%s:%s", jobs[i].name, outcome(result));
        ait_task_unref(tasks[i]);
    }
    return ait_scope_exit(s, 0);
}

/* ---- tasks that hold a scope ----------------------------------------------------------------- */

static const struct plan plans[] = {
    {.flags = GROUP,
     .jobs = {{"a", 1000, .cleanup_ms = 100}},
     .ms = 2000,
     .cancel_at = 10,
     .more_at = 60,
     .more_of = 1},
    {.flags = GROUP, .jobs = {{"a", 1000}}, .ms = 200, .ret = -ECANCELED, .cancel_at = 250},
    {.flags = GROUP, .jobs = {{"a", 1000}}, .ms = 2000, .cancel_at = 10},
    {.flags = GROUP, .jobs = {{"bad", 100, -EIO}, {"a", 1000}}, .cancel_at = 150},
    {.flags = GROUP,
     .jobs = {{"bad", 100, -EIO}, {"a", 1000, .cleanup_ms = 500}},
     .cancel_at = 150},
    {.flags = GROUP,
     .jobs = {{"bad", 100, -EIO}, {"a", 1000, .cleanup_ms = 500, .cleanup_ret = -EBADF}},
     .cancel_at = 150},
    {.flags = GROUP, .jobs = {{"bad", 200, -EIO}}, .ms = 500, .tail_ms = 500, .cancel_at = 100},
    {.jobs = {{"bad", 100, -EIO}, {"a", 1000}}, .cancel_at = 150},
    {.jobs = {{"bad", 100, -EIO}, {"a", 1000, .cleanup_ms = 500}}, .cancel_at = 150},
    {.jobs = {{"bad", 100, -EIO}, {"a", 1000, .cleanup_ms = 500, .cleanup_ret = -EBADF}},
     .cancel_at = 150},
    {.flags = GROUP,
     .jobs = {{"a", 1000, .cleanup_ms = 100}},
     .ms = 2000,
     .cancel_at = 10,
     .more_at = 60,
     .more_of = 2},
    {.flags = AIT_SCOPE_SHIELD,
     .jobs = {{"a", 100, 1}, {"bad", 200, -EIO}, {"b", 300, 3}},
     .cancel_at = 250},
};

static const struct row rows[] = {
    {"already done", .run = already_done, .trace = "done@100 result:7@100"},
    {"cancellation undone by the task", .run = swallowed, .trace = "swallowed@150 waited:1@150"},
    {"cancellation swallowed", .run = swallowed_strict, .trace = "swallowed@150 waited:EPROTO@150"},
    {"long cleanup", .run = long_cleanup, .trace = "job-cancelled@50 job-cleaned@150 waited:0@150"},
    {"shield in the middle", .run = cancel_in_each_part,
     .trace = "begin@0 result:ECANCELED@50 begin@50 shielded@250 result:ECANCELED@250 begin@250 "
              "shielded@450 result:ECANCELED@500"},
    {"shield, giving up by itself", .run = shield_self_cancellation,
     .trace = "result:ECANCELED@100"},
    {"shields, nested, cancelled in the outer",
     .levels = {{true, AIT_SCOPE_SHIELD}, {true, AIT_SCOPE_SHIELD}}, .cancel_at = 50,
     .trace = "begin0@0 begin1@100 end1@200 end0@300 result:ECANCELED@300"},
    {"shields, nested, cancelled in the inner",
     .levels = {{true, AIT_SCOPE_SHIELD}, {true, AIT_SCOPE_SHIELD}}, .cancel_at = 150,
     .trace = "begin0@0 begin1@100 end1@200 end0@300 result:ECANCELED@300"},
    {"group, a third party cancels too", .plan = &plans[0],
     .trace = "a-cancelled@10 a-cleaned@110 exit:ECANCELED@110 waited:0@110 result:ECANCELED@110"},
    {"group, body gives up by itself", .plan = &plans[1],
     .trace = "body@200 a-cancelled@200 exit:ECANCELED@200 waited:0@250 result:ECANCELED@250"},
    {"group, cancelled", .plan = &plans[2],
     .trace = "a-cancelled@10 exit:ECANCELED@10 waited:0@10 result:ECANCELED@10"},
    {"group, a child had failed", .plan = &plans[3],
     .trace = "bad@100 a-cancelled@100 exit:EIO@100 error:bad:EIO@100 waited:0@150 result:EIO@150"},
    {"group, a child had failed, cleanup under way", .plan = &plans[4],
     .trace = "bad@100 a-cancelled@100 a-cleaned@600 exit:EIO@600 error:bad:EIO@600 waited:0@600 "
              "result:EIO@600"},
    {"group, a child fails while it is cancelled", .plan = &plans[5],
     .trace = "bad@100 a-cancelled@100 a-cleaned@600 exit:EIO@600 error:bad:EIO@600 "
              "error:a:EBADF@600 waited:0@600 result:EIO@600"},
    {"group, cancelled before the child fails", .plan = &plans[6],
     .trace = "bad-cancelled@100 exit:ECANCELED@100 waited:0@100 result:ECANCELED@100"},
    {"scope, a child had failed", .plan = &plans[7],
     .trace = "bad@100 handler:bad:EIO@100 a-cancelled@150 exit:ECANCELED@150 error:bad:EIO@150 "
              "waited:0@150 result:ECANCELED@150"},
    {"scope, a child had failed, cleanup under way", .plan = &plans[8],
     .trace = "bad@100 handler:bad:EIO@100 a-cancelled@150 a-cleaned@650 exit:ECANCELED@650 "
              "error:bad:EIO@650 waited:0@650 result:ECANCELED@650"},
    {"scope, a child fails while it is cancelled", .plan = &plans[9],
     .trace = "bad@100 handler:bad:EIO@100 a-cancelled@150 a-cleaned@650 handler:a:EBADF@650 "
              "exit:0@650 error:bad:EIO@650 error:a:EBADF@650 waited:1@650 result:0@650"},
    {"group, a third party cancels twice", .plan = &plans[10],
     .trace = "a-cancelled@10 a-cleaned@110 exit:ECANCELED@110 waited:0@110 result:ECANCELED@110"},
    {"several at once", .run = grouped,
     .trace = "d@100 c@130 a-cancelled@150 b-cancelled@150 e-cancelled@150 b-cleaned@250 "
              "a-cleaned@250 a:ECANCELED@250 b:ECANCELED@250 c:EIO@250 d:4@250 e:ECANCELED@250"},
    {"cancelling who cancels", .run = cancelling_cancellation,
     .trace =
         "job-cancelled@50 job-cleaned@550 third:0@550 second:ECANCELED@550 first:ECANCELED@550"},
    {"shielded scope with children", .plan = &plans[11],
     .trace = "a@100 bad@200 handler:bad:EIO@200 b@300 exit:0@300 error:bad:EIO@300 waited:1@300 "
              "result:0@300"},
};

int main(void)
{
    return conformance_run("conformance-cancel", rows, ELEMENTS(rows));
}
