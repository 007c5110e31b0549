/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * inherit: the sockets that our service manager passes (LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES).
 *
 * Call inherited_take() once, early, from the main thread. Afterwards the variables are removed
 * from the environment, every fd is CLOEXEC, and the struct owns them. Fds named `aiotools-sd.*`
 * were stored with the service manager by us, and are kept apart. listen_set_open() moves the
 * others out; inherited_done() closes the rest.
 */

#include "config/address.h"
#include "config/problem.h"

struct inherited_fd {
    int fd; /* -1 once moved out */
    char *name;
    struct address address; /* size 0: not a socket, or not bound */
};

struct inherited {
    struct inherited_fd *fds; /* in the order given */
    size_t n_fds;
    struct inherited_fd *stored;
    size_t n_stored;
};

/* Returns 0 also if nothing was passed, or LISTEN_PID is not our pid. */
int inherited_take(struct inherited *ret, struct problem *ret_problem);
void inherited_done(struct inherited *i);
