/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The scope tree.
 *
 *     effective(S) = S.cancel_count > 0 || S.expired || (!S.shield && parent && effective(parent))
 *     effective(root scope of a task) = the same, || parent.aborted
 *
 * "effective" is cached in each scope and pushed down when something above it changes, so that a
 * suspension point reads one byte. Below a scope lie at most one inner scope (entered by the same
 * task), the root scopes of its children, and the scopes of task sets (taskset.h). Pushing down
 * uses a work list through the scopes themselves: no recursion, no allocation.
 *
 * Children are kept in a dense array with holes, each child knowing its index; a child that ends
 * touches no other task's page. The scope of a task's whole life, its root, is embedded in the
 * task; the others come from a pool of the loop.
 */

#include "state.h"

/* The extra of s, allocated where there is none; NULL: no memory. */
struct scope_extra *scope_extra(struct ait_scope *s);
/* Call it when s has been exited: nothing fires any more, and no set hangs on s. The name stays. */
void scope_extra_exited(struct scope_extra *x);
void scope_extra_free(struct ait_scope *s);

/* Initialises a task's root scope, which is zero otherwise. parent is NULL for the loop's root. */
static always_inline void scope_init_root(struct ait_scope *s, struct ait_loop *loop,
                                          struct ait_task *owner, struct ait_scope *parent)
{
    /*
     * By hand: for this size compilers choose "rep stos", which takes longer to start than all of
     * it takes.
     */
    typedef uint64_t words __attribute__((vector_size(16), may_alias, aligned(8)));
    words *p = (words *)s;

    _Static_assert(sizeof(*s) % sizeof(words) == 0, "a scope is a whole number of words");
#pragma GCC unroll 16
    for (size_t i = 0; i < sizeof(*s) / sizeof(words); i++)
        p[i] = (words){};
    s->loop = loop;
    s->owner = owner;
    s->parent = parent;
    s->is_root = true;
    s->deadline = AIT_USEC_INFINITY;
    list_init(&s->closers);
}

void scope_done_slow(struct ait_scope *s);

/* Releases what s owns, which for most scopes is nothing. */
static always_inline void scope_done(struct ait_scope *s)
{
    if (unlikely(s->timer_reserved |
                 (((uintptr_t)s->errors | (uintptr_t)s->extra | (uintptr_t)s->children) != 0)))
        scope_done_slow(s);
}

/* Recomputes "effective" from s downwards, and wakes the tasks that this affects. */
void scope_update(struct ait_scope *s);
void scope_cancel(struct ait_scope *s);

struct scope_work {
    struct ait_scope *first, **last;
};

/*
 * One step of scope_update(): brings s up to date, and adds it to the work list if scopes below it
 * must follow.
 */
void scope_refresh(struct scope_work *work, struct ait_scope *s);

/* s has ended: its deadline is removed, and tasks that wait for its end are woken. */
void scope_exited(struct ait_scope *s);
void scope_wake_closers(struct ait_scope *s);

int scope_reserve_child_slow(struct ait_scope *s);

/* Room for one more child. */
static always_inline int scope_reserve_child(struct ait_scope *s)
{
    return likely(s->n_children < s->capacity) ? 0 : scope_reserve_child_slow(s);
}

/* A child's result was negative. */
void scope_child_failed(struct ait_scope *s, struct ait_task *t, int result);
/* The last child has ended, and a task waits for that. */
void scope_drained(struct ait_scope *s);

/* Waits until no child is left, whether the caller is cancelled or not. */
void scope_drain(struct ait_scope *s);
void scope_exit_root_slow(struct ait_scope *s, int r);

/* The body of a task's root has returned r. */
static always_inline void scope_exit_root(struct ait_scope *s, int r)
{
    if (unlikely(s->n_live > 0 || (s->flags & SCOPE_HAS_SETS) || timer_armed(&s->timer) ||
                 s->extra || !list_empty(&s->closers)))
        scope_exit_root_slow(s, r);
    else
        s->state = SCOPE_EXITED;
}

/*
 * The error for a call that finds s cancelled, or its children aborted. -ECANCELED tells a task to
 * unwind, so it is only for one that is cancelled itself.
 */
int scope_refusal(const struct ait_scope *s);

/* Whether s is t's current scope or one further out, up to the loop's root. */
bool scope_contains(const struct ait_scope *s, const struct ait_task *t);

/* ---- circle.c -------------------------------------------------------------------------------- */

/*
 * Whether target, which t wants to wait for although nothing can cut that short, ends only after t:
 * t is in it; or somebody who is waits, structurally, for what t is in; and so on.
 */
bool wait_is_circular(struct ait_task *t, const struct ait_scope *target);
/* The same for a lock of owner's that t has to take back. */
bool lock_is_circular(struct ait_task *t, const struct ait_task *owner);

void scope_pool_done(struct scope_pool *pool);

/* ---- scope-sets.c: the task sets that hang on a scope (taskset.h) ---------------------------- */

static inline struct ait_taskset *set_of_scope(struct ait_scope *s)
{
    assert(s->flags & SCOPE_OF_SET);
    return container_of(s, struct ait_taskset, scope);
}

/* The set no longer belongs to its parent. Has no effect if it was detached before. */
void taskset_detach(struct ait_taskset *set);
/* The last child of the set's scope s has ended, or it is closed and had none. */
void taskset_emptied(struct ait_scope *s);
void tasksets_refresh(struct scope_work *work, struct scope_extra *x);
/* Ends all sets. Returns how many are not empty yet. */
size_t tasksets_end(struct scope_extra *x);
void tasksets_detach(struct scope_extra *x);
