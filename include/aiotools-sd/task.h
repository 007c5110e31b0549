/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_TASK_H
#define AIT_TASK_H

/*
 * Tasks: straight-line code on a stack of its own, suspended inside ait_* calls and nowhere else.
 *
 * A task is spawned into a scope (scope.h) and never outlives it. It is also a future: ait_task_future(). A reference is needed
 * only to look at it or to wait for it; the loop keeps a task until it has ended. A finished task that is still
 * referenced keeps its result and pins its slot of the stack slab; the reference must not outlive the loop.
 *
 * errno does not survive a suspension. Locks of pthread must not be held across one.
 */

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

enum {
    AIT_TASK_SHIELD = 1 << 0, /* cancellation of the scope does not reach the task; abort does */
};

typedef struct ait_task_options {
    size_t size;       /* sizeof(ait_task_options) */
    unsigned flags;    /* AIT_TASK_SHIELD */
    const char *name;  /* copied; shown in errors and dumps */
    size_t stack_size; /* bytes of virtual stack, rounded up to a slab class; 0: 256 KiB. See below */
    ait_destroy_fn
        destroy; /* called with userdata when the task has ended, or was cancelled before it began */
} ait_task_options;

/*
 * Below each stack lie four guard pages; to run into them ends the process, with a message that names the task. A frame of more than 16 KiB may step
 * over them, unless it was compiled with -fstack-clash-protection.
 */
#define AIT_TASK_OPTIONS(...) AIT_OPTIONS_(ait_task_options, __VA_ARGS__)

/*
 * Spawns a task into the current scope; outside a task, into the root of this thread's loop. It starts when the caller next
 * suspends. ret_task may be NULL, else it receives a reference. options may be NULL.
 * -ECANCELED: the scope is cancelled, -ESTALE: it has been left; userdata then stays the caller's.
 */
int ait_task_spawn(ait_task **ret_task, ait_task_fn fn, void *userdata,
                   const ait_task_options *options) AIT_MUST_CHECK;

/* The running task, borrowed; NULL outside tasks. */
ait_task *ait_task_current(void);

/*
 * For ait_loop_foreach_task() and ait_taskset_foreach(). A value other than 0 ends the walk. It may cancel the task; no task may be spawned
 * in it, and none can suspend.
 */
typedef int (*ait_task_cb)(ait_task *task, void *userdata);

ait_task *ait_task_ref(ait_task *task);
ait_task *ait_task_unref(ait_task *task);
AIT_DEFINE_CLEANUP_(ait_task, ait_task_unref)

/* The task as a future, borrowed. */
ait_future *ait_task_future(ait_task *task);

/* Never NULL: "task" where none was given. Valid until the name changes or the task goes. */
const char *ait_task_name(const ait_task *task);
int ait_task_set_name(ait_task *task, const char *name);

/* 1: the task has ended, 0: not yet. */
int ait_task_is_done(const ait_task *task);
/* -EBUSY: not yet. */
int ait_task_result(const ait_task *task, int *ret_result);

/* Waits for a task. Returns 0 with the task's outcome in ret_result, or -ECANCELED where the *caller* is cancelled. */
int ait_task_wait(ait_task *task, int *ret_result);

/*
 * Cancellation is a level: from here on each suspension point of the task, outside shields, returns -ECANCELED, until the count is
 * brought back to 0 by ait_task_uncancel(). Cancelling an ended task does nothing and returns 0; else 1.
 */
int ait_task_cancel(ait_task *task);
/* Both return the count of cancel requests that stand. */
int ait_task_uncancel(ait_task *task);
int ait_task_cancelling(const ait_task *task);

enum {
    AIT_CANCEL_STRICT =
        1 << 0, /* -EPROTO where the task was live, and went on to succeed (its result >= 0) */
};

/*
 * Cancels the task and waits until it has ended, even where the caller is cancelled meanwhile (then returns -ECANCELED). Returns 0
 * where the task ended with an error or -ECANCELED, 1 where it has a result >= 0. -EDEADLK: it is the caller or one
 * of the tasks that the caller lives in.
 */
int ait_cancel_and_wait(ait_task *task, int *ret_result);
int ait_cancel_and_wait_full(ait_task *task, unsigned flags, int *ret_result);
/* Cancels all of them, then waits until all have ended. NULL entries are passed over. 0, or -ECANCELED where the caller is cancelled;
 * -EDEADLK as above, and then none is cancelled. */
int ait_cancel_and_wait_many(ait_task *const *tasks, size_t n);

/* In a task spawned with ait_scope_start(): tells that it is ready; value is what ait_scope_start() returns (>= 0). */
int ait_task_started(int value);

/* Lets every other ready task run once. */
int ait_yield(void);
int ait_sleep(uint64_t usec);
int ait_sleep_until(uint64_t usec);
/* -ECANCELED where the task is cancelled, else 0; never suspends. */
int ait_check_cancel(void);

/*
 * Calls fn(userdata) on the thread's own stack and returns its result: for code that needs more stack than a task should keep (a parked
 * task holds on to every page that it ever touched). fn cannot suspend: in it, there is no current task. Outside tasks a plain call.
 */
typedef int (*ait_plain_fn)(void *userdata);
int ait_call_on_thread_stack(ait_plain_fn fn, void *userdata);

AIT_END_DECLS

#endif
