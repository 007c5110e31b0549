/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scenario.h"

struct child {
    struct run *run;
    unsigned index;
    ait_task *task;
    int sees, at;
};

struct actor {
    struct run *run;
    const struct act *act;
    ait_task *task;
    int ret, until;
};

struct run {
    const struct scenario *s;
    ait_scope *outer, *scope;
    ait_task *target, *caller;
    struct child child[2];
    struct actor actor[4];
    unsigned destroyed, spawned;

    int body, again, body_at, exit, exit_at, next, outer_exit, after, count;
    int wait, result, wait_at;
    int errors, first_error;
    bool caught, expired, outer_expired, outer_caught;
};

static void count_destroy(void *userdata)
{
    struct run *run = userdata;

    run->destroyed++;
}

/* ---- children -------------------------------------------------------------------------------- */

static int child_sleep(struct child *c)
{
    AIT_SCOPE(shield);
    int r;

    if (!c->run->s->child[c->index].shield)
        return ait_sleep(MS(c->run->s->child[c->index].ms));
    CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
    r = ait_sleep(MS(c->run->s->child[c->index].ms));
    return ait_scope_exit(shield, r);
}

static int child_main(void *userdata)
{
    struct child *c = userdata;
    int ret = c->run->s->child[c->index].ret;

    c->sees = child_sleep(c);
    c->at = now_ms();
    return ret < 0 || c->sees >= 0 ? ret : c->sees;
}

static void spawn_children(struct run *run)
{
    for (unsigned i = 0; i < 2; i++) {
        struct child *c = run->child + i;

        *c = (struct child){.run = run, .index = i, .sees = NEVER, .at = NEVER};
        if (run->s->child[i].used)
            CHECK_EQ(ait_scope_spawn(run->scope, &c->task, child_main, c,
                                     AIT_TASK_OPTIONS(.name = "child")),
                     0);
    }
}

/* ---- the target ------------------------------------------------------------------------------ */

static int never_runs(void *userdata)
{
    struct run *run = userdata;

    run->spawned++;
    return 0;
}

static int body(struct run *run)
{
    const struct scenario *s = run->s;

    run->body = s->body.ms ? ait_sleep(MS(s->body.ms)) : 0;
    run->body_at = now_ms();
    if (s->body.uncancels)
        CHECK_EQ(ait_task_uncancel(ait_task_current()), 0);
    run->again = s->body.ms ? ait_yield() : 0;
    if (run->again < 0 && !s->body.swallow && s->body.ret >= 0)
        return run->again;
    return s->body.ret;
}

static void read_scope(struct run *run, ait_scope *scope)
{
    const ait_error_info *error;

    run->caught = ait_scope_cancelled_caught(scope);
    run->expired = ait_scope_is_expired(scope);
    run->errors = (int)ait_scope_n_errors(scope);
    for (size_t i = 0; (error = ait_scope_error(scope, i)); i++) {
        if (i == 0)
            run->first_error = error->error;
        CHECK(error->size == sizeof(*error) && strcmp(error->name, "child") == 0);
        CHECK((int)i < run->errors);
    }
}

/* The scope under test: all of its life. */
static int block(struct run *run)
{
    const struct scenario *s = run->s;
    AIT_SCOPE(scope);
    int r;

    if (s->after)
        CHECK_EQ(ait_scope_enter_after(&scope, s->flags, MS(s->after)), 0);
    else
        CHECK_EQ(ait_scope_enter(&scope, s->flags), 0);
    run->scope = scope;
    spawn_children(run);
    r = body(run);
    if (s->body.no_exit) {
        ait_scope_leavep(&scope);
        CHECK(scope == NULL);
        run->scope = NULL;
        run->exit_at = now_ms();
        return r;
    }
    run->exit = ait_scope_exit(scope, r);
    run->exit_at = now_ms();
    run->scope = NULL;
    CHECK_EQ(
        ait_scope_spawn(scope, NULL, never_runs, run, AIT_TASK_OPTIONS(.destroy = count_destroy)),
        -ESTALE);
    read_scope(run, scope);
    return run->exit;
}

