/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What aiotools' tests of TaskScope, ShieldScope, move_on_after() and TaskGroup check;
 * docs/aiotools.md tells row by row. */

#include "conformance.h"

#define GROUP  AIT_SCOPE_FAIL_FAST
#define SHIELD AIT_SCOPE_SHIELD

static const struct plan plans[] = {
    [0] = {.jobs = {{"bad", 200, -EIO}}, .ms = 500, .tail_ms = 500},
    [1] = {.jobs = {{"a", 100}, {"bad", 200, -EIO}, {"b", 300}}, .ms = 100, .ms_more = 150},
    [2] = {.flags = SHIELD,
           .jobs = {{"a", 100}, {"bad", 200, -EIO}, {"b", 300}},
           .ms = 100,
           .ms_more = 150},
    [3] = {.jobs = {{"a", 100}, {"self", 200, -ECANCELED}, {"b", 300}}, .ms = 100, .ms_more = 150},
    [4] = {.flags = SHIELD,
           .jobs = {{"a", 100}, {"self", 200, -ECANCELED}, {"b", 300}},
           .ms = 100,
           .ms_more = 150},
    [5] = {.outer_after = 250,
           .jobs = {{"a", 100}, {"b", 200}, {"c", 300}},
           .ms = 230,
           .ms_more = 30},
    [6] = {.outer_after = 250,
           .flags = SHIELD,
           .jobs = {{"a", 100}, {"b", 200}, {"c", 300}},
           .ms = 230,
           .ms_more = 30},
    [17] = {.outer_after = 250,
            .outer_checks = true,
            .flags = SHIELD,
            .jobs = {{"a", 100}, {"b", 200}, {"c", 300}},
            .ms = 230,
            .ms_more = 30},
    [7] = {.after = 250, .jobs = {{"a", 100}, {"b", 200}, {"c", 300}}, .ms = 230, .ms_more = 30},
    [8] = {.after = 250,
           .flags = SHIELD,
           .jobs = {{"a", 100}, {"b", 200}, {"c", 300}},
           .ms = 230,
           .ms_more = 30},
    [9] = {.after = 250,
           .flags = SHIELD,
           .jobs = {{"a", 100}, {"b", 200}, {"c", 300}},
           .ms = 230,
           .ms_more = 30,
           .cancel_at = 50},
    [10] = {.after = 250,
            .flags = AIT_SCOPE_MOVE_ON,
            .jobs = {{"a", 100}, {"b", 200}, {"c", 300}},
            .ms = 230,
            .ms_more = 30},
    [11] = {.jobs = {{"bad", 200, -EIO}, {"a", 80}, {"b", 120}},
            .ms = 500,
            .tail_ms = 500,
            .cancel_at = 100},
    [12] = {.flags = GROUP, .jobs = {{"a", 3000}, {"b", 2000}, {"c", 1000}}},
    [13] = {.flags = GROUP, .jobs = {{"a", 300}, {"b", 600}}, .ms = 500, .ret = -ECANCELED},
    [14] = {.flags = GROUP, .jobs = {{"a", 1000}, {"self", 500, -ECANCELED}, {"b", 1000}}},
    [15] = {.flags = GROUP, .jobs = {{"bad", 200, -EIO}}, .ms = 500},
    [16] = {.flags = GROUP, .jobs = {{"a", 300, 99}, {"bad", 500, -EIO}, {"b", 700, 99}}},
};

/* ---- closing a scope from another task ------------------------------------------------------- */

static int closes(void *userdata)
{
    CHECK_EQ(ait_sleep(MS(100)), 0);
    trace("close");
    CHECK_EQ(ait_scope_cancel_and_wait(userdata), 0);
    trace("closed");
    return 0;
}

