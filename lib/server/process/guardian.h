/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The guardian: a small process beside the supervisor. If the supervisor dies without an orderly
 * end, it kills all workers and everything that they have started.
 *
 * Invariants:
 * - It holds a pidfd of the supervisor and one end of a socket pair. It acts when either of them
 *   ends; the orderly way out is guardian_stop().
 * - A worker registers itself before it execs (spawn_params.guardian_fd), so no worker runs unknown
 *   to the guardian. The message carries the worker's pidfd, so a reused pid is never mistaken for
 *   it.
 * - It has its own session and blocks all signals. It has no descriptors except those two, the
 *   workers' pidfds and what guardian_hold() gave it. It never returns into the caller's code.
 * - For the supervisor it is an ordinary child: guardian_known_fn must claim its pid.
 *
 * Ownership: struct guardian belongs to the supervisor, which reaps the process. If the pidfd shows
 * that the guardian has died, start another one and add all workers again.
 *
 * What this is not: a supervisor. It restarts nothing and logs nothing, and sends no signal while
 * the supervisor lives.
 */

#include <sys/types.h>

#include "config/problem.h"
#include "process-tree.h"

struct guardian {
    pid_t pid;
    int pidfd;
    int fd; /* our end; non-blocking, close-on-exec */
};

#define GUARDIAN_INIT                                                                              \
    {                                                                                              \
        .pid = -1, .pidfd = -1, .fd = -1                                                           \
    }

/*
 * Forks, and waits until the guardian says that it stands guard: one that cannot do its work is
 * none, and the problem says which call was refused. The name of the server is for ps(1), where the
 * guardian is "aiotools-sd: guardian of NAME". The caller should still be small and
 * single-threaded.
 */
int guardian_start(struct guardian *ret_guardian, const char *name, struct problem *ret_problem);

/*
 * Gives it a descriptor that it keeps open until it ends, in place of the last one. A lock on it
 * thus tells others that workers may still be there.
 */
int guardian_hold(struct guardian *guardian, int fd);

/*
 * Registers a living worker with a new guardian; spawned workers register themselves. -EPIPE: the
 * guardian is dead. -EAGAIN: it does not read, perhaps because it was stopped.
 */
int guardian_add(struct guardian *guardian, const struct guardian_tree *tree, int worker_pidfd);

/* After guardian_tree_kill() has returned 0: nothing of this worker is left. */
int guardian_remove(struct guardian *guardian, pid_t worker);

/*
 * Orderly end: the guardian exits without killing anything. The caller then waits for the pidfd and
 * calls guardian_done(), which reaps the guardian if it has ended and closes the descriptors.
 * guardian_done() without guardian_stop() makes the guardian kill all workers.
 */
int guardian_stop(struct guardian *guardian);
struct guardian *guardian_done(struct guardian *guardian);

/*
 * What guardians there are, of whatever servers. One that kills has lost its supervisor, whose
 * workers may hold ports and paths until then.
 */
enum guardians { GUARDIANS_NONE, GUARDIANS_STAND, GUARDIANS_KILL };
enum guardians guardians_of_others(void);
