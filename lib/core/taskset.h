/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Task sets: scopes that belong to an object instead of a block of a task.
 *
 * A set's scope hangs on another one, its parent, in the list scope_extra.sets. It has no owner and
 * no body, is in state SCOPE_EXITING until it is detached, and then in SCOPE_EXITED. Cancellation
 * comes down to it as to a task's root. The parent's exit ends its sets when the parent's own
 * children have ended. A set is detached when its parent has been exited, or when it is cancelled
 * and empty; a detached set is empty.
 *
 * Freed when nobody refers to it and it is empty. The combinators of lib/tasks embed a set as well.
 */

#include "scope.h"

/* Whether the set is embedded in another object, and was not made by a user. */
bool taskset_is_private(const struct ait_taskset *set);

/* Makes set, which is all zero, a set of parent. refs is 1. */
int taskset_init(struct ait_taskset *set, struct ait_scope *parent, unsigned flags);
/* Releases what the scope of an ended set holds. */
void taskset_done(struct ait_taskset *set);
/*
 * Cancels the set and waits until it is empty and detached, whether the caller is cancelled or not.
 */
void taskset_drain(struct ait_taskset *set, struct ait_loop *loop, struct ait_task *t);
