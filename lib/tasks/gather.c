/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <stdlib.h>

#include "gather-call.h"
#include "scheduler.h"
#include "scope.h"
#include "options.h"

#define FEW 8 /* calls at a time that lie in the frame of the caller */

struct group {
    struct ait_scope *scope;
    const ait_call *calls;
    size_t n, next;
    ait_gather_options options;
    int *results;
    const void *site;
    bool race;
    bool decided; /* nothing that ends from here on changes the outcome */
    size_t n_ok, n_cut;
    int outcome; /* the first error; once decided, of a race, the winner's result */
    size_t winner;
};

/* Runs one call after the other: as many of these as may run at a time. */
struct lane {
    struct call call; /* first */
    struct group *group;
};

static void group_decide(struct group *g)
{
    g->decided = true;
    scope_cancel(g->scope);
}

static void group_count(struct group *g, const struct call *call)
{
    if (call->result == -ECANCELED) {
        g->n_cut++;
        return;
    }
    if (call->result >= 0)
        g->n_ok++;
    if (call->result < 0 ? g->outcome == 0 : g->race) {
        g->outcome = call->result;
        g->winner = call->index;
    }
    if (call->result < 0 ? !(g->options.flags & AIT_GATHER_CONTINUE) : g->race)
        group_decide(g);
}

static void group_ended(struct group *g, struct call *call)
{
    if (g->decided && g->race && call->result >= 0 && g->options.discard) {
        call_discard(g->scope->loop, &g->options, call);
        call->result = -ECANCELED;
    }
    if (g->results)
        g->results[call->index] = call->result;
    if (!g->decided)
        group_count(g, call);
}

static void lane_next(struct lane *lane);

static void lane_ended(struct call *call)
{
    struct lane *lane = container_of(call, struct lane, call);

    group_ended(lane->group, call);
    lane_next(lane);
}

/* Begins the next call that can be begun; those that cannot have failed. */
static void lane_next(struct lane *lane)
{
    struct group *g = lane->group;
    int r;

    while (g->next < g->n) {
        size_t i = g->next++;

        call_init(&lane->call, g->calls + i, i, lane_ended);
        r = g->decided ? -ECANCELED : call_begin(&lane->call, g->scope, g->site);
        if (r >= 0)
            return;
        call_destroy(g->calls + i);
        lane->call.result = r;
        group_ended(g, &lane->call);
    }
}

static int group_run_lanes(struct group *g, struct lane *lanes, size_t n)
{
    struct ait_scope *scope = NULL;
    int r;

    r = ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR);
    if (r < 0)
        return r;
    scope->flags |= SCOPE_QUIET;
    g->scope = scope;
    for (size_t i = 0; i < n; i++) {
        lanes[i].group = g;
        lane_next(lanes + i);
    }
    (void)ait_scope_exit(scope, 0);
    (void)ait_scope_leave(scope);
    return 0;
}

/* Nothing has begun, and nothing will. */
static int group_refuse(struct group *g, int error)
{
    for (size_t i = 0; i < g->n; i++)
        call_destroy(g->calls + i);
    return error;
}

static int group_run(struct group *g)
{
    size_t n = g->options.limit > 0 && g->options.limit < g->n ? g->options.limit : g->n;
    struct lane few[FEW], *lanes = few;
    int r;

    if (n > FEW) {
        lanes = calloc(n, sizeof(*lanes));
        if (!lanes)
            return group_refuse(g, -ENOMEM);
    }
    r = group_run_lanes(g, lanes, n);
    if (lanes != few)
        free(lanes);
    return r < 0 ? group_refuse(g, r) : 0;
}

/*
 * The common part of gather and race: runs g. 1: the caller is cancelled, and not all calls have
 * ended by themselves.
 */
static int group_call(struct group *g, const ait_call *calls, size_t n,
                      const ait_gather_options *options, int *results)
{
    struct ait_loop *loop;
    struct ait_task *t;
    int r;

    r = options_copy(&g->options, sizeof(g->options), options);
    if (r >= 0 && g->options.flags & ~(unsigned)AIT_GATHER_CONTINUE)
        r = -EINVAL;
    if (r >= 0)
        r = call_check_all(calls, n);
    if (r < 0)
        return r;
    g->calls = calls;
    g->n = n;
    g->results = results;
    r = op_enter(&loop, &t);
    if (r < 0 && r != -ECANCELED)
        return r;
    for (size_t i = 0; results && i < n; i++)
        results[i] = -ECANCELED;
    r = r < 0 ? group_refuse(g, r) : group_run(g);
    if (r < 0)
        return r;
    return !g->decided && g->n_cut > 0 && t->scope->effective;
}

AIT_PUBLIC int ait_gather(const ait_call *calls, size_t n, const ait_gather_options *options,
                          int *results)
{
    struct group g = {.site = __builtin_return_address(0)};
    size_t n_failed;
    int r;

    r = group_call(&g, calls, n, options, results);
    if (r != 0)
        return r > 0 ? -ECANCELED : r;
    if (g.decided)
        return g.outcome;
    n_failed = n - g.n_ok;
    if (n_failed > 0 && !(g.options.flags & AIT_GATHER_CONTINUE))
        return -EPROTO; /* a call has given up */
    return n_failed < INT_MAX ? (int)n_failed : INT_MAX;
}

AIT_PUBLIC int ait_race(const ait_call *calls, size_t n, const ait_gather_options *options,
                        size_t *ret_winner, int *results)
{
    struct group g = {.site = __builtin_return_address(0), .race = true};
    int r;

    if (n == 0)
        return -EINVAL;
    r = group_call(&g, calls, n, options, results);
    if (r != 0)
        return r > 0 ? -ECANCELED : r;
    if (!g.decided && g.outcome == 0)
        return -EPROTO;
    if (ret_winner)
        *ret_winner = g.winner;
    return g.outcome;
}
