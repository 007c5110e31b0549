/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_SCOPE_H
#define AIT_SCOPE_H

/*
 * Scopes: a block of a task that owns other tasks, a deadline, a shield, a level of cancellation.
 *
 *     AIT_SCOPE(s);
 *     int r = ait_scope_enter(&s, AIT_SCOPE_FAIL_FAST);
 *     if (r < 0)
 *             return r;
 *     ait_scope_spawn(s, NULL, fetch, a, NULL);
 *     ait_scope_spawn(s, NULL, fetch, b, NULL);
 *     return ait_scope_exit(s, 0);
 *
 * A scope belongs to the task that entered it and is left by that task, innermost first; to leave an outer one leaves those inside it. ait_scope_exit() waits until no task is
 * left in it. What the scope knows (expired, caught, errors) can be read until AIT_SCOPE's cleanup, or ait_scope_leave(), frees it;
 * leaving without exit counts as an error of the body: children are cancelled and waited for.
 */

#include <aiotools-sd/base.h>
#include <aiotools-sd/task.h>

AIT_BEGIN_DECLS

enum {
    AIT_SCOPE_SHIELD = 1 << 0,     /* cancellation from outside does not come in */
    AIT_SCOPE_SUPERVISOR = 1 << 1, /* a child that fails concerns nobody else; no error handler */
    AIT_SCOPE_FAIL_FAST = 1 << 2,  /* the first child that fails cancels all; its error is the scope's */
    AIT_SCOPE_MOVE_ON = 1 << 3,    /* the scope's own deadline is no error */
    AIT_SCOPE_PROPAGATE = 1 << 4,  /* where the scope itself was cancelled, exit returns -ECANCELED */
};

#define AIT_SCOPE(name) AIT_CLEANUP(ait_scope_leavep) ait_scope *name = NULL

/* Enters a scope inside the current one. -EINVAL: SUPERVISOR and FAIL_FAST contradict each other. */
int ait_scope_enter(ait_scope **ret, unsigned flags) AIT_MUST_CHECK;
/* The same with a deadline usec from now. */
int ait_scope_enter_after(ait_scope **ret, unsigned flags, uint64_t usec) AIT_MUST_CHECK;

/*
 * Leaves the block: r is the body's result. Where r is an error the children are cancelled; waits for all of them in any case. Returns
 * r where the body failed by itself, not with -ECANCELED; else the first error of a child with FAIL_FAST; else r where nothing was cut short; else
 * what cut it short: -ECANCELED from outside, -ETIME or 0 (MOVE_ON) for the own deadline, 0 for an own cancel.
 */
int ait_scope_exit(ait_scope *scope, int r);

/* Frees the scope (exits it first, where that has not happened). Returns NULL. Aborts, with a message, where it is another task's. */
ait_scope *ait_scope_leave(ait_scope *scope);
AIT_DEFINE_CLEANUP_(ait_scope, ait_scope_leave)

/* The innermost scope of the running task, borrowed; NULL outside tasks. */
ait_scope *ait_scope_current(void);

/* Spawns into the scope; see ait_task_spawn(). */
int ait_scope_spawn(ait_scope *scope, ait_task **ret_task, ait_task_fn fn, void *userdata,
                    const ait_task_options *options) AIT_MUST_CHECK;

/*
 * Spawns, and waits until the child calls ait_task_started() or ends. Returns the value that it started with. A child that ends
 * without having started: its error, or -EPROTO where it reported none (-ECANCELED is none). Caller cancelled: the child is cancelled and waited for.
 */
int ait_scope_start(ait_scope *scope, ait_task **ret_task, ait_task_fn fn, void *userdata,
                    const ait_task_options *options) AIT_MUST_CHECK;

/* Cancels the scope: its body and its children. Does not wait. Any task of the loop may call it. */
int ait_scope_cancel(ait_scope *scope);
/* Cancels, and waits until the scope's task has exited it. -EDEADLK from inside the scope. */
int ait_scope_cancel_and_wait(ait_scope *scope);
/* Cancels the children, not the body; the scope's own shield does not stop it. Does not wait. */
int ait_scope_abort(ait_scope *scope);

/* An absolute time on the loop's clock, AIT_USEC_INFINITY for none. May be moved as long as it has not expired (-EALREADY). */
int ait_scope_set_deadline(ait_scope *scope, uint64_t usec);
/* The same, from now. */
int ait_scope_set_timeout(ait_scope *scope, uint64_t usec);
uint64_t ait_scope_deadline(const ait_scope *scope);

/*
 * A grace period: cancels the scope usec from now, as ait_scope_cancel() does, and not as a timeout: exit returns 0 and
 * ait_scope_cancelled_caught() tells. AIT_USEC_INFINITY: not any more. Goes through the scope's own shield, so that cleanup inside one ends in time. -ESTALE: it
 * has been exited.
 */
int ait_scope_cancel_after(ait_scope *scope, uint64_t usec);

/* 1: the scope's own deadline has passed while it was entered. */
int ait_scope_is_expired(const ait_scope *scope);
/* 1: cancellation of this very scope (cancel, close, deadline) was absorbed by its exit. */
int ait_scope_cancelled_caught(const ait_scope *scope);
/* 1: the scope's body is cancelled now, from here or from outside. */
int ait_scope_is_cancelled(const ait_scope *scope);

/* For errors and dumps; copied. Never NULL: "scope" where none was given; borrowed until it changes or the scope is left. */
int ait_scope_set_name(ait_scope *scope, const char *name);
const char *ait_scope_name(const ait_scope *scope);

typedef struct ait_error_info {
    size_t size;      /* sizeof(ait_error_info) as the library knows it */
    int error;        /* negative errno */
    const char *name; /* of the task */
} ait_error_info;

/* How many children have failed. */
size_t ait_scope_n_errors(const ait_scope *scope);
/* Their errors in the order of their ends, the first 64 of them; borrowed until the scope is left. NULL past the last. */
const ait_error_info *ait_scope_error(const ait_scope *scope, size_t index);

/* Called once for each child that fails, from the scheduler, in a scope without SUPERVISOR and FAIL_FAST. The default (cb NULL)
 * writes a line to stderr. A handler is inherited by scopes entered later inside this one. */
typedef void (*ait_error_cb)(ait_scope *scope, const ait_error_info *info, void *userdata);
int ait_scope_set_error_handler(ait_scope *scope, ait_error_cb cb, void *userdata);

AIT_END_DECLS

#endif
