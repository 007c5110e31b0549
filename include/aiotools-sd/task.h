/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_TASK_H
#define AIT_TASK_H

/*
 * Tasks: straight-line code on stacks of their own. A task is suspended only inside ait_* calls.
 *
 * A task is spawned into a scope (scope.h) and never outlives it. It is also a future:
 * ait_task_future(). The loop keeps a task until it has ended; a reference is needed only to
 * inspect the task or to wait for it. A finished task that is still referenced keeps its result and
 * its place in the slab of stacks. After the end of the loop a reference still gives the result; it
 * keeps the memory of the loop's stacks.
 *
 * Exceptions of C++ belong to the task: a handler or a destructor may suspend it. They must not
 * leave the task's function. errno does not survive a suspension. A task must not hold a pthread
 * lock across one.
 */

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

enum {
    AIT_TASK_SHIELD =
        1 << 0, /* cancelling the scope does not reach the task; ait_scope_abort() does */
};

typedef struct ait_task_options {
    size_t size;      /* sizeof(ait_task_options) */
    unsigned flags;   /* AIT_TASK_SHIELD */
    const char *name; /* copied; shown in errors and dumps */
    size_t
        stack_size; /* bytes of virtual memory, rounded up to a slab class; 0: 256 KiB. See below */
    ait_destroy_fn destroy; /* called with userdata when the task has ended, or was cancelled before
                               it began */
} ait_task_options;

/*
 * Four guard pages lie below each stack. Running into them ends the process with a message that
 * names the task. A frame of more than 16 KiB may skip them, unless its function was compiled with
 * -fstack-clash-protection.
 */
#define AIT_TASK_OPTIONS(...) AIT_OPTIONS_(ait_task_options, __VA_ARGS__)

/*
 * Spawns a task into the current scope; outside a task, into the root of this thread's loop. The
 * task starts when the caller next suspends. ret_task may be NULL; otherwise it receives a
 * reference. options may be NULL. -ECANCELED: the caller is cancelled. -ESHUTDOWN: the caller is
 * not, but the scope is, or its children were aborted. -ESTALE: the scope has been left. On failure
 * userdata stays the caller's.
 */
int ait_task_spawn(ait_task **ret_task, ait_task_fn fn, void *userdata,
                   const ait_task_options *options) AIT_MUST_CHECK;

/* The running task, borrowed; NULL outside tasks. */
ait_task *ait_task_current(void);

/*
 * Callback of ait_loop_foreach_task() and ait_taskset_foreach(). A value other than 0 ends the
 * iteration. It may cancel the task. It must not spawn tasks, and cannot suspend.
 */
typedef int (*ait_task_cb)(ait_task *task, void *userdata);

ait_task *ait_task_ref(ait_task *task);
ait_task *ait_task_unref(ait_task *task);
AIT_DEFINE_CLEANUP_(ait_task, ait_task_unref)

/* The task as a future, borrowed. */
ait_future *ait_task_future(ait_task *task);

/* Never NULL: "task" if no name was given. Valid until the name changes or the task is freed. */
const char *ait_task_name(const ait_task *task);
int ait_task_set_name(ait_task *task, const char *name);

/* 1: the task has ended, 0: it has not. */
int ait_task_is_done(const ait_task *task);
/* -EBUSY: the task has not ended. */
int ait_task_result(const ait_task *task, int *ret_result);

/*
 * Waits for a task. Returns 0 and the task's outcome in ret_result, or -ECANCELED if the *caller*
 * is cancelled.
 */
int ait_task_wait(ait_task *task, int *ret_result);

/*
 * Requests cancellation, which is a level: from now on each suspension point of the task outside
 * shields returns -ECANCELED, until ait_task_uncancel() has brought the count of requests back to
 * 0. Returns 1; or 0, without effect, if the task has ended.
 */
int ait_task_cancel(ait_task *task);
/* Both return the number of pending cancel requests. */
int ait_task_uncancel(ait_task *task);
int ait_task_cancelling(const ait_task *task);

enum {
    AIT_CANCEL_STRICT =
        1 << 0, /* -EPROTO if the task was live and still succeeded (its result is >= 0) */
};

/*
 * Cancels the task and waits until it has ended. Waits even if the caller is cancelled meanwhile,
 * and then returns -ECANCELED. Returns 0 if the task ended with an error or -ECANCELED, and 1 if
 * its result is >= 0. -EDEADLK: task is the caller or one of the caller's ancestors,
 * or its end waits for that of the caller; then it is not cancelled.
 */
int ait_cancel_and_wait(ait_task *task, int *ret_result);
int ait_cancel_and_wait_full(ait_task *task, unsigned flags, int *ret_result);
/*
 * Cancels all tasks, then waits until all have ended. NULL entries are skipped. Returns 0, or
 * -ECANCELED if the caller is cancelled. -EDEADLK as above; then no task is cancelled.
 */
int ait_cancel_and_wait_many(ait_task *const *tasks, size_t n);

/*
 * For tasks spawned by ait_scope_start(): reports that the task is ready. ait_scope_start() returns
 * value, which is >= 0.
 */
int ait_task_started(int value);

/* Lets every other ready task run once. */
int ait_yield(void);
int ait_sleep(uint64_t usec);
int ait_sleep_until(uint64_t usec);
/* -ECANCELED if the task is cancelled, else 0. Never suspends. */
int ait_check_cancel(void);

/*
 * Calls fn(userdata) on the thread's own stack and returns its result. It is for code that needs
 * more stack than a task should keep: a suspended task keeps every page that it has ever touched.
 * fn cannot suspend; there is no current task in it. Outside tasks this is a plain call.
 */
typedef int (*ait_plain_fn)(void *userdata);
int ait_call_on_thread_stack(ait_plain_fn fn, void *userdata);

AIT_END_DECLS

#endif
