/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_LOOP_H
#define AIT_LOOP_H

/*
 * The loop runs tasks over an unmodified sd_event. A thread has at most one.
 *
 * An owned loop is made by ait_run(), or by ait_loop_new() and run by ait_loop_run(). It sleeps in
 * an epoll of its own. Its sd_event is made when it is first asked for, and is dispatched from that
 * epoll. A guest loop is made by ait_loop_attach(): it runs tasks in a program that calls
 * sd_event_loop() itself.
 *
 * A loop belongs to the thread and the process that made it. Only ait_loop_post() may be called
 * from other threads. In a process that was forked inside a task, calls on the loop return -ECHILD,
 * and no other task runs. When the task's function returns there, the process ends as if main() had
 * returned: it calls exit() with the result, or with EXIT_FAILURE for a negative one. SIGTERM and
 * SIGINT stay blocked in that process where ait_run() had blocked them.
 */

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

struct sd_event;

/* Flags of ait_run() */
enum {
    AIT_RUN_KEEP_SIGNALS = 1 << 0, /* leave SIGTERM, SIGINT and SIGPIPE unchanged */
};

/*
 * Makes a loop and runs fn(userdata) as its first task. When fn returns, cancels and waits for the
 * tasks that are left in the root scope, and returns fn's result. The first SIGTERM or SIGINT
 * cancels the root scope; the second ends the process by that signal. SIGPIPE is ignored. -EBUSY:
 * this thread already has a loop. Programs that are started meanwhile by other means than
 * ait_spawn(), such as system(3) or popen(3), inherit the blocked SIGTERM and SIGINT.
 */
int ait_run(ait_task_fn fn, void *userdata, unsigned flags);

/* Makes a loop for this thread. -EBUSY: the thread already has one. */
int ait_loop_new(ait_loop **ret) AIT_MUST_CHECK;

/*
 * Makes a loop for tasks inside event, which its owner runs with sd_event_loop(). Takes a reference
 * to event.
 */
int ait_loop_attach(ait_loop **ret, struct sd_event *event) AIT_MUST_CHECK;

ait_loop *ait_loop_ref(ait_loop *loop);
/* Returns NULL. Aborts with a message if this is the last reference and a task is still live. */
ait_loop *ait_loop_unref(ait_loop *loop);
AIT_DEFINE_CLEANUP_(ait_loop, ait_loop_unref)

/* This thread's loop, borrowed; NULL if there is none. */
ait_loop *ait_loop_current(void);

/* The loop's sd_event, borrowed. An owned loop makes it at the first call. */
int ait_loop_get_event(ait_loop *loop, struct sd_event **ret);

/*
 * Runs an owned loop until no task is left. After sd_event_exit() it cancels the root scope, waits
 * for all tasks, and returns the exit code.
 */
int ait_loop_run(ait_loop *loop);

/*
 * The loop's root scope, borrowed. All other scopes lie inside it. Tasks that are spawned outside a
 * task go there.
 */
ait_scope *ait_loop_root(ait_loop *loop);

/*
 * The time on the loop's clock, in microseconds. loop may be NULL: this thread's loop. Returns 0 if
 * there is no loop.
 */
uint64_t ait_now(const ait_loop *loop);

typedef void (*ait_post_fn)(void *userdata);

/*
 * Runs fn(userdata) on the loop's thread, from the scheduler. This is the only call that other
 * threads may make. It is wait-free except for its memory allocation. Calls from one thread run in
 * order. Calls that are still queued when the loop ends do not run.
 */
int ait_loop_post(ait_loop *loop, ait_post_fn fn, void *userdata);

/* The number of tasks that have not ended. */
size_t ait_loop_n_tasks(const ait_loop *loop);

AIT_END_DECLS

#endif
