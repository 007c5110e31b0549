/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Drives a loop that we own: runs tasks, fires timers, sleeps in our own epoll. Handles the two
 * signals that ait_run() documents.
 */

#include <signal.h>

struct ait_loop;
struct ait_task;

/* Runs until no task is left, until_done (may be NULL) has ended, or sd_event_exit() was called. */
int owned_run(struct ait_loop *loop, const struct ait_task *until_done);

/* The program handles these signals itself: ait_run() no longer does. */
void owned_leave_signals(struct ait_loop *loop, const sigset_t *set);
/* The program no longer handles them: those of ait_run() are handled by it again. */
void owned_return_signals(struct ait_loop *loop, const sigset_t *set);
