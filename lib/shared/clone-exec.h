/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A process that becomes another program.
 *
 * Between clone and exec the child runs in its parent's memory on a stack of its own (CLONE_VM), so that the cost does not grow with the parent. It takes
 * the steps of its plan, in order, until one fails or the last one execs. Steps make raw system calls only (raw.h): nothing is allocated, nothing is
 * locked, and nothing is written but the child's stack, the plan and the report; not errno either, which is the parent's. They are marked RAW_CODE.
 *
 * Invariants:
 *  - The calling thread stands still until the child has exec'ed or ended (CLONE_VFORK), or does something in between (meanwhile).
 *  - All signals are blocked in both, in the child until exec_unblock_signals(). A handler that ran there would run in the parent's memory.
 *  - When exec_start() fails there is no process, no zombie and no open descriptor left.
 *
 * What this is not: who the process is to be, and what it may do, are steps of the caller.
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
    int flags; /* O_CLOEXEC: there until the exec, for the steps */
    int copy;  /* the child's */
};

/* It lies in shared memory, for emulators that copy memory all the same. */
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
    uint64_t keep_ignored; /* a bit per signal (1 is bit 0) that stays ignored where it is */
    struct exec_fd
        *fds; /* targets ascend; fd 0 to 2 stay where they are no target, and everything else is closed */
    size_t n_fds;
    bool inherit_fds; /* nothing is closed but what is close-on-exec */
    uint64_t blocked; /* the program's mask, a bit per signal */
    int death_signal; /* that it gets when the calling thread ends; 0: none */
    bool changes_credentials;

    /* In place of CLONE_VFORK, in the parent: has to return when the child has exec'ed or ended, and not before. What it reports as failure is
     * returned by exec_start(), if it has killed the child. */
    int (*meanwhile)(struct exec_plan *plan, pid_t pid);

    /* By exec_start(). */
    pid_t parent, pid;
    struct exec_report *report; /* until it returns */
    struct exec_report failed;  /* afterwards; error 0: no step has failed */
};

/* Returns the pid, with *ret_pidfd. */
pid_t exec_start(struct exec_plan *plan, int *ret_pidfd);

/* The steps that are everybody's, as the plan says. */
int exec_start_session(struct exec_plan *plan);
int exec_reset_signals(struct exec_plan *plan);
int exec_arrange_fds(struct exec_plan *plan);
int exec_change_directory(struct exec_plan *plan);
/* A change of credentials clears it: after the last one. */
int exec_set_death_signal(struct exec_plan *plan);
/* The parent may have died before the signal was asked for: -ESRCH. */
int exec_check_parent(struct exec_plan *plan);
int exec_unblock_signals(struct exec_plan *plan);
int exec_execute(struct exec_plan *plan);
