/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The guardian: the first process of a server, and the parent of its supervisor. Whichever of the
 * two dies, the other one ends all workers and everything that they have started.
 *
 * Invariants:
 * - The guardian is the process that users, shells and service managers know. It passes their
 *   signals on, ends with the supervisor's exit status, and speaks to the service manager in the
 *   supervisor's words (relay.h).
 * - Both are subreapers. As long as the supervisor lives, whatever has lost its parent comes to the
 *   supervisor; after that it comes to the guardian. So nobody has to be known or recognised: when
 *   the guardian has no child any more, nothing is left (children.h).
 * - It blocks all signals, and has no descriptors except its end of a socket pair, a signalfd,
 *   stderr, and what guardian_hold() gave it. It never returns into the caller's code.
 * - Children that the process had before it became a guardian are not touched.
 *
 * What this is not: a supervisor. It restarts nothing, and sends no signal of its own while the
 * supervisor lives.
 *
 * If both are killed in the same moment, only the workers' own parent-death signal, or a control
 * group, ends what is left.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config/problem.h"
#include "cgroup.h"

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
 * Forks, and returns in the child, which is the supervisor: in a session of its own, so that a
 * terminal signals the guardian alone. What the service manager has said to the first process
 * (LISTEN_PID, WATCHDOG_PID) counts for the supervisor. The process should still be small and
 * single-threaded. name: NULL if it is not known yet.
 *
 * On failure the caller is the only process.
 */
int guardian_begin(struct guardian *ret_guardian, const char *name, struct problem *ret_problem);

/* Seconds that a supervisor has to end all when its guardian has died; then it is ended itself. */
extern unsigned guardian_mourning;

/* The name of the server for ps(1), where the guardian is "aiotools-sd: guardian of NAME". */
int guardian_set_name(struct guardian *guardian, const char *name);
/*
 * Gives it a descriptor that it keeps open until it ends, in place of the last one. A lock on it
 * thus tells others that workers may still be there.
 */
int guardian_hold(struct guardian *guardian, int fd);
/*
 * Names the control group of the server, which the guardian kills and removes at the end. A group
 * without a descriptor: there is none any more.
 */
int guardian_set_group(struct guardian *guardian, const struct cgroup *group);
/*
 * For the service manager. Never waits: -EAGAIN if too much waits already, and the fd can be polled
 * for room.
 */
int guardian_notify(struct guardian *guardian, const char *text, const int *fds, size_t n_fds);

/* Also if nobody has noticed yet. */
bool guardian_is_dead(const struct guardian *guardian);
/*
 * Closes our end, and continues a guardian that was stopped, so that it sees how we end.
 */
struct guardian *guardian_done(struct guardian *guardian);

/* The calling supervisor has lost its guardian, and ends all: shown to others, as a guardian does.
 */
void guardian_mourn(void);

/*
 * What guardians there are, of whatever servers. One that kills has lost its supervisor, or the
 * other way round, and its workers may hold ports and paths until then.
 */
enum guardians { GUARDIANS_NONE, GUARDIANS_STAND, GUARDIANS_KILL };
enum guardians guardians_of_others(void);
