/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_SCOPE_H
#define AIT_SCOPE_H

/*
 * Scopes: a block of a task's code that owns other tasks, a deadline, a shield, and a level of
 * cancellation.
 *
 *     AIT_SCOPE(s);
 *     int r = ait_scope_enter(&s, AIT_SCOPE_FAIL_FAST);
 *     if (r < 0)
 *             return r;
 *     ait_scope_spawn(s, NULL, fetch, a, NULL);
 *     ait_scope_spawn(s, NULL, fetch, b, NULL);
 *     return ait_scope_exit(s, 0);
 *
 * A scope belongs to the task that entered it. That task leaves its scopes innermost first; leaving
 * an outer scope leaves those inside it, and exiting it exits them, as after an error of their
 * bodies. ait_scope_exit() waits until no task is left in the scope. It is no suspension point
 * where there is none: unlike in trio, a cancelled task that leaves an empty scope is told by its
 * next call. What the scope records (expired, caught, errors) can be read until AIT_SCOPE's cleanup
 * or ait_scope_leave() frees it. Leaving without exit counts as an error of the body: the children
 * are cancelled and waited for.
 */

#include <aiotools-sd/base.h>
#include <aiotools-sd/task.h>

AIT_BEGIN_DECLS

enum {
    AIT_SCOPE_SHIELD = 1 << 0,     /* cancellation from outside does not reach the scope */
    AIT_SCOPE_SUPERVISOR = 1 << 1, /* a child's failure affects nobody else and is not reported */
    AIT_SCOPE_FAIL_FAST =
        1 << 2, /* the first child that fails cancels all; its error is the scope's */
    AIT_SCOPE_MOVE_ON = 1 << 3,   /* the scope's own deadline is not an error */
    AIT_SCOPE_PROPAGATE = 1 << 4, /* if the scope itself was cancelled, exit returns -ECANCELED */
};

#define AIT_SCOPE(name) AIT_CLEANUP(ait_scope_leavep) ait_scope *name = NULL

/* Enters a scope inside the current one. -EINVAL: SUPERVISOR and FAIL_FAST exclude each other. */
int ait_scope_enter(ait_scope **ret, unsigned flags) AIT_MUST_CHECK;
/* The same with a deadline usec from now. */
int ait_scope_enter_after(ait_scope **ret, unsigned flags, uint64_t usec) AIT_MUST_CHECK;

/*
 * Ends the block; r is the body's result. If r is an error, cancels the children. Waits for all
 * children in any case. Returns r if the body failed with an error other than -ECANCELED; else the
 * first error of a child, with FAIL_FAST; else r if nothing was cut short. Otherwise it returns
 * what cut the scope short: -ECANCELED for cancellation from outside, -ETIME or 0 (MOVE_ON) for the
 * scope's own deadline, and 0 for a cancel of the scope itself.
 */
int ait_scope_exit(ait_scope *scope, int r);

/*
 * Frees the scope. Exits it first if that has not happened. Returns NULL. Aborts with a message if
 * the scope belongs to another task.
 */
ait_scope *ait_scope_leave(ait_scope *scope);
AIT_DEFINE_CLEANUP_(ait_scope, ait_scope_leave)

/* The innermost scope of the running task, borrowed; NULL outside tasks. */
ait_scope *ait_scope_current(void);

/*
 * Spawns a task into the scope; see ait_task_spawn(). -ESHUTDOWN: the scope is cancelled, or its
 * children were aborted, and the caller is not cancelled.
 */
int ait_scope_spawn(ait_scope *scope, ait_task **ret_task, ait_task_fn fn, void *userdata,
                    const ait_task_options *options) AIT_MUST_CHECK;

/*
 * Spawns a task and waits until it calls ait_task_started() or ends. Returns the value that the
 * task started with. If the task ends without having started, returns its error, or -EPROTO if it
 * returned none (-ECANCELED counts as none). That error is the caller's alone: the scope does not
 * count it, report it, or end by it. -ESHUTDOWN: the scope was cancelled meanwhile. If the caller
 * is cancelled, the child is cancelled and waited for. ret_task is set at once, so that others can
 * cancel the child, and set back if the call fails.
 */
int ait_scope_start(ait_scope *scope, ait_task **ret_task, ait_task_fn fn, void *userdata,
                    const ait_task_options *options) AIT_MUST_CHECK;

/* Cancels the scope: its body and its children. Does not wait. Any task of the loop may call it. */
int ait_scope_cancel(ait_scope *scope);
/*
 * Cancels the scope and waits until its task has exited it. -EDEADLK: called from inside the scope.
 */
int ait_scope_cancel_and_wait(ait_scope *scope);
/*
 * Cancels the children, but not the body, even if the scope is a shield. Does not wait. From then
 * on spawning into the scope fails with -ESHUTDOWN.
 */
int ait_scope_abort(ait_scope *scope);

/*
 * usec is an absolute time on the loop's clock; AIT_USEC_INFINITY: no deadline. The deadline can be
 * moved until it has expired (-EALREADY).
 */
int ait_scope_set_deadline(ait_scope *scope, uint64_t usec);
/* The same, relative to now. */
int ait_scope_set_timeout(ait_scope *scope, uint64_t usec);
uint64_t ait_scope_deadline(const ait_scope *scope);

/*
 * A grace period: cancels the scope usec from now, as ait_scope_cancel() does. It is not a timeout:
 * exit returns 0, and ait_scope_cancelled_caught() returns 1. AIT_USEC_INFINITY revokes it. It
 * passes the scope's own shield, so that cleanup inside a shield ends in time. -ESTALE: the scope
 * has been exited.
 */
int ait_scope_cancel_after(ait_scope *scope, uint64_t usec);

/* 1: the scope's own deadline passed while it was entered. */
int ait_scope_is_expired(const ait_scope *scope);
/* 1: the scope's exit absorbed a cancellation of this very scope (by cancel, close or deadline). */
int ait_scope_cancelled_caught(const ait_scope *scope);
/* 1: the scope's body is cancelled now, from here or from outside. */
int ait_scope_is_cancelled(const ait_scope *scope);

/*
 * The name is shown in errors and dumps, and is copied. ait_scope_name() never returns NULL:
 * "scope" if no name was given. The result is borrowed until the name changes or the scope is left.
 */
int ait_scope_set_name(ait_scope *scope, const char *name);
const char *ait_scope_name(const ait_scope *scope);

typedef struct ait_error_info {
    size_t size;      /* sizeof(ait_error_info) as the library knows it */
    int error;        /* negative errno */
    const char *name; /* of the task that failed */
} ait_error_info;

/* The number of children that have failed. */
size_t ait_scope_n_errors(const ait_scope *scope);
/*
 * Errors of children, in the order in which they ended. The first 64 are kept. Borrowed until the
 * scope is left. NULL if index is past the last.
 */
const ait_error_info *ait_scope_error(const ait_scope *scope, size_t index);

/*
 * Called once for each child that fails in a scope without SUPERVISOR and FAIL_FAST. It is called
 * from the scheduler. The default (cb NULL) prints a line to stderr. The handler is looked for when
 * a child fails, from its scope outwards; so scopes inside this one inherit it, whenever they were
 * entered.
 */
typedef void (*ait_error_cb)(ait_scope *scope, const ait_error_info *info, void *userdata);
int ait_scope_set_error_handler(ait_scope *scope, ait_error_cb cb, void *userdata);

AIT_END_DECLS

#endif
