/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What both ways to drive a loop (owned.c, guest.c) use: batches of tasks, timers, and the poll
 * set.
 *
 * Callbacks of users run with no current task: slots and posted functions on the thread's stack,
 * error handlers on the stack of the task that failed.
 */

#include "state.h"

/* Runs ready tasks and callbacks for one batch. */
void loop_run_batch(struct ait_loop *loop);
/* Fires what is due. */
void loop_fire_timers(struct ait_loop *loop);
/*
 * Waits for events until the clock shows until (UINT64_MAX: no limit; 0: does not wait) and handles
 * them. Returns their number.
 */
int loop_poll(struct ait_loop *loop, uint64_t until);
/* Until when the loop is idle: 0 if there is something to do, UINT64_MAX if only fds can end it. */
uint64_t loop_idle_until(struct ait_loop *loop);
/* Runs until no task is left, on the loop's own poll set alone. */
void loop_drain(struct ait_loop *loop);

/*
 * fd, which the loop has just made, or a copy of it that is none of 0 to 2. A program that was
 * started with those closed may open files as its standard input and output, over ours.
 */
int fd_above_stdio(int fd);

int loop_watch(struct ait_loop *loop, enum watch_id id, int fd,
               void (*ready)(struct ait_loop *loop, uint32_t events));
void loop_unwatch(struct ait_loop *loop, enum watch_id id);
