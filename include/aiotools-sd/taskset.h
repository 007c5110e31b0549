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
 * A set is made in a scope and never outlives it. Cancelling that scope cancels the set's tasks.
 * Leaving the scope waits for the scope's own children first, then ends the set. So a set is for
 * background tasks that serve others; spawn work that must be finished into a scope instead. A set
 * is not tied to the task that made it: any task, and any callback, may spawn into it.
 *
 * Sets are reference counted. Dropping the last reference cancels nothing: tasks run until they end
 * or the scope does.
 */

#include <aiotools-sd/base.h>
#include <aiotools-sd/scope.h>
#include <aiotools-sd/task.h>

AIT_BEGIN_DECLS

typedef struct ait_taskset ait_taskset;

/*
 * Makes a set in scope. NULL: the current scope; outside tasks, the loop's root. Flags:
 * AIT_SCOPE_SUPERVISOR: errors of tasks are not reported. AIT_SCOPE_SHIELD: cancelling the scope
 * does not cancel the set, but leaving the scope does. -ESTALE: the scope has been left. -EINVAL:
 * scope is itself the scope of a set, or flags are invalid.
 */
int ait_taskset_new(ait_taskset **ret, ait_scope *scope, unsigned flags) AIT_MUST_CHECK;
ait_taskset *ait_taskset_ref(ait_taskset *set);
ait_taskset *ait_taskset_unref(ait_taskset *set);
AIT_DEFINE_CLEANUP_(ait_taskset, ait_taskset_unref)

/*
 * The set as a scope, borrowed: for ait_scope_spawn(), ait_scope_start(), ait_interval_start(),
 * deadlines, names and error handlers. Without a handler of its own the set uses that of its scope.
 * This scope is never entered or left; its deadline ends the set.
 */
ait_scope *ait_taskset_scope(ait_taskset *set);

/*
 * Like ait_scope_spawn(). -ESHUTDOWN: the set is being ended, or its scope is cancelled, and the
 * caller is not. -ECANCELED: the caller is cancelled. -ESTALE:
 * the set has ended.
 */
int ait_taskset_spawn(ait_taskset *set, ait_task **ret_task, ait_task_fn fn, void *userdata,
                      const ait_task_options *options) AIT_MUST_CHECK;

/*
 * Ends the set: cancels its tasks and waits for them. Waits even if the caller is cancelled
 * meanwhile, and then returns -ECANCELED. Nothing can be spawned into the set afterwards. -EDEADLK:
 * called from inside the set.
 */
int ait_taskset_cancel_and_wait(ait_taskset *set);
/* Waits until no task is left in the set. -EDEADLK: called from inside the set. */
int ait_taskset_wait(ait_taskset *set);
/* The number of tasks in the set. */
size_t ait_taskset_n_tasks(const ait_taskset *set);
/*
 * Calls cb for each task of the set, in the order in which they were spawned, but not for tasks
 * that these spawned into scopes of their own. A value other than 0 from cb ends the iteration and
 * is returned; else 0.
 */
int ait_taskset_foreach(ait_taskset *set, ait_task_cb cb, void *userdata);

/*
 * The innermost set that contains the running task or one of its ancestors, borrowed. NULL: there
 * is none, or called outside tasks.
 */
ait_taskset *ait_taskset_current(void);

AIT_END_DECLS

#endif
