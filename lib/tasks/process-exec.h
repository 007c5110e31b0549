/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TASKS_PROCESS_EXEC_H
#define TASKS_PROCESS_EXEC_H

/*
 * The child of ait_spawn() between clone and exec.
 *
 * It runs in the parent's memory, on a stack of its own, while the parent's thread stands still (CLONE_VM | CLONE_VFORK): system calls only, nothing
 * allocated, nothing locked, nothing written but its own stack, the copies in the plan, the report, and errno. The report lies in shared memory, for
 * emulators that copy memory all the same.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct exec_fd {
    int source;
    int target;
    int copy; /* the child's, above all targets */
};

struct exec_plan {
    const char *path;
    char *const *argv;
    char *const *envp;
    const char *cwd;
    struct exec_fd *fds;
    size_t n_fds;
    bool stderr_to_stdout;
    bool inherit_fds;
    bool process_group;
    bool session;
    int death_signal;
    pid_t parent;
    int *report; /* negative errno of the step that failed */
};

/* For clone(): never returns. With all signals blocked. */
int exec_child(void *plan);

#endif
