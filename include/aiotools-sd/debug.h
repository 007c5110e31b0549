/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_DEBUG_H
#define AIT_DEBUG_H

/*
 * Inspecting a loop from inside the process: its tasks, what they wait for, and the memory of their
 * stacks. For a process that is stopped or dead there is a gdb script with the same views ("ait
 * tasks", "ait bt").
 *
 * All calls only read. They must be made on the loop's own thread; from another thread or a signal
 * handler, use ait_loop_post(). The text of a dump is for people; its format may change.
 */

#include <stdio.h>

#include <aiotools-sd/base.h>
#include <aiotools-sd/task.h>
#include <aiotools-sd/taskset.h>

AIT_BEGIN_DECLS

/*
 * Calls cb for each task that has not ended; a task comes before those in its scopes. A value other
 * than 0 from cb ends the iteration and is returned; else 0. cb must not spawn tasks, and cannot
 * suspend.
 */
int ait_loop_foreach_task(ait_loop *loop, ait_task_cb cb, void *userdata);

/*
 * The same for the task sets that have not ended. A set without references is included as long as
 * it has tasks. cb must not make or drop sets.
 */
typedef int (*ait_taskset_cb)(ait_taskset *set, void *userdata);
int ait_loop_foreach_taskset(ait_loop *loop, ait_taskset_cb cb, void *userdata);

enum {
    AIT_DUMP_STACKS =
        1 << 0, /* how much of its stack each task has touched; reads /proc once per task */
};

/*
 * Prints the tree of scopes and tasks to file (NULL: stderr). For a task: its name, state,
 * function, what it waits for, and where it was spawned. For a scope: its flags, deadline and
 * cancellation. May be called inside a task, which is then shown as running; it does not suspend.
 * -EIO: writing to file failed.
 */
int ait_loop_dump(ait_loop *loop, FILE *file, unsigned flags);

/* The stack of a task that has not ended. */
typedef struct ait_stack_use {
    size_t size;       /* sizeof(ait_stack_use) as the library knows it */
    ait_task *task;    /* borrowed */
    size_t stack_size; /* bytes of virtual memory */
    size_t depth;      /* bytes from its top to the deepest page ever touched in its place */
    size_t resident;   /* bytes in memory or swap */
} ait_stack_use;

/*
 * Calls cb for each task's stack; otherwise like ait_loop_foreach_task(). A stack keeps the pages
 * that it was used for until it has been unused for a while. -EOPNOTSUPP: the kernel does not
 * provide this information.
 */
typedef int (*ait_stack_cb)(const ait_stack_use *use, void *userdata);
int ait_loop_foreach_stack(ait_loop *loop, ait_stack_cb cb, void *userdata);

AIT_END_DECLS

#endif
