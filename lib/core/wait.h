/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Waiting in a list for something to be handed over.
 *
 * A waiter is served by removing it from the list and waking its task. So its membership in the
 * list alone says whether it was served, whatever else has woken the task meanwhile. A task that
 * was served, and cancelled before it could run, has been served.
 *
 * The object that is waited for must not be freed while a task waits: the caller holds a reference
 * to it.
 */

#include "scheduler.h"
#include "selection.h"

/*
 * Suspends the calling task, w->task, until w has been served. Returns false if the task was
 * cancelled; w is then not in the list.
 */
static always_inline bool wait_in(struct ait_loop *loop, struct list *list, struct waiter *w,
                                  const struct wait *what)
{
    list_append(list, &w->link);
    do
        task_suspend_in(loop, w->task, TASK_PARKED, what);
    while (!list_empty(&w->link) && !w->task->scope->effective);
    if (likely(list_empty(&w->link)))
        return true;
    list_remove(&w->link);
    return false;
}

/* Serves the first of a list that is not empty. */
static always_inline struct waiter *wait_serve(struct list *list)
{
    struct waiter *w = container_of(list->next, struct waiter, link);

    list_remove(&w->link);
    if (waiter_is_marked(w))
        selection_serve(w);
    else
        task_wake(w->task);
    return w;
}

static inline void wait_serve_all(struct list *list)
{
    while (!list_empty(list))
        (void)wait_serve(list);
}