static int closed_by_another(void *userdata)
{
    static const struct job jobs[] = {{"a", 80}, {"b", 120, .cleanup_ms = 700}};
    ait_scope *outer = ait_scope_current();
    AIT_SCOPE(s);

    CHECK_EQ(ait_scope_enter(&s, AIT_SCOPE_PROPAGATE), 0);
    for (size_t i = 0; i < ELEMENTS(jobs); i++)
        job_spawn(s, NULL, &jobs[i]);
    CHECK_EQ(ait_scope_spawn(outer, NULL, closes, s, NULL), 0);
    int r = ait_sleep(MS(110));
    r = ait_scope_exit(s, r);
    trace("exit:%s", outcome(r));
    CHECK_EQ(ait_scope_cancelled_caught(s), 0);
    return 0;
}

/* ---- cleanup in a shield --------------------------------------------------------------------- */

static int works_then_cleans(void *userdata)
{
    AIT_SCOPE(shield);

    int r = ait_sleep(MS(100));
    if (r >= 0)
        trace("work");
    CHECK_EQ(ait_scope_enter(&shield, SHIELD), 0);
    CHECK_EQ(ait_sleep(MS(100)), 0);
    trace("cleaned");
    return ait_scope_exit(shield, r);
}

static int cleanup_in_shield(void *userdata)
{
    for (int ms = 50; ms <= 150; ms += 100) {
        AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;

        CHECK_EQ(ait_task_spawn(&task, works_then_cleans, NULL, NULL), 0);
        CHECK_EQ(ait_sleep(MS(ms)), 0);
        trace("waited:%s", outcome(ait_cancel_and_wait(task, NULL)));
    }
    return 0;
}

/* ---- names, and the scope that one is in ----------------------------------------------------- */

static int tells_names(void *userdata)
{
    CHECK_EQ(ait_sleep(MS(10)), 0);
    trace("%s", ait_task_name(ait_task_current()));
    return 0;
}

static int naming(void *userdata)
{
    AIT_SCOPE(s);

    CHECK_EQ(ait_scope_enter(&s, GROUP), 0);
    CHECK_EQ(ait_scope_set_name(s, "XYZ"), 0);
    CHECK_EQ(ait_scope_spawn(s, NULL, tells_names, NULL, AIT_TASK_OPTIONS(.name = "ABC")), 0);
    trace("%s", ait_scope_name(s));
    return ait_scope_exit(s, 0);
}

static int current_scope(void *userdata)
{
    ait_scope *task = ait_scope_current();
    AIT_SCOPE(outer);
    AIT_SCOPE(inner);

    CHECK_EQ(ait_scope_enter(&outer, GROUP), 0);
    CHECK(ait_scope_current() == outer);
    CHECK_EQ(ait_scope_enter(&inner, GROUP), 0);
    CHECK(ait_scope_current() == inner);
    CHECK_EQ(ait_scope_exit(inner, 0), 0);
    CHECK(ait_scope_current() == outer);
    CHECK_EQ(ait_scope_exit(outer, 0), 0);
    CHECK(ait_scope_current() == task);
    trace("task");
    return 0;
}

static int spawns_beside_itself(void *userdata)
{
    static const struct job job = {"job", 10};

    job_spawn(userdata, NULL, &job);
    return 0;
}

static int spawns_inside(void *userdata)
{
    static const struct job job = {"inner", 5};
    AIT_SCOPE(s);

    CHECK_EQ(ait_scope_enter(&s, GROUP), 0);
    job_spawn(ait_scope_current(), NULL, &job);
    return ait_scope_exit(s, 0);
}

static int spawning_by_children(void *userdata)
{
    AIT_SCOPE(s);

    CHECK_EQ(ait_scope_enter(&s, GROUP), 0);
    CHECK_EQ(ait_scope_spawn(s, NULL, spawns_inside, NULL, NULL), 0);
    CHECK_EQ(ait_scope_spawn(s, NULL, spawns_beside_itself, s, NULL), 0);
    int r = ait_scope_exit(s, 0);
    trace("exit:%s", outcome(r));
    return r;
}

/* ---- after a group's error ------------------------------------------------------------------- */

