/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_DEBUG_H
#define AIT_DEBUG_H

/*
 * Looking at a loop from inside the process: its tasks, what they wait for, and the memory of their stacks. For a process that is stopped, or dead, there
 * is a gdb script that knows the same ("ait tasks", "ait bt").
 *
 * Everything here reads, and changes nothing. It is for the loop's own thread; from another one, or a signal handler, ait_loop_post() it.
 * The text of a dump is for people: it is no interface.
 */

#include <stdio.h>

#include <aiotools-sd/base.h>
#include <aiotools-sd/task.h>
#include <aiotools-sd/taskset.h>

AIT_BEGIN_DECLS

/*
 * Calls cb with each task that has not ended, a task before those in its scopes. A value other than 0 from cb ends the walk and is returned; else 0.
 * In cb no task may be spawned, and none can suspend.
 */
int ait_loop_foreach_task(ait_loop *loop, ait_task_cb cb, void *userdata);

/* The same for the task sets that have not ended; a set that nobody refers to any more counts as long as it has tasks. In
 * cb none may be made or dropped. */
typedef int (*ait_taskset_cb)(ait_taskset *set, void *userdata);
int ait_loop_foreach_taskset(ait_loop *loop, ait_taskset_cb cb, void *userdata);

enum {
    AIT_DUMP_STACKS = 1 << 0, /* how much of its stack each task has touched: one read from /proc each */
};

/*
 * Prints the tree of scopes and tasks to file (NULL: stderr): name, state, what it waits for, function, where it was spawned; of scopes the
 * flags, deadline, and cancellation. May be called inside a task, which is then shown running; it does not suspend. -EIO: file reports an error.
 */
int ait_loop_dump(ait_loop *loop, FILE *file, unsigned flags);

/* The stack of a task that has not ended */
typedef struct ait_stack_use {
    size_t size;       /* sizeof(ait_stack_use) as the library knows it */
    ait_task *task;    /* borrowed */
    size_t stack_size; /* bytes of virtual memory */
    size_t
        depth; /* bytes from its top to the deepest page that was touched, by this task or a former one in its place */
    size_t resident; /* bytes that take memory or swap space */
} ait_stack_use;

/*
 * Calls cb with each task's stack; else like ait_loop_foreach_task(). Pages that a stack has been used for stay with it, until it lies unused for a
 * while. -EOPNOTSUPP: the kernel does not tell.
 */
typedef int (*ait_stack_cb)(const ait_stack_use *use, void *userdata);
int ait_loop_foreach_stack(ait_loop *loop, ait_stack_cb cb, void *userdata);

AIT_END_DECLS

#endif
