/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_LOOP_H
#define AIT_LOOP_H

/*
 * The loop: one a thread, running tasks over an unmodified sd_event.
 *
 * Owned: ait_run(), or ait_loop_new() and ait_loop_run(). The library sleeps in its own epoll, the sd_event is a guest in it and is
 * made when first asked for. Guest: ait_loop_attach() puts tasks into a program that runs sd_event_loop() itself.
 *
 * A loop belongs to the thread and the process that made it. Only ait_loop_post() may be called from elsewhere. In a process that was forked in
 * a task, calls on it return -ECHILD, no other task runs, and when the function of the task returns the process ends as from main(): exit() with the
 * result, EXIT_FAILURE for a negative one. SIGTERM and SIGINT are blocked there, where ait_run() had blocked them.
 */

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

struct sd_event;

/* Flags of ait_run() */
enum {
    AIT_RUN_KEEP_SIGNALS = 1 << 0, /* leave SIGTERM, SIGINT and SIGPIPE as they are */
};

/*
 * Makes a loop, runs fn(userdata) as its first task, cancels what that has left behind in the root scope, waits for it, and returns fn's result. The first SIGTERM or SIGINT cancels
 * the loop's root scope, the second ends the process by that signal; SIGPIPE is ignored. -EBUSY: this thread has a loop.
 * Programs that other functions than ait_spawn() start meanwhile (system(3), popen(3)) inherit that SIGTERM and SIGINT are blocked.
 */
int ait_run(ait_task_fn fn, void *userdata, unsigned flags);

/* A new loop for this thread. -EBUSY: this thread has one. */
int ait_loop_new(ait_loop **ret) AIT_MUST_CHECK;

/* A loop for tasks inside event, which its owner runs with sd_event_loop(). Takes a reference to event. */
int ait_loop_attach(ait_loop **ret, struct sd_event *event) AIT_MUST_CHECK;

ait_loop *ait_loop_ref(ait_loop *loop);
/* Returns NULL. The last reference may go only when no task is live; else aborts, with a message. */
ait_loop *ait_loop_unref(ait_loop *loop);
AIT_DEFINE_CLEANUP_(ait_loop, ait_loop_unref)

/* This thread's loop, borrowed; NULL where there is none. */
ait_loop *ait_loop_current(void);

/* The sd_event under the loop, borrowed; an owned loop makes it at the first call. */
int ait_loop_get_event(ait_loop *loop, struct sd_event **ret);

/* Runs an owned loop until no task is left, or until sd_event_exit(): then root is cancelled, drained, and the exit code returned. */
int ait_loop_run(ait_loop *loop);

/* The scope that is the root of all others of the loop; borrowed. Tasks spawned outside a task go there. */
ait_scope *ait_loop_root(ait_loop *loop);

/* The time on the loop's clock, in microseconds. loop NULL: this thread's. 0 where there is no loop. */
uint64_t ait_now(const ait_loop *loop);

typedef void (*ait_post_fn)(void *userdata);

/* Runs fn(userdata) on the loop's thread, from the scheduler. The only call that other threads may make; wait-free but for the
 * allocation. Order is kept for each posting thread. What is still queued when the loop ends is not run. */
int ait_loop_post(ait_loop *loop, ait_post_fn fn, void *userdata);

/* The number of tasks that have not ended. */
size_t ait_loop_n_tasks(const ait_loop *loop);

AIT_END_DECLS

#endif
