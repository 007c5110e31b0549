/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Structural waits that would wait for each other. See scope.h. */

#include "scheduler.h"
#include "scope.h"
#include "selection.h"

/*
 * Tasks that cannot go on before the first of them does. Each is in the list once.
 */
struct stuck {
    struct ait_task *first, **last;
};

static void stuck_add(struct stuck *s, struct ait_task *t)
{
    if (t->is_stuck)
        return;
    t->is_stuck = true;
    t->next_stuck = NULL;
    *s->last = t;
    s->last = &t->next_stuck;
}

/* Waiters of the list that nothing but its end can wake. */
static void stuck_add_waiters(struct stuck *s, const struct list *waiters, bool locks)
{
    for (const struct list *l = waiters->next; l != waiters; l = l->next) {
        struct ait_task *t = waiter_task(container_of(l, const struct waiter, link));

        if (t && (t->state == TASK_WAITING || (locks && t->state == TASK_RELOCKING)))
            stuck_add(s, t);
    }
}

/*
 * What t is in, up to the loop's root, ends only after t. Who waits for the end of any of that is
 * stuck, too; and so is the owner of a scope that waits for its children, t among them. A task that
 * waits for a lock of t's is stuck, since t does not go on before it has got what it waits for.
 */
static bool stuck_climb(struct stuck *s, struct ait_task *t, const struct ait_scope *target,
                        const struct ait_task *owner)
{
    if (t == owner)
        return true;
    stuck_add_waiters(s, &t->future.waiters, true);
    for (struct ait_scope *x = t->scope; x; x = x->parent) {
        if (x == target)
            return true;
        stuck_add_waiters(s, &x->closers, false);
        if (!x->owner || x->owner == t)
            continue;
        if (x->is_root)
            stuck_add_waiters(s, &x->owner->future.waiters, false);
        if (x->state == SCOPE_EXITING)
            stuck_add(s, x->owner);
    }
    return false;
}

static bool find_circle(struct ait_task *t, const struct ait_scope *target,
                        const struct ait_task *owner)
{
    struct stuck s = {.last = &s.first};
    bool found = false;

    stuck_add(&s, t);
    for (struct ait_task *x = s.first; x && !found; x = x->next_stuck)
        found = stuck_climb(&s, x, target, x == t ? NULL : owner);
    for (struct ait_task *x = s.first; x; x = x->next_stuck)
        x->is_stuck = false;
    return found;
}

bool wait_is_circular(struct ait_task *t, const struct ait_scope *target)
{
    return find_circle(t, target, NULL);
}

bool lock_is_circular(struct ait_task *t, const struct ait_task *owner)
{
    return owner && find_circle(t, NULL, owner);
}