static int outer_block(struct run *run)
{
    const struct scenario *s = run->s;
    AIT_SCOPE(outer);
    int r;

    if (s->outer_after)
        CHECK_EQ(ait_scope_enter_after(&outer, s->outer_flags, MS(s->outer_after)), 0);
    else
        CHECK_EQ(ait_scope_enter(&outer, s->outer_flags), 0);
    run->outer = outer;
    r = block(run);
    run->next = ait_yield();
    run->outer_exit = ait_scope_exit(outer, r);
    run->outer_expired = ait_scope_is_expired(outer);
    run->outer_caught = ait_scope_cancelled_caught(outer);
    run->outer = NULL;
    return run->outer_exit;
}

static int target_main(void *userdata)
{
    struct run *run = userdata;
    int r;

    if (run->s->outer) {
        r = outer_block(run);
    } else {
        r = block(run);
        run->next = ait_yield();
    }
    run->after = ait_yield();
    run->count = ait_task_cancelling(run->target);
    return r;
}

/* ---- actors and the caller ------------------------------------------------------------------- */

static int act_cancel_task(struct run *run)
{
    return ait_task_cancel(run->target);
}

static int act_uncancel_task(struct run *run)
{
    return ait_task_uncancel(run->target);
}

static int act_cancel_scope(struct run *run)
{
    return ait_scope_cancel(run->scope);
}

static int act_close_scope(struct run *run)
{
    return ait_scope_cancel_and_wait(run->scope);
}

static int act_abort_scope(struct run *run)
{
    return ait_scope_abort(run->scope);
}

static int act_cancel_outer(struct run *run)
{
    return ait_scope_cancel(run->outer);
}

static int act_spawn(struct run *run)
{
    return ait_scope_spawn(run->scope, NULL, never_runs, run,
                           AIT_TASK_OPTIONS(.destroy = count_destroy));
}

static int act_cancel_child(struct run *run)
{
    return ait_task_cancel(run->child[0].task);
}

static int cancel_and_wait(struct run *run, unsigned flags)
{
    int result = NEVER, r;

    r = ait_cancel_and_wait_full(run->target, flags, &result);
    CHECK_EQ(result, r < 0 ? NEVER : run->s->want.result);
    return r;
}

static int act_cancel_and_wait(struct run *run)
{
    return cancel_and_wait(run, 0);
}

static int act_cancel_and_wait_strict(struct run *run)
{
    return cancel_and_wait(run, AIT_CANCEL_STRICT);
}

static int act_cancelled_cancel_and_wait(struct run *run)
{
    CHECK_EQ(ait_task_cancel(ait_task_current()), 1);
    return cancel_and_wait(run, 0);
}

static int act_cancel_caller(struct run *run)
{
    return ait_task_cancel(run->caller);
}

static int act_cancel_actor(struct run *run)
{
    return ait_task_cancel(run->actor[0].task);
}

static int (*const act_table[ACT_KINDS])(struct run *run) = {
    [CANCEL_TASK] = act_cancel_task,
    [UNCANCEL_TASK] = act_uncancel_task,
    [CANCEL_SCOPE] = act_cancel_scope,
    [CLOSE_SCOPE] = act_close_scope,
    [ABORT_SCOPE] = act_abort_scope,
    [CANCEL_OUTER] = act_cancel_outer,
    [SPAWN_INTO_SCOPE] = act_spawn,
    [CANCEL_CHILD] = act_cancel_child,
    [CANCEL_AND_WAIT] = act_cancel_and_wait,
    [CANCEL_AND_WAIT_STRICT] = act_cancel_and_wait_strict,
    [CANCELLED_CANCEL_AND_WAIT] = act_cancelled_cancel_and_wait,
    [CANCEL_CALLER] = act_cancel_caller,
    [CANCEL_ACTOR] = act_cancel_actor,
};

