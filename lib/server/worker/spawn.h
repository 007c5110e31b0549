/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Starts one worker: a process with its own session, exactly the promised descriptors, its own user
 * and limits, inside its sandbox, that dies with its supervisor.
 *
 * Invariants:
 * - Everything that allocates, looks something up, or can fail with a useful message happens before
 *   the fork, in the parent. Between fork and exec there are only raw system calls.
 * - Nothing waits for the exec, which can take as long as a worker likes: it may hold a lease on
 * the program, or serve the file system that it lies on; and a process of the child's new user may
 *   stop the child. The child has a copy of the memory, which none of these can spoil, and of which
 *   nothing has to stay. The caller waits for spawn_fd(), and limits that wait.
 * - If the sandbox explains, its listener comes before the exec, which is not put to it.
 * - When spawn_begin() fails there is no process, no zombie and no open descriptor left.
 *
 * Ownership: all pointers and descriptors in spawn_params are borrowed for the call, except path
 * and sandbox, which must stay until spawn_free(). The results belong to the caller, which closes
 * the pidfd and reaps the process (waitid(P_PIDFD)), also if the start fails after spawn_begin().
 *
 * What this is not: it does not wait for readiness, and restarts nothing. Call spawn_begin() only
 * from the process's main thread, since the parent-death signal is tied to the thread.
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
    const char *oom_score_adj; /* NULL: unchanged */

    int group_fd; /* -1: none; else the directory of the control group that it is to be in */
    ait_sandbox *sandbox; /* NULL: none */

    ait_sandbox_event_cb explain; /* for a sandbox that explains, else NULL */
    void *explain_userdata;
};

#define SPAWN_PARAMS_INIT                                                                          \
    {                                                                                              \
        .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .ready_fd = -1, .ready_target = -1,      \
        .umask = -1, .group_fd = -1                                                                \
    }

struct spawn; /* a start that is under way */

/*
 * Starts the worker's process. Returns 0, or a negative errno with *ret_problem (may be NULL),
 * which names the step and the remedy. Its status is 77 if the sandbox could not be applied, 78 if
 * a retry cannot help, else 71. ret_tree, if not NULL, receives what guardian_tree_kill() needs.
 */
int spawn_begin(struct spawn **ret, const struct spawn_params *params, pid_t *ret_pid,
                int *ret_pidfd, struct guardian_tree *ret_tree, struct problem *ret_problem);
/* Readable when there may be something to see: spawn_look(). */
int spawn_fd(const struct spawn *s);
/* The same for a step that has failed under a sandbox that explains; -1: none. */
int spawn_explainer_fd(const struct spawn *s);
/*
 * How far it is. 1: the program runs, or the process was killed before that. 0: not yet. Negative:
 * a step has failed, with *ret_problem as above; the process must be killed, since it may be unable
 * to end.
 */
int spawn_look(struct spawn *s, struct problem *ret_problem);
/* NULL: none has come, or it was taken already. */
ait_explainer *spawn_take_explainer(struct spawn *s);
struct spawn *spawn_free(struct spawn *s); /* takes NULL, returns NULL; the process goes on */
