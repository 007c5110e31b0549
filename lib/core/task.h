/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A task: future, context, root scope, laid out by the cache lines that a wake-up, a switch and a
 * spawn touch. It lies at the top of its stack's highest page (stack.h). The loop holds one
 * reference until it has ended; what the last reference gives back is the stack slot.
 */

#include "future.h"
#include "scope.h"

/* Spawns into scope, which belongs to the calling thread's loop. */
int task_spawn(struct ait_scope *scope, struct ait_task **ret_task, ait_task_fn fn, void *userdata,
               const ait_task_options *options, const void *site);

/*
 * The loop ends, and all of its tasks have ended. Returns how many are still referenced; when the
 * last of them is freed, loop_drop_orphan() frees their memory, and that of the loop.
 */
size_t tasks_orphan(struct ait_loop *loop);
/* Defined in loop.c. */
void loop_drop_orphan(struct ait_loop *loop);

/* The caller has reserved room: scope_reserve_child(). */
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
