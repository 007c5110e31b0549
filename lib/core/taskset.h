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

#include "scope.h"

/* Embedded in something else, and nothing that a user has made. */
bool taskset_is_private(const struct ait_taskset *set);

/* Makes set, all zero, hang on parent. refs is 1. */
int taskset_init(struct ait_taskset *set, struct ait_scope *parent, unsigned flags);
/* For a set that is over: gives back what its scope holds. */
void taskset_done(struct ait_taskset *set);
/* Cancels and waits until it is empty and detached, whatever happens. */
void taskset_drain(struct ait_taskset *set, struct ait_loop *loop, struct ait_task *t);

#endif
