/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Starts a process that becomes another program.
 *
 * Between clone and exec the child executes the steps of its plan, in order, until one fails or the
 * last one execs. Steps make raw system calls only (raw.h). They allocate nothing, lock nothing,
 * and write only to the child's stack, the plan and the report; not to errno, which may be the
 * parent's. They are marked RAW_CODE.
 *
 * There are two ways. With exec_start() the child runs in its parent's memory on a stack of its own
 * (CLONE_VM), so the cost does not grow with the parent, which waits for the exec. With exec_fork()
 * it has a copy of the memory, and nobody waits: an exec may take as long as somebody likes who
 * holds a lease on the program, or serves the file system that it lies on.
 *
 * Invariants of exec_start():
 * - The calling thread is blocked until the child has exec'ed or ended (CLONE_VFORK), or runs
 *   meanwhile().
 * - All signals are blocked in both, and in the child until exec_unblock_signals(). A handler that
 *   ran there would run in the parent's memory.
 * - When it fails there is no process, no zombie and no open descriptor left.
 *
 * What this is not: the caller's own steps decide who the process is to be, and what it may do.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct exec_plan;
typedef int (*exec_step)(struct exec_plan *plan);

struct exec_fd {
    int source;
    int target;
    int flags; /* O_CLOEXEC: available to the steps until the exec */
    int copy;  /* the child's */
};

/* Lies in shared memory, for emulators that copy memory in spite of CLONE_VM. */
struct exec_report {
    int error; /* negative errno of the step that failed; 0: none */
    unsigned step;
    const char *detail; /* of that step, if it says so: a static string */
};

struct exec_plan {
    const exec_step *steps;
    size_t n_steps;

    const char *path;
    char *const *argv;
    char *const *envp;
    const char *directory; /* NULL: as it is */
    bool session;
    bool process_group;    /* without a session of its own */
    uint64_t keep_ignored; /* one bit per signal (1 is bit 0); these stay ignored if they are */
    struct exec_fd *fds; /* targets ascend; fd 0 to 2 stay where they are no target, and everything
                            else is closed */
    size_t n_fds;
    bool inherit_fds; /* nothing is closed but what is close-on-exec */
    uint64_t blocked; /* the program's mask, a bit per signal */
    int death_signal; /* sent to the program when the calling thread ends; 0: none */
    bool changes_credentials;
    bool has_group; /* exec_fork() only: */
    int group;      /* directory of the control group (version 2) that the child is to be in */

    /*
     * Called in the parent in place of CLONE_VFORK, not by exec_fork(). It must return when the
     * child has exec'ed or ended, and not before. If it returns an error, it must have killed the
     * child; exec_start() then returns that error.
     */
    int (*meanwhile)(struct exec_plan *plan, pid_t pid);

    /* By exec_start() and exec_fork(). */
    pid_t parent, pid;
    struct exec_report *report; /* until exec_start() returns */
    struct exec_report failed;  /* afterwards; error 0: no step has failed */
};

/* Returns the pid, with *ret_pidfd. */
pid_t exec_start(struct exec_plan *plan, int *ret_pidfd);

/*
 * The same without waiting. Nothing of the plan is needed afterwards. The caller must find out by a
 * descriptor of the plan that closes at the exec (O_CLOEXEC) that the child has exec'ed or ended;
 * plan->report then says whether a step has failed, and must be freed with exec_report_free(). The
 * caller must also reap the child.
 *
 * The child is in its control group before it executes a step. If the kernel refuses that, it is
 * where its parent is: /proc/PID/cgroup tells.
 */
pid_t exec_fork(struct exec_plan *plan, int *ret_pidfd);
struct exec_report *exec_report_free(struct exec_report *report); /* takes NULL, returns NULL */

/* Steps that most plans share. */
int exec_start_session(struct exec_plan *plan);
int exec_reset_signals(struct exec_plan *plan);
int exec_arrange_fds(struct exec_plan *plan);
int exec_change_directory(struct exec_plan *plan);
/* Must come after the last change of credentials, which clears it. */
int exec_set_death_signal(struct exec_plan *plan);
/* -ESRCH: the parent died before the signal was requested. */
int exec_check_parent(struct exec_plan *plan);
int exec_unblock_signals(struct exec_plan *plan);
int exec_execute(struct exec_plan *plan);
