/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A task's task-local values: a list of bindings, innermost first. Bindings of the task's own
 * blocks lie in its frames (refs 0). They come before those that it inherited, which are immutable,
 * reference counted, and shared with other tasks.
 *
 * A spawn copies the bindings in frames once. Each remembers its copy, and the copy owns the value
 * from then on.
 */

#include <aiotools-sd/local.h>

struct ait_task;

/* A reference to the bindings of t, for a task that it spawns. */
int local_inherit(const struct ait_task *t, struct ait_local_binding **ret);
struct ait_local_binding *local_unref(struct ait_local_binding *b);
/* Called at the end of a task. */
void local_release(struct ait_task *t);
