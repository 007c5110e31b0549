/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The guardian: a small process beside the supervisor that kills all workers, and what they have started,
 * when the supervisor has died without saying so.
 *
 * Invariants:
 *  - It holds a pidfd of the supervisor and one end of a socket pair. Either one's end sets it off; the
 *    orderly way out is guardian_stop().
 *  - A worker registers itself before it execs (spawn_params.guardian_fd): there is no moment in which it
 *    runs and is not known. With the message comes its pidfd, so a reused pid is never taken for it.
 *  - It has its own session, all signals blocked, no descriptor but those two and the workers' pidfds, and
 *    never returns into the caller's code.
 *  - To the supervisor it is a child like others: guardian_known_fn must claim its pid.
 *
 * Ownership: struct guardian belongs to the supervisor, which reaps the process (the pidfd tells when it has
 * died: start another and add all workers again).
 *
 * What this is not: a supervisor. It restarts nothing and logs nothing, and while the supervisor lives it
 * sends no signal. */

#include <sys/types.h>

#include "process-tree.h"

struct guardian {
    pid_t pid;
    int pidfd;
    int fd; /* our end; non-blocking, close-on-exec */
};

#define GUARDIAN_INIT                                                                                        \
    {                                                                                                        \
        .pid = -1, .pidfd = -1, .fd = -1                                                                     \
    }

/* Forks; the caller should be small and single-threaded still. */
int guardian_start(struct guardian *ret_guardian);

/* Registers a living worker with a new guardian; spawned workers register themselves. -EPIPE: the guardian
 * is dead. -EAGAIN: it does not read (stopped by somebody?). */
int guardian_add(struct guardian *guardian, const struct guardian_tree *tree, int worker_pidfd);

/* After guardian_tree_kill() has returned 0: nothing of this worker is left. */
int guardian_remove(struct guardian *guardian, pid_t worker);

/* Orderly end: it exits without killing anybody. The caller then waits for the pidfd and calls
 * guardian_done(), which reaps it where it has ended already, and closes the descriptors. Calling
 * guardian_done() without guardian_stop() sets it off. */
int guardian_stop(struct guardian *guardian);
struct guardian *guardian_done(struct guardian *guardian);
