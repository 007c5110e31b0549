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

#include "config/problem.h"
#include "predecessor.h"

struct rundir {
    char path[80]; /* short: socket addresses have 108 bytes */
    int lock;
    int guardian_lock; /* the guardian's: guardian_hold() */
    bool ours;         /* we created it and remove it at the end */
};

#define RUNDIR_NONE ((struct rundir){.lock = -1, .guardian_lock = -1})

int rundir_open(struct rundir *ret, const char *name, struct predecessor *predecessor,
                struct problem *ret_problem);
void rundir_close(struct rundir *d);
