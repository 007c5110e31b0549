/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The runtime directory of one instance: created, locked against a second instance of the same
 * name, and removed.
 *
 * It is $RUNTIME_DIRECTORY (from the service manager, which also removes it); else
 * /run/aiotools-sd/NAME for root; else $XDG_RUNTIME_DIR/aiotools-sd/NAME; else a directory in /tmp
 * that carries our uid. The lock is a flock() on a file in it, which the kernel releases however
 * the process ends. The guardian holds another one, so that after a kill -9 of the server the next
 * one of its name waits until the workers are gone. Other users may pass through the directory, as
 * a worker's user must, but not list it.
 */

#include <stdbool.h>
#include <sys/stat.h>

#include "config/problem.h"
#include "predecessor.h"

struct rundir {
    const char *name; /* of the server, borrowed */
    char path[80];    /* short: socket addresses have 108 bytes */
    int lock;
    int guardian_lock; /* the guardian's: guardian_hold() */
    bool ours;         /* we created it and remove it at the end */
    struct stat is;    /* the directory itself */
};

#define RUNDIR_NONE ((struct rundir){.lock = -1, .guardian_lock = -1})

int rundir_open(struct rundir *ret, const char *name, struct predecessor *predecessor,
                struct problem *ret_problem);
void rundir_close(struct rundir *d);

/*
 * A text that stays if this server is killed, for the next one of its name: what it has to end. It
 * is kept with the guardian's lock. -ENOENT: there is none.
 */
int rundir_leave(const struct rundir *d, const char *text);
int rundir_read_left(const struct rundir *d, char *ret, size_t size);
/*
 * The same for a server that has not opened its directory yet. -EWOULDBLOCK: the one before it
 * still runs, or its guardian.
 */
int rundir_peek_left(const char *name, char *ret, size_t size);

/* Whether a file in it is a lock of ours. */
bool rundir_owns_file(const char *name);
/* Whether its path still leads to the directory, and both locks are in it. */
bool rundir_is_there(const struct rundir *d);
/*
 * Makes it again after it, or a lock, was removed, with the owner and mode that it had. Fails
 * closed: what is in its place now must be a directory of that owner, and nobody else may have the
 * lock. If the place of our own choice cannot be used any more ($XDG_RUNTIME_DIR after a logout),
 * another one is chosen: the path changes. The lock of the guardian is a new descriptor.
 */
int rundir_repair(struct rundir *d, struct problem *ret_problem);
