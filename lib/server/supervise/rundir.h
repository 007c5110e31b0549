/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_RUNDIR_H
#define SERVER_RUNDIR_H

/*
 * The runtime directory of one instance: made, locked against a second instance of the same name, and removed again.
 *
 * $RUNTIME_DIRECTORY (the service manager's, which also removes it), else /run/aiotools-sd/NAME as root, else
 * $XDG_RUNTIME_DIR/aiotools-sd/NAME, else a directory in /tmp that carries our uid. The lock is a flock() on a file in it: it goes with the
 * process, however that ends. Other users may pass through the directory (a worker's user has to), not list it.
 */

#include <stdbool.h>

#include "config/problem.h"

struct rundir {
    char path[80]; /* short: socket addresses have 108 bytes */
    int lock;
    bool ours; /* removed at the end */
};

#define RUNDIR_NONE ((struct rundir){.lock = -1})

int rundir_open(struct rundir *ret, const char *name, struct problem *ret_problem);
void rundir_close(struct rundir *d);

#endif
