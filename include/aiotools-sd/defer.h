/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_DEFER_H
#define AIT_DEFER_H

/*
 * Cleanup at the end of a block (AIT_DEFER), or of something whose parts are known only at run time
 * (ait_exitstack).
 *
 *     AIT_EXITSTACK(stack);
 *     r = ait_exitstack_open(&stack);
 *     ...
 *     r = ait_exitstack_enter(stack, &connection, &conn);
 *     r = ait_defer_push(stack, flush, log);
 *     ...
 *     return ait_exitstack_exit(stack, r);
 *
 * The entries of a stack run last first. All of them run, whatever the others return, under a
 * shield: they may suspend although their caller is cancelled. A stack is not tied to a task: one
 * task may fill it and another may exit it.
 */

#include <aiotools-sd/base.h>
#include <aiotools-sd/scope.h>

AIT_BEGIN_DECLS

/* ---- blocks ---------------------------------------------------------------------------------- */

typedef void (*ait_defer_fn)(void *arg);

/* Frozen. */
typedef struct ait_deferred {
    ait_defer_fn fn;
    void *arg;
} ait_deferred;

/* Used by AIT_DEFER(): calls the function, if there is one. */
static inline void ait_deferred_run(ait_deferred *deferred)
{
    if (deferred->fn)
        deferred->fn(deferred->arg);
}

/* Calls fn(arg) at the end of the block; several run last first. This macro is a declaration. */
#define AIT_DEFER(fn, arg)                                                                         \
    AIT_CLEANUP(ait_deferred_run) AIT_UNUSED ait_deferred AIT_UNIQUE(ait_deferred_) = {(fn), (arg)}

/*
 * Shields the rest of the block from cancellation from outside, for at most usec. It is for
 * destructors that need to send something to a peer. Outside tasks, and if memory is short, it does
 * nothing.
 */
#define AIT_SHIELD_CLEANUP(usec)                                                                   \
    AIT_CLEANUP(ait_scope_leavep)                                                                  \
    AIT_UNUSED ait_scope *AIT_UNIQUE(ait_shield_) = ait_shield_enter(usec)

/* Enters that shield; NULL if there is none. */
ait_scope *ait_shield_enter(uint64_t usec);

/* ---- contexts -------------------------------------------------------------------------------- */

/*
 * A pair of functions around a body. Both may suspend; either may be NULL. enter returns an error,
 * or sets ret_value. exit gets the body's result r. It returns 0 to leave r unchanged, an error of
 * its own (used if r was none), or AIT_CTX_HANDLED if r was an error and has been handled.
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

/*
 * Runs body(value, userdata) between enter and exit; exit runs under a shield. Returns the error of
 * enter, else the combined result of body and exit.
 */
int ait_ctx_run(const ait_ctx *ctx, ait_ctx_body_fn body, void *userdata);

/* ---- exit stacks ----------------------------------------------------------------------------- */

typedef struct ait_exitstack ait_exitstack;

#define AIT_EXITSTACK(name) AIT_CLEANUP(ait_exitstack_closep) ait_exitstack *name = NULL

int ait_exitstack_open(ait_exitstack **ret) AIT_MUST_CHECK;
/*
 * The time limit of all entries together, after which they are cancelled. The default is
 * AIT_USEC_INFINITY: no limit.
 */
int ait_exitstack_set_grace(ait_exitstack *stack, uint64_t usec);

/*
 * Each of the following calls adds an entry, or fails (-ENOMEM) and leaves userdata to the caller.
 * An entry that runs may add more.
 */

/* Adds fn(userdata). Its error is returned if there was none. */
int ait_defer_push(ait_exitstack *stack, ait_task_fn fn, void *userdata) AIT_MUST_CHECK;
/* Adds a plain destructor. */
int ait_exitstack_push_destroy(ait_exitstack *stack, ait_destroy_fn destroy,
                               void *userdata) AIT_MUST_CHECK;
/* Adds a function like the exit of a context. */
int ait_exitstack_push(ait_exitstack *stack, ait_ctx_exit_fn exit, void *userdata) AIT_MUST_CHECK;
/*
 * Enters the context and adds its exit. ret_value may be NULL. The context is copied. If enter
 * fails, its error is returned and nothing is added.
 */
int ait_exitstack_enter(ait_exitstack *stack, const ait_ctx *ctx, void **ret_value) AIT_MUST_CHECK;

/*
 * Moves all entries to a new stack. With it, cleanup for the case of an error can be kept on
 * success.
 */
int ait_exitstack_pop_all(ait_exitstack *stack, ait_exitstack **ret) AIT_MUST_CHECK;

/*
 * Runs the entries. Returns r, or their first error if r is not an error (or was handled). The
 * stack is empty afterwards and may be used again.
 */
int ait_exitstack_exit(ait_exitstack *stack, int r);
/* Frees the stack; entries that are left run first, with -ECANCELED as the result. Returns NULL. */
ait_exitstack *ait_exitstack_close(ait_exitstack *stack);
AIT_DEFINE_CLEANUP_(ait_exitstack, ait_exitstack_close)

AIT_END_DECLS

#endif