static int goes_on_after_error(void *userdata)
{
    static const struct job job = {"bad", 200, -EIO};
    AIT_SCOPE(s);

    CHECK_EQ(ait_scope_enter(&s, GROUP), 0);
    job_spawn(s, NULL, &job);
    CHECK_EQ(ait_sleep(MS(500)), -ECANCELED);
    CHECK_EQ(ait_scope_exit(s, -ECANCELED), -EIO);
    CHECK_EQ(ait_task_cancelling(ait_task_current()), 0);
    CHECK_EQ(ait_sleep(MS(500)), 0);
    trace("on");
    return 0;
}

static int sleeps_10_s(void *userdata)
{
    return ait_sleep(MS(10000));
}

static int many_short_lived(void *userdata)
{
    size_t n = ait_loop_n_tasks(ait_loop_current());
    AIT_SCOPE(s);

    CHECK_EQ(ait_scope_enter(&s, GROUP), 0);
    for (int i = 0; i < 200; i++) {
        CHECK_EQ(ait_sleep(MS(1000)), 0);
        CHECK_EQ(ait_scope_spawn(s, NULL, sleeps_10_s, NULL, NULL), 0);
        if (i >= 100)
            CHECK(ait_loop_n_tasks(ait_loop_current()) - n <= 11);
    }
    CHECK_EQ(ait_sleep(MS(10100)), 0);
    CHECK_EQ(ait_loop_n_tasks(ait_loop_current()), n);
    return ait_scope_exit(s, 0);
}

