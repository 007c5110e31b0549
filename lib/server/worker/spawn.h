/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Starts one worker: a process with its own session, exactly the promised descriptors, its own user
 * and limits, inside its sandbox, that dies with its supervisor.
 *
 * Invariants:
 * - Everything that allocates, looks something up, or can fail with a useful message happens before
 *   the clone, in the parent. Between clone and exec there are only raw system calls.
 * - The child shares the caller's memory until it execs (CLONE_VM | CLONE_VFORK), so the cost does
 *   not grow with the caller. State that such a child can change in its parent (dumpable) is
 *   restored.
 * - If the sandbox explains, the caller takes its listener while the child lives (no CLONE_VFORK),
 *   and then still waits for the exec. The exec itself is not put to the listener.
 * - If the child changes its user, there is no CLONE_VFORK either: a process of that user might
 *   stop the child before it execs, and the caller would hang. A stopped child is resumed, and
 *   after some seconds the start is given up.
 * - When spawn_worker() fails there is no process, no zombie and no open descriptor left.
 * - The guardian knows the worker before its first instruction (guardian_fd).
 *
 * Ownership: all pointers and descriptors in spawn_params are borrowed for the call. The results
 * belong to the caller, which closes the pidfd and reaps the process (waitid(P_PIDFD)).
 *
 * What this is not: it does not wait for readiness, restarts nothing, and keeps no state. Call it
 * only from the process's main thread, since the parent-death signal is tied to the thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <aiotools-sd/sandbox.h>

#include "process/process-tree.h"
#include "config/problem.h"
#include "config/environment.h"
#include "config/program.h"

struct account;

struct spawn_rlimit {
    int resource; /* RLIMIT_... */
    struct rlimit limit;
};

struct spawn_params {
    const char *path; /* from spawn_resolve_program() */
    char *const *argv;
    struct spawn_environment *environment; /* its LISTEN_PID and WATCHDOG_PID are filled in */

    int stdin_fd;  /* -1: /dev/null */
    int stdout_fd; /* -1: the caller's own; /dev/null where that is closed */
    int stderr_fd; /* the same */
    const int *socket_fds;
    size_t n_socket_fds; /* become fd 3, 4, ... in this order */
    int ready_fd;        /* -1: none; else the write end that becomes ready_target */
    int ready_target;    /* at least 3 + n_socket_fds */

    const struct account *account; /* NULL: unchanged */
    const char *working_directory; /* NULL: unchanged */
    int umask;                     /* -1: unchanged */
    const struct spawn_rlimit *rlimits;
    size_t n_rlimits;
    bool set_nice;
    int nice;

    int guardian_fd;      /* -1: none; else guardian.fd */
    ait_sandbox *sandbox; /* NULL: none */

    /* For a sandbox that explains, else NULL; *ret_explainer belongs to the caller. */
    ait_sandbox_event_cb explain;
    void *explain_userdata;
    ait_explainer **ret_explainer;
};

#define SPAWN_PARAMS_INIT                                                                          \
    {                                                                                              \
        .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .ready_fd = -1, .ready_target = -1,      \
        .umask = -1, .guardian_fd = -1                                                             \
    }

/*
 * Starts the worker. Returns 0, or a negative errno with *ret_problem (may be NULL), which names
 * the step and the remedy. Its status is 77 if the sandbox could not be applied, 78 if a retry
 * cannot help, else 71. ret_tree, if not NULL, receives what guardian_tree_kill() needs.
 */
int spawn_worker(const struct spawn_params *params, pid_t *ret_pid, int *ret_pidfd,
                 struct guardian_tree *ret_tree, struct problem *ret_problem);
