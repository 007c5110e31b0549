/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_DEFER_H
#define AIT_DEFER_H

/*
 * What is to be done at the end: of a block (AIT_DEFER), or of something whose parts are counted only at run time (ait_exitstack).
 *
 *     AIT_EXITSTACK(stack);
 *     r = ait_exitstack_open(&stack);
 *     ...
 *     r = ait_exitstack_enter(stack, &connection, &conn);
 *     r = ait_defer_push(stack, flush, log);
 *     ...
 *     return ait_exitstack_exit(stack, r);
 *
 * The entries of a stack run last first, all of them, whatever the others return, and under a shield: they may suspend although their caller is
 * cancelled. A stack belongs to nobody but who holds it: it may be left by another task than filled it.
 */

#include <aiotools-sd/base.h>
#include <aiotools-sd/scope.h>

AIT_BEGIN_DECLS

/* ---- blocks -------------------------------------------------------------------------------------- */

typedef void (*ait_defer_fn)(void *arg);

/* Frozen. */
typedef struct ait_deferred {
    ait_defer_fn fn;
    void *arg;
} ait_deferred;

/* What AIT_DEFER() is made of: calls it, where there is something to call. */
static inline void ait_deferred_run(ait_deferred *deferred)
{
    if (deferred->fn)
        deferred->fn(deferred->arg);
}

/* Calls fn(arg) at the end of the block; several run last first. A declaration. */
#define AIT_DEFER(fn, arg)                                                                                   \
    AIT_CLEANUP(ait_deferred_run) AIT_UNUSED ait_deferred AIT_UNIQUE(ait_deferred_) = {(fn), (arg)}

/*
 * From here to the end of the block, cancellation from outside does not come in, for usec at most: for destructors that have something to
 * say to a peer. Outside tasks, and where there is no memory, it does nothing.
 */
#define AIT_SHIELD_CLEANUP(usec)                                                                             \
    AIT_CLEANUP(ait_scope_leavep) AIT_UNUSED ait_scope *AIT_UNIQUE(ait_shield_) = ait_shield_enter(usec)

/* That shield: NULL where there is none. */
ait_scope *ait_shield_enter(uint64_t usec);

/* ---- contexts ------------------------------------------------------------------------------------ */

/*
 * Two functions around a body; both may suspend, either may be NULL. enter returns an error or makes ret_value. exit gets the body's result r and returns 0
 * for "passed on", an error of its own (which counts where r was none), or AIT_CTX_HANDLED for "r was an error and is dealt with".
 */
typedef int (*ait_ctx_enter_fn)(void *userdata, void **ret_value);
typedef int (*ait_ctx_exit_fn)(void *userdata, int r);
typedef int (*ait_ctx_body_fn)(void *value, void *userdata);

/* Frozen. */
typedef struct ait_ctx {
    ait_ctx_enter_fn enter;
    ait_ctx_exit_fn exit;
    void *userdata;
} ait_ctx;

enum { AIT_CTX_HANDLED = 1 };

/* Runs body(value, userdata) between enter and exit, the latter under a shield. Returns the error of enter, else what body and exit make of it. */
int ait_ctx_run(const ait_ctx *ctx, ait_ctx_body_fn body, void *userdata);

/* ---- exit stacks --------------------------------------------------------------------------------- */

typedef struct ait_exitstack ait_exitstack;

#define AIT_EXITSTACK(name) AIT_CLEANUP(ait_exitstack_closep) ait_exitstack *name = NULL

int ait_exitstack_open(ait_exitstack **ret) AIT_MUST_CHECK;
/* How long all the entries together may take before they are cancelled; AIT_USEC_INFINITY, as by default: for ever. */
int ait_exitstack_set_grace(ait_exitstack *stack, uint64_t usec);

/* Each of these adds an entry, or fails (-ENOMEM) and leaves userdata to the caller. An entry may add more while the stack is left. */

/* fn(userdata), whose error counts where there was none. */
int ait_defer_push(ait_exitstack *stack, ait_task_fn fn, void *userdata) AIT_MUST_CHECK;
/* A plain destructor. */
int ait_exitstack_push_destroy(ait_exitstack *stack, ait_destroy_fn destroy, void *userdata) AIT_MUST_CHECK;
/* As the exit of a context. */
int ait_exitstack_push(ait_exitstack *stack, ait_ctx_exit_fn exit, void *userdata) AIT_MUST_CHECK;
/* Enters the context, and pushes its exit. ret_value may be NULL; the context is copied. The error of enter: nothing was pushed. */
int ait_exitstack_enter(ait_exitstack *stack, const ait_ctx *ctx, void **ret_value) AIT_MUST_CHECK;

/* Moves all entries to a new stack: what was needed in case of an error is kept in case of success. */
int ait_exitstack_pop_all(ait_exitstack *stack, ait_exitstack **ret) AIT_MUST_CHECK;

/* Runs the entries. Returns r, or the first error where r is none (or was dealt with); the stack is empty then, and may be used again. */
int ait_exitstack_exit(ait_exitstack *stack, int r);
/* Frees it; entries that are left run first, and are told -ECANCELED. Returns NULL. */
ait_exitstack *ait_exitstack_close(ait_exitstack *stack);
AIT_DEFINE_CLEANUP_(ait_exitstack, ait_exitstack_close)

AIT_END_DECLS

#endif
