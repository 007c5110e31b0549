/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_TASKSET_H
#define AIT_TASKSET_H

/*
 * Task sets: tasks that live as long as an object, not as long as a block of code.
 *
 *     struct cache { ait_taskset *workers; ... };
 *
 *     ait_taskset_new(&cache->workers, NULL, 0);
 *     ait_taskset_spawn(cache->workers, NULL, refresh, cache, NULL);
 *     ...
 *     ait_taskset_cancel_and_wait(cache->workers);
 *     cache->workers = ait_taskset_unref(cache->workers);
 *
 * A set is made in a scope and never outlives it: cancelling that scope cancels the set's tasks, and leaving it ends the set, after the scope's own children
 * have ended by themselves. So the tasks of a set serve others in the background; work that is to be finished is spawned into a scope instead. A set
 * is not tied to the task that made it: any task, and any callback, may spawn into it.
 *
 * Counted. Dropping the last reference cancels nothing: what runs goes on until it ends or the scope does.
 */

#include <aiotools-sd/base.h>
#include <aiotools-sd/scope.h>
#include <aiotools-sd/task.h>

AIT_BEGIN_DECLS

typedef struct ait_taskset ait_taskset;

/*
 * A set in scope; NULL: in the current scope, outside tasks in the loop's root. flags: AIT_SCOPE_SUPERVISOR, errors of tasks are not
 * reported; AIT_SCOPE_SHIELD, cancelling the scope does not cancel the set, leaving it does. -ESTALE: the scope has been left; -EINVAL also where it
 * is the scope of a set.
 */
int ait_taskset_new(ait_taskset **ret, ait_scope *scope, unsigned flags) AIT_MUST_CHECK;
ait_taskset *ait_taskset_ref(ait_taskset *set);
ait_taskset *ait_taskset_unref(ait_taskset *set);
AIT_DEFINE_CLEANUP_(ait_taskset, ait_taskset_unref)

/* The set as a scope, borrowed: for ait_scope_spawn(), ait_scope_start(), ait_interval_start(), deadlines, names, error handlers (without one of its own the set has that of its scope). It is
 * never entered or left; a deadline ends the set. */
ait_scope *ait_taskset_scope(ait_taskset *set);

/* As ait_scope_spawn(). -ECANCELED: the set is being ended, or its scope is cancelled; -ESTALE: it has ended. */
int ait_taskset_spawn(ait_taskset *set, ait_task **ret_task, ait_task_fn fn, void *userdata,
                      const ait_task_options *options) AIT_MUST_CHECK;

/* Ends the set: cancels its tasks and waits for them, even where the caller is cancelled meanwhile (then returns -ECANCELED). Nothing can be
 * spawned into it afterwards. -EDEADLK: from inside the set. */
int ait_taskset_cancel_and_wait(ait_taskset *set);
/* Waits until no task is left in the set. -EDEADLK: from inside the set. */
int ait_taskset_wait(ait_taskset *set);
/* How many tasks are in it. */
size_t ait_taskset_n_tasks(const ait_taskset *set);
/* Calls cb with each of them, in the order that they were spawned in; not with tasks that these have spawned into scopes of their own. A value other than
 * 0 from cb ends the walk and is returned; else 0. */
int ait_taskset_foreach(ait_taskset *set, ait_task_cb cb, void *userdata);

/* The innermost set that the running task is in, by itself or by a task that it lives in; borrowed. NULL: in none, or outside tasks. */
ait_taskset *ait_taskset_current(void);

AIT_END_DECLS

#endif
