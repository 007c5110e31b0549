/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include <aiotools-sd/defer.h>

#include "defer.h"
#include "macros.h"

#define N_INLINE 8

enum entry_kind { ENTRY_DEFERRED, ENTRY_DESTROY, ENTRY_EXIT };

struct entry {
    enum entry_kind kind;
    union {
        ait_task_fn deferred;
        ait_destroy_fn destroy;
        ait_ctx_exit_fn exit;
    };
    void *userdata;
};

struct ait_exitstack {
    struct entry *entries;
    size_t n, capacity;
    uint64_t grace;
    bool exiting, closed; /* closed: by one of its own entries */
    struct entry first[N_INLINE];
};

AIT_PUBLIC ait_scope *ait_shield_enter(uint64_t usec)
{
    ait_scope *scope = NULL;

    return ait_scope_enter_after(&scope, AIT_SCOPE_SHIELD | AIT_SCOPE_MOVE_ON, usec) < 0 ? NULL
                                                                                         : scope;
}

AIT_PUBLIC int ait_ctx_run(const ait_ctx *ctx, ait_ctx_body_fn body, void *userdata)
{
    void *value = NULL;
    int r;

    if (!ctx || !body)
        return -EINVAL;
    r = ctx_enter(ctx, &value);
    if (r < 0)
        return r;
    r = body(value, userdata);
    AIT_SHIELD_CLEANUP(AIT_USEC_INFINITY);
    return ctx_combine(r, ctx_exit(ctx, r));
}

/* ---- life ------------------------------------------------------------------------------------ */

AIT_PUBLIC int ait_exitstack_open(ait_exitstack **ret)
{
    struct ait_exitstack *s;

    if (!ret)
        return -EINVAL;
    s = malloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->entries = s->first;
    s->n = 0;
    s->capacity = N_INLINE;
    s->grace = AIT_USEC_INFINITY;
    s->exiting = s->closed = false;
    *ret = s;
    return 0;
}

AIT_PUBLIC int ait_exitstack_set_grace(ait_exitstack *stack, uint64_t usec)
{
    if (!stack)
        return -EINVAL;
    stack->grace = usec;
    return 0;
}

static void exitstack_free(struct ait_exitstack *s)
{
    if (s->entries != s->first)
        free(s->entries);
    free(s);
}

AIT_PUBLIC ait_exitstack *ait_exitstack_close(ait_exitstack *stack)
{
    if (!stack)
        return NULL;
    if (stack->exiting) {
        stack->closed = true; /* the exit goes on, and frees it */
        return NULL;
    }
    (void)ait_exitstack_exit(stack, -ECANCELED);
    exitstack_free(stack);
    return NULL;
}

/* ---- entries --------------------------------------------------------------------------------- */

static int reserve(struct ait_exitstack *s)
{
    struct entry *entries;

    if (s->n < s->capacity)
        return 0;
    entries =
        realloc(s->entries == s->first ? NULL : s->entries, s->capacity * 2 * sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    if (s->entries == s->first)
        for (size_t i = 0; i < s->n; i++)
            entries[i] = s->first[i];
    s->entries = entries;
    s->capacity *= 2;
    return 0;
}

static int push(struct ait_exitstack *s, struct entry entry)
{
    int r;

    r = reserve(s);
    if (r >= 0)
        s->entries[s->n++] = entry;
    return r;
}

AIT_PUBLIC int ait_defer_push(ait_exitstack *stack, ait_task_fn fn, void *userdata)
{
    if (!stack || !fn)
        return -EINVAL;
    return push(stack,
                (struct entry){.kind = ENTRY_DEFERRED, .deferred = fn, .userdata = userdata});
}

AIT_PUBLIC int ait_exitstack_push_destroy(ait_exitstack *stack, ait_destroy_fn destroy,
                                          void *userdata)
{
    if (!stack || !destroy)
        return -EINVAL;
    return push(stack,
                (struct entry){.kind = ENTRY_DESTROY, .destroy = destroy, .userdata = userdata});
}

AIT_PUBLIC int ait_exitstack_push(ait_exitstack *stack, ait_ctx_exit_fn exit, void *userdata)
{
    if (!stack || !exit)
        return -EINVAL;
    return push(stack, (struct entry){.kind = ENTRY_EXIT, .exit = exit, .userdata = userdata});
}

AIT_PUBLIC int ait_exitstack_enter(ait_exitstack *stack, const ait_ctx *ctx, void **ret_value)
{
    void *value = NULL;
    int r;

    if (!stack || !ctx)
        return -EINVAL;
    r = reserve(stack);
    if (r < 0)
        return r;
    r = ctx_enter(ctx, &value);
    if (r < 0)
        return r;
    if (ctx->exit) {
        r = ait_exitstack_push(stack, ctx->exit, ctx->userdata);
        if (r < 0) { /* enter has pushed, too */
            AIT_SHIELD_CLEANUP(stack->grace);
            (void)ctx_exit(ctx, r);
            return r;
        }
    }
    if (ret_value)
        *ret_value = value;
    return 0;
}

AIT_PUBLIC int ait_exitstack_pop_all(ait_exitstack *stack, ait_exitstack **ret)
{
    struct ait_exitstack *s;
    int r;

    if (!stack || !ret)
        return -EINVAL;
    r = ait_exitstack_open(&s);
    if (r < 0)
        return r;
    if (stack->entries == stack->first) {
        for (size_t i = 0; i < stack->n; i++)
            s->first[i] = stack->first[i];
    } else {
        s->entries = stack->entries;
        s->capacity = stack->capacity;
        stack->entries = stack->first;
        stack->capacity = N_INLINE;
    }
    s->n = stack->n;
    s->grace = stack->grace;
    stack->n = 0;
    *ret = s;
    return 0;
}

/* ---- leaving --------------------------------------------------------------------------------- */

static int run(const struct entry *e, int r)
{
    switch (e->kind) {
    case ENTRY_DEFERRED: {
        int k = e->deferred(e->userdata);

        return ctx_combine(r, k < 0 ? k : 0);
    }
    case ENTRY_EXIT:
        return ctx_combine(r, e->exit(e->userdata, r));
    default:
        e->destroy(e->userdata);
        return r;
    }
}

AIT_PUBLIC int ait_exitstack_exit(ait_exitstack *stack, int r)
{
    if (!stack)
        return r < 0 ? r : -EINVAL;
    if (stack->n == 0 || stack->exiting)
        return r;
    AIT_SHIELD_CLEANUP(stack->grace);
    stack->exiting = true;
    while (stack->n > 0) {
        struct entry e = stack->entries[--stack->n];

        r = run(&e, r);
    }
    stack->exiting = false;
    if (stack->closed)
        exitstack_free(stack);
    return r;
}
