/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The task sets that hang on a scope. */

#include "scheduler.h"
#include "scope.h"

static struct ait_taskset *link_set(struct list *link)
{
    return container_of(link, struct ait_taskset, link);
}

void taskset_detach(struct ait_taskset *set)
{
    struct ait_scope *s = &set->scope, *parent = s->parent;

    if (s->state == SCOPE_EXITED)
        return;
    assert(s->n_live == 0);
    list_remove(&set->link);
    if (list_empty(&parent->extra->sets))
        parent->flags &= (uint8_t)~SCOPE_HAS_SETS;
    s->parent = NULL;
    scope_exited(s);
    /* The loop may be gone when the set is freed. */
    if (s->timer_reserved)
        timers_unreserve(&s->loop->timers);
    s->timer_reserved = false;
}

void taskset_emptied(struct ait_scope *s)
{
    struct ait_taskset *set = set_of_scope(s);
    struct ait_scope *parent = s->parent;

    scope_wake_closers(s);
    if (s->cancel_count > 0 || s->expired || set->refs == 0)
        taskset_detach(set);
    if (parent && parent->state == SCOPE_EXITING && parent->owner)
        task_wake(parent->owner);
    if (set->refs == 0)
        set->free(set);
}

void tasksets_refresh(struct scope_work *work, struct scope_extra *x)
{
    for (struct list *l = x->sets.next; l != &x->sets; l = l->next)
        scope_refresh(work, &link_set(l)->scope);
}

size_t tasksets_end(struct scope_extra *x)
{
    size_t n = 0;

    for (struct list *l = x->sets.next; l != &x->sets; l = l->next) {
        struct ait_scope *s = &link_set(l)->scope;

        if (s->cancel_count == 0)
            scope_cancel(s);
        n += s->n_live > 0;
    }
    return n;
}

void tasksets_detach(struct scope_extra *x)
{
    while (!list_empty(&x->sets)) {
        struct ait_taskset *set = link_set(x->sets.next);

        taskset_detach(set);
        if (set->refs == 0)
            set->free(set);
    }
}
