/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_OWNED_H
#define CORE_OWNED_H

/*
 * Driving a loop that is ours: run tasks, fire timers, sleep in our own epoll. Handles the two signals that ait_run() promises to.
 */

#include <signal.h>

struct ait_loop;
struct ait_task;

/* Until no task is left, or until_done (may be NULL) has ended, or sd_event_exit(). */
int owned_run(struct ait_loop *loop, const struct ait_task *until_done);

/* The program takes these signals itself: ait_run() no longer does. */
void owned_leave_signals(struct ait_loop *loop, const sigset_t *set);
/* It does so no more: those of them that are ait_run()'s are again. */
void owned_return_signals(struct ait_loop *loop, const sigset_t *set);

#endif