static const struct row rows[] = {
    {"scope, a child fails, all go on", .plan = &plans[0],
     .trace = "bad@200 handler:bad:EIO@200 body@500 exit:0@500 error:bad:EIO@500 tail@1000 "
              "result:0@1000"},
    {"scope, partial failure", .plan = &plans[1],
     .trace = "body@100 a@100 bad@200 handler:bad:EIO@200 body-more@250 b@300 exit:0@300 "
              "error:bad:EIO@300 result:0@300"},
    {"shielded scope, partial failure", .plan = &plans[2],
     .trace = "body@100 a@100 bad@200 handler:bad:EIO@200 body-more@250 b@300 exit:0@300 "
              "error:bad:EIO@300 result:0@300"},
    {"scope, a child gives up by itself", .plan = &plans[3],
     .trace = "body@100 a@100 self@200 body-more@250 b@300 exit:0@300 result:0@300"},
    {"shielded scope, a child gives up by itself", .plan = &plans[4],
     .trace = "body@100 a@100 self@200 body-more@250 b@300 exit:0@300 result:0@300"},
    {"timeout around a scope", .plan = &plans[5],
     .trace = "a@100 b@200 body@230 c-cancelled@250 exit:ECANCELED@250 outer:ETIME@250 "
              "result:ETIME@250"},
    {"timeout around a shielded scope", .plan = &plans[6],
     .trace = "a@100 b@200 body@230 body-more@260 c@300 exit:0@300 outer:0@300 result:0@300"},
    {"timeout around a shielded scope, and a look", .plan = &plans[17],
     .trace =
         "a@100 b@200 body@230 body-more@260 c@300 exit:0@300 outer:ETIME@300 result:ETIME@300"},
    {"scope's own timeout", .plan = &plans[7],
     .trace = "a@100 b@200 body@230 c-cancelled@250 exit:ETIME@250 result:ETIME@250"},
    {"shielded scope's own timeout", .plan = &plans[8],
     .trace = "a@100 b@200 body@230 c-cancelled@250 exit:ETIME@250 result:ETIME@250"},
    {"shielded scope's own timeout, cancelled meanwhile", .plan = &plans[9],
     .trace = "a@100 b@200 body@230 c-cancelled@250 exit:ETIME@250 waited:0@250 result:ETIME@250"},
    {"move on after", .plan = &plans[10],
     .trace = "a@100 b@200 body@230 c-cancelled@250 exit:0@250 result:0@250"},
    {"scope, cancelled from outside", .plan = &plans[11],
     .trace = "a@80 bad-cancelled@100 b-cancelled@100 exit:ECANCELED@100 waited:0@100 "
              "result:ECANCELED@100"},
    {"scope, closed by another task", .run = closed_by_another,
     .trace = "a@80 close@100 b-cancelled@100 b-cleaned@800 exit:ECANCELED@800 closed@800"},
    {"shield in shield", .levels = {{true, SHIELD}, {true, SHIELD}}, .cancel_at = 150,
     .trace = "begin0@0 begin1@100 end1@200 end0@300 result:ECANCELED@300"},
    {"scope in shield", .levels = {{true, SHIELD}, {true, 0}}, .cancel_at = 150,
     .trace = "begin0@0 begin1@100 end1@200 end0@300 result:ECANCELED@300"},
    {"shield in scope", .levels = {{true, 0}, {true, SHIELD}}, .cancel_at = 150,
     .trace = "begin0@0 begin1@100 end1@200 result:ECANCELED@200"},
    {"five levels of scopes",
     .levels = {{true, 0, 15000},
                {true, SHIELD, 14000},
                {true, 0, 13000},
                {true, 0, 12000},
                {true, SHIELD, 11000}},
     .cancel_at = 450,
     .trace = "begin0@0 begin1@100 begin2@200 begin3@300 begin4@400 child0-cancelled@450 end4@500 "
              "child4@11400 end3@11500 child3@12300 end2@12400 child2@13200 end1@13300 "
              "child1@14100 result:ECANCELED@14100"},
    {"five levels of scopes and groups",
     .levels = {{true, GROUP, 15000},
                {true, SHIELD, 14000},
                {true, GROUP, 13000},
                {true, GROUP, 12000},
                {true, SHIELD, 11000}},
     .cancel_at = 450,
     .trace = "begin0@0 begin1@100 begin2@200 begin3@300 begin4@400 child0-cancelled@450 end4@500 "
              "child4@11400 end3@11500 child3@12300 end2@12400 child2@13200 end1@13300 "
              "child1@14100 result:ECANCELED@14100"},
    {"six levels of tasks",
     .levels = {{true, 0, 30000},
                {true, 0, 28000},
                {true, SHIELD, 26000},
                {true, 0, 24000},
                {true, 0, 22000},
                {true, SHIELD, 20000}},
     .by_tasks = true, .cancel_at = 550,
     .trace =
         "begin0@0 end0@0 begin1@0 end1@0 begin2@0 end2@0 begin3@0 end3@0 begin4@0 end4@0 begin5@0 "
         "end5@0 child0-cancelled@550 child1-cancelled@550 child5@20000 after5@20100 child4@22000 "
         "after4@22100 child3@24000 after3@24100 child2@26000 result:ECANCELED@26000"},
    {"cleanup in a shield", .run = cleanup_in_shield,
     .trace = "cleaned@150 waited:0@150 work@250 cleaned@350 waited:1@350"},

    {"group, names", .run = naming, .trace = "XYZ@0 ABC@10"},
    {"group, waits for all", .plan = &plans[12],
     .trace = "c@1000 b@2000 a@3000 exit:0@3000 result:0@3000"},
    {"group, the current one", .run = current_scope, .trace = "task@0"},
    {"group, children that spawn", .run = spawning_by_children,
     .trace = "inner@5 job@10 exit:0@10"},
    {"group, body gives up by itself", .plan = &plans[13],
     .trace = "a@300 body@500 b-cancelled@500 exit:ECANCELED@500 result:ECANCELED@500"},
    {"group, a child gives up by itself", .plan = &plans[14],
     .trace = "self@500 b@1000 a@1000 exit:0@1000 result:0@1000"},
    {"group, its task goes on behind the error", .run = goes_on_after_error,
     .trace = "bad@200 on@700"},
    {"group, the child's error and not the cancellation", .plan = &plans[15],
     .trace = "bad@200 exit:EIO@200 error:bad:EIO@200 result:EIO@200"},
    {"group, the first error ends the others", .plan = &plans[16],
     .trace = "a@300 bad@500 b-cancelled@500 exit:EIO@500 error:bad:EIO@500 result:EIO@500"},
    {"group, many short-lived children", .run = many_short_lived, .trace = ""},
};

int main(void)
{
    return conformance_run("conformance-scope", rows, ELEMENTS(rows));
}
