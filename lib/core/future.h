/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Futures and who waits for them.
 *
 * A waiter lies in the frame of the task that waits; a slot is the waiter of a callback, allocated
 * when it is registered. Resolving empties the list: tasks are made ready, slots move to the loop's
 * queue and run from the scheduler. A future that is the head of a task has kind FUTURE_TASK and
 * shares the task's memory and reference count.
 */

#include "state.h"

static inline void future_init(struct ait_future *f, struct ait_loop *loop, uint8_t kind)
{
    list_init(&f->waiters);
    f->loop = loop;
    f->refs = 1;
    f->result = 0;
    f->kind = kind;
    f->done = false;
}

void future_wake(struct ait_future *f);
void future_free(struct ait_future *f);
/* Defined in task.c: frees a task whose future has no references left. */
void task_free(struct ait_task *t);

/* Sets the result and wakes the waiters. */
static inline void future_complete(struct ait_future *f, int result)
{
    f->result = result;
    f->done = true;
    if (!list_empty(&f->waiters))
        future_wake(f);
}

static inline void future_unref(struct ait_future *f)
{
    if (--f->refs == 0)
        future_free(f);
}

/* Empties the loop's queue; the slots in it will not run. */
void slots_drop(struct list *queued);
/* Runs a slot that has left the future's list. */
void slot_run(struct ait_slot *slot);
