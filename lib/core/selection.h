/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A task that waits in several lists at once, and is to be served in one of them only.
 *
 * Each of its waiters bears, in place of the task, the address of what they have in common, marked
 * by its lowest bit. Whoever serves a waiter thus learns at no cost to others that it is one of
 * several, and takes the others out of their lists before anything else can be served.
 */

#include "state.h"

/* What is handed over with a place in a queue; others have no use for it. */
struct queue_waiter {
    struct waiter waiter;
    void *item;
    int result;
};

struct selection {
    struct ait_task *task;
    struct waiter *served; /* NULL: none yet */
    struct queue_waiter *waiters;
    size_t n;
};

static inline struct ait_task *selection_mark(struct selection *s)
{
    return (struct ait_task *)((uintptr_t)s | 1);
}

static always_inline bool waiter_is_marked(const struct waiter *w)
{
    return unlikely((uintptr_t)w->task & 1);
}

static inline struct selection *waiter_selection(const struct waiter *w)
{
    return (struct selection *)((uintptr_t)w->task & ~(uintptr_t)1);
}

/* Of any waiter; NULL: it is a slot's. */
static always_inline struct ait_task *waiter_task(const struct waiter *w)
{
    return waiter_is_marked(w) ? waiter_selection(w)->task : w->task;
}

/* w has left its list; its siblings leave theirs. */
cold void selection_serve(struct waiter *w);
