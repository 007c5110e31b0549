/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_TASK_H
#define CORE_TASK_H

/*
 * A task: future, context, root scope, laid out by the cache lines that a wake-up, a switch and a spawn touch. It lies at the top of its stack's
 * highest page (stack.h). The loop holds one reference until it has ended; what the last reference gives back is the stack slot.
 */

#include <aiotools-sd/task.h>

#include "context.h"
#include "future.h"
#include "scope.h"
#include "timer.h"

enum task_state {
    TASK_READY,   /* in the ready ring */
    TASK_RUNNING, /* the loop's current one, or about to be */
    TASK_PARKED,  /* in a wait that cancellation ends */
    TASK_WAITING, /* in a structural wait, which it does not */
    TASK_ENDED,
};

/* What a suspended task waits for, told to those who look from outside (a dump, a debugger). Lies in the frame of the wait. */
struct wait {
    const char *kind;
    union {
        const void *object;
        uint64_t value; /* a time, or an fd */
    };
};

struct ait_task {
    struct ait_future future;
    uint8_t state;
    uint8_t class;           /* of its stack */
    uint32_t index;          /* in the parent's children */
    struct ait_scope *scope; /* innermost */
    struct context context;

    union {
        ait_task_fn fn;          /* until it begins */
        const struct wait *wait; /* while it is PARKED or WAITING; NULL where the wait says nothing */
    };
    void *userdata;
    struct timer timer; /* of sleeps */
    uint32_t n_busy;    /* -ECANCELED returned in a row without a suspension */

    struct ait_scope root;
    ait_destroy_fn destroy;
    char *name;
    const void *site;                 /* where it was spawned */
    struct start *start;              /* of ait_scope_start(), until the task has started */
    ait_task_fn entry;                /* fn, to be read at any time */
    struct ait_local_binding *locals; /* local.h */
};

static inline struct ait_task *future_task(struct ait_future *f)
{
    return container_of(f, struct ait_task, future);
}

/* Spawns into scope, which belongs to the calling thread's loop. */
int task_spawn(struct ait_scope *scope, struct ait_task **ret_task, ait_task_fn fn, void *userdata,
               const ait_task_options *options, const void *site);
/* Gives the slot back; called with the last reference. */
void task_free(struct ait_task *t);

/* There is room: scope_reserve_child(). */
static always_inline void scope_add_child(struct ait_scope *s, struct ait_task *t)
{
    t->index = s->n_children;
    s->children[s->n_children++] = t;
    s->n_live++;
}

/* A child has ended with result. */
static always_inline void scope_child_done(struct ait_scope *s, struct ait_task *t, int result)
{
    s->children[t->index] = NULL;
    if (t->index + 1 == s->n_children)
        s->n_children--;
    if (--s->n_live == 0)
        s->n_children = 0;
    if (unlikely(result < 0))
        scope_child_failed(s, t, result);
    if (unlikely(s->n_live == 0 && s->state == SCOPE_EXITING))
        scope_drained(s);
}

#endif