static int actor_main(void *userdata)
{
    struct actor *a = userdata;

    if (!CHECK_EQ(ait_sleep(MS(a->act->at)), 0))
        return 0;
    a->ret = act_table[a->act->kind](a->run);
    a->until = now_ms();
    return 0;
}

static int caller_main(void *userdata)
{
    struct run *run = userdata;

    run->wait = ait_await(ait_task_future(run->target), &run->result);
    run->wait_at = now_ms();
    return 0;
}

static int director(void *userdata)
{
    struct run *run = userdata;
    AIT_SCOPE(all);

    CHECK_EQ(ait_scope_enter(&all, AIT_SCOPE_SUPERVISOR), 0);
    CHECK_EQ(ait_scope_spawn(all, &run->target, target_main, run,
                             AIT_TASK_OPTIONS(.name = "target", .destroy = count_destroy)),
             0);
    if (run->s->before_start)
        CHECK_EQ(ait_task_cancel(run->target), 1);
    CHECK_EQ(ait_scope_spawn(all, &run->caller, caller_main, run, NULL), 0);
    for (unsigned i = 0; i < 4; i++) {
        struct actor *a = run->actor + i;

        *a = (struct actor){.run = run, .act = run->s->act + i, .ret = NEVER, .until = NEVER};
        if (a->act->kind != ACT_NONE)
            CHECK_EQ(ait_scope_spawn(all, &a->task, actor_main, a, NULL), 0);
    }
    CHECK_EQ(ait_scope_exit(all, 0), 0);
    CHECK_EQ(run->destroyed, 1);
    CHECK_EQ(run->spawned, 0);
    for (unsigned i = 0; i < 4; i++)
        ait_task_unref(run->actor[i].task);
    for (unsigned i = 0; i < 2; i++)
        ait_task_unref(run->child[i].task);
    ait_task_unref(run->caller);
    ait_task_unref(run->target);
    return 0;
}

/* ---- comparing ------------------------------------------------------------------------------- */

#define WANT(field) CHECK_EQ(run->field, run->s->want.field)

static void compare_target(const struct run *run)
{
    WANT(body);
    WANT(again);
    WANT(body_at);
    WANT(exit);
    WANT(exit_at);
    WANT(next);
    WANT(outer_exit);
    WANT(outer_expired);
    WANT(outer_caught);
    WANT(after);
    WANT(count);
    WANT(caught);
    WANT(expired);
    WANT(errors);
    WANT(first_error);
}

static void compare_others(const struct run *run)
{
    const struct scenario *s = run->s;

    for (unsigned i = 0; i < 2; i++) {
        if (!s->child[i].used)
            continue;
        CHECK_EQ(run->child[i].sees, s->want.child[i]);
        CHECK_EQ(run->child[i].at, s->want.child_at[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        const struct act *act = s->act + i;

        if (act->kind == ACT_NONE)
            continue;
        CHECK_EQ(run->actor[i].ret, act->ret);
        CHECK_EQ(run->actor[i].until, act->until ? act->until : act->at);
    }
    WANT(wait);
    WANT(wait_at);
    WANT(result);
    CHECK_EQ(check_handled, s->want.handled);
}

void scenario_run(void **state)
{
    struct run run = {.s = *state,
                      .body = NEVER,
                      .body_at = NEVER,
                      .exit = NEVER,
                      .exit_at = NEVER,
                      .result = NEVER};

    assert_int_equal(run_virtual(director, &run), 0);
    compare_target(&run);
    compare_others(&run);
    check_assert();
}

int scenarios_run(const char *group, const struct scenario *rows, size_t n)
{
    struct CMUnitTest *tests = calloc(n, sizeof(*tests));
    int r;

    if (!tests)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = scenario_run, .initial_state = (void *)(rows + i)};
    r = _cmocka_run_group_tests(group, tests, n, NULL, NULL);
    free(tests);
    return r;
}
