/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include <aiotools-sd/ctxgroup.h>
#include <aiotools-sd/task.h>

#include "defer.h"
#include "macros.h"

struct member {
    ait_ctx ctx;
    struct ait_ctxgroup *group;
    void *value;
    int enter_result, exit_result;
    bool entered;
};

struct ait_ctxgroup {
    struct member *members;
    size_t n, capacity;
    unsigned flags;
    bool entered;
    bool exiting, closed; /* closed: by one of its own contexts */
    uint64_t grace;
    ait_scope *scope; /* of the enters, while they run */
    int result;       /* of the first enter that failed; of the body and the exits so far */
};

/* ---- life ------------------------------------------------------------------------------------ */

AIT_PUBLIC int ait_ctxgroup_open(ait_ctxgroup **ret, unsigned flags)
{
    struct ait_ctxgroup *g;

    if (!ret || (flags & ~(unsigned)AIT_CTXGROUP_PARTIAL))
        return -EINVAL;
    g = calloc(1, sizeof(*g));
    if (!g)
        return -ENOMEM;
    g->flags = flags;
    g->grace = AIT_USEC_INFINITY;
    *ret = g;
    return 0;
}

AIT_PUBLIC int ait_ctxgroup_set_grace(ait_ctxgroup *group, uint64_t usec)
{
    if (!group)
        return -EINVAL;
    group->grace = usec;
    return 0;
}

AIT_PUBLIC int ait_ctxgroup_add(ait_ctxgroup *group, const ait_ctx *ctx)
{
    if (!group || !ctx || group->n >= INT32_MAX)
        return -EINVAL;
    if (group->entered || group->scope)
        return -EBUSY;
    if (group->n == group->capacity) {
        size_t capacity = group->capacity ? group->capacity * 2 : 8;
        struct member *members = realloc(group->members, capacity * sizeof(*members));

        if (!members)
            return -ENOMEM;
        group->members = members;
        group->capacity = capacity;
    }
    group->members[group->n] = (struct member){
        .ctx = *ctx, .group = group, .enter_result = -ECANCELED, .exit_result = -ECANCELED};
    return (int)group->n++;
}

static void ctxgroup_free(struct ait_ctxgroup *g)
{
    free(g->members);
    free(g);
}

AIT_PUBLIC ait_ctxgroup *ait_ctxgroup_close(ait_ctxgroup *group)
{
    if (!group)
        return NULL;
    if (group->exiting) {
        group->closed = true; /* the exits go on, and free it */
        return NULL;
    }
    if (group->entered)
        (void)ait_ctxgroup_exit(group, -ECANCELED);
    ctxgroup_free(group);
    return NULL;
}

/* ---- entering -------------------------------------------------------------------------------- */

static void enter_failed(struct ait_ctxgroup *g, int error)
{
    if (g->flags & AIT_CTXGROUP_PARTIAL)
        return;
    if (g->result == 0)
        g->result = error;
    (void)ait_scope_cancel(g->scope);
}

static int enter_main(void *userdata)
{
    struct member *m = userdata;

    m->enter_result = ctx_enter(&m->ctx, &m->value);
    /* What gives up without being cancelled has failed. */
    if (m->enter_result == -ECANCELED && ait_check_cancel() >= 0)
        m->enter_result = -EPROTO;
    m->entered = m->enter_result >= 0;
    if (!m->entered)
        enter_failed(m->group, m->enter_result);
    /* Lets the scope see that it was cut short. */
    return m->enter_result == -ECANCELED ? -ECANCELED : 0;
}

static int enter_all(struct ait_ctxgroup *g)
{
    AIT_SCOPE(scope);
    int r;

    r = ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR);
    if (r < 0)
        return r;
    g->scope = scope;
    for (size_t i = 0; i < g->n; i++) {
        struct member *m = g->members + i;

        r = ait_scope_spawn(scope, NULL, enter_main, m, NULL);
        if (r == 0)
            continue;
        m->enter_result = r;
        enter_failed(g, r);
    }
    r = ait_scope_exit(scope, 0);
    g->scope = NULL;
    /* The error that cut the others short. */
    return g->result < 0 ? g->result : r;
}

static int n_entered(const struct ait_ctxgroup *g)
{
    int n = 0;

    for (size_t i = 0; i < g->n; i++)
        n += g->members[i].entered;
    return n;
}

static void reset(struct ait_ctxgroup *g)
{
    g->result = 0;
    for (size_t i = 0; i < g->n; i++) {
        struct member *m = g->members + i;

        m->value = NULL;
        m->entered = false;
        m->enter_result = m->exit_result = -ECANCELED;
    }
}

static int exit_all(struct ait_ctxgroup *g, int r);

AIT_PUBLIC int ait_ctxgroup_enter(ait_ctxgroup *group)
{
    int r;

    if (!group)
        return -EINVAL;
    if (group->entered || group->scope)
        return -EBUSY;
    r = ait_check_cancel();
    if (r < 0)
        return r;
    reset(group);
    r = enter_all(group);
    if (r < 0) {
        (void)exit_all(group, r);
        return r;
    }
    group->entered = true;
    return n_entered(group);
}

/* ---- exiting --------------------------------------------------------------------------------- */

static int exit_main(void *userdata)
{
    struct member *m = userdata;
    struct ait_ctxgroup *g = m->group;

    m->entered = false;
    m->value = NULL;
    m->exit_result = ctx_exit(&m->ctx, g->result);
    g->result = ctx_combine(g->result, m->exit_result);
    return 0;
}

static void exit_side_by_side(struct ait_ctxgroup *g)
{
    AIT_SCOPE(scope);
    int r;

    r = ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR);
    for (size_t i = 0; r >= 0 && i < g->n; i++)
        if (g->members[i].entered)
            r = ait_scope_spawn(scope, NULL, exit_main, g->members + i, NULL);
    (void)ait_scope_exit(scope, 0);
}

static int exit_all(struct ait_ctxgroup *g, int r)
{
    AIT_SHIELD_CLEANUP(g->grace);

    g->result = r;
    g->exiting = true;
    exit_side_by_side(g);
    /*
     * No exit is skipped: neither if memory is short, nor if its task was cancelled before it
     * began.
     */
    for (size_t i = 0; i < g->n; i++)
        if (g->members[i].entered)
            (void)exit_main(g->members + i);
    g->exiting = false;
    r = g->result;
    if (g->closed)
        ctxgroup_free(g);
    return r;
}

AIT_PUBLIC int ait_ctxgroup_exit(ait_ctxgroup *group, int r)
{
    if (!group || !group->entered)
        return r < 0 ? r : -EINVAL;
    group->entered = false;
    return exit_all(group, r);
}

/* ---- looking --------------------------------------------------------------------------------- */

AIT_PUBLIC size_t ait_ctxgroup_size(const ait_ctxgroup *group)
{
    return group ? group->n : 0;
}

AIT_PUBLIC int ait_ctxgroup_enter_result(const ait_ctxgroup *group, size_t index)
{
    return group && index < group->n ? group->members[index].enter_result : -EINVAL;
}

AIT_PUBLIC int ait_ctxgroup_exit_result(const ait_ctxgroup *group, size_t index)
{
    return group && index < group->n ? group->members[index].exit_result : -EINVAL;
}

AIT_PUBLIC void *ait_ctxgroup_value(const ait_ctxgroup *group, size_t index)
{
    return group && index < group->n && group->members[index].entered ? group->members[index].value
                                                                      : NULL;
}
