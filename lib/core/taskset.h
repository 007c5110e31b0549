/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_TASKSET_H
#define CORE_TASKSET_H

/*
 * Task sets: scopes that belong to an object instead of a block of a task.
 *
 * A set's scope hangs on another one, its parent, in the list scope_extra.sets. It has no owner and no body, is in state SCOPE_EXITING until it is
 * detached, and then in SCOPE_EXITED. Cancellation comes down to it as to a task's root. The parent's exit ends its sets when the
 * parent's own children have ended. A set is detached when its parent has been exited, or when it is cancelled and empty; a detached set is empty.
 *
 * Freed when nobody refers to it and it is empty. The combinators of lib/tasks embed a set as well.
 */

#include <aiotools-sd/taskset.h>

#include "scope.h"

struct ait_taskset {
    struct ait_scope scope; /* first */
    struct list link;       /* in the parent's sets; in none once detached */
    uint32_t refs;
    void (*free)(struct ait_taskset *set);
};

/* Embedded in something else, and nothing that a user has made. */
bool taskset_is_private(const struct ait_taskset *set);

/* Makes set, all zero, hang on parent. refs is 1. */
int taskset_init(struct ait_taskset *set, struct ait_scope *parent, unsigned flags);
/* For a set that is over: gives back what its scope holds. */
void taskset_done(struct ait_taskset *set);
/* Cancels and waits until it is empty and detached, whatever happens. */
void taskset_drain(struct ait_taskset *set, struct ait_loop *loop, struct ait_task *t);

/* Called by scope.c: the last child of the set's scope s has ended, or it is closed and had none. */
void taskset_emptied(struct ait_scope *s);
void tasksets_refresh(struct scope_work *work, struct scope_extra *x);
/* Ends all; returns how many are not empty yet. */
size_t tasksets_end(struct scope_extra *x);
void tasksets_detach(struct scope_extra *x);

#endif
