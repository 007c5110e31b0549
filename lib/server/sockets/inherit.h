/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_INHERIT_H
#define SERVER_INHERIT_H

/*
 * inherit: the sockets that whoever started us hands down (LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES).
 *
 * inherited_take() is called once, early, from the main thread: afterwards the variables are gone from the environment,
 * every fd is CLOEXEC, and the struct owns them. Fds named `aiotools-sd.*` are ones that we had stored with the service
 * manager ourselves: they are put aside. listen_set_open() moves the others out; inherited_done() closes what is left.
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

/* 0 also where nothing was handed down, or LISTEN_PID is not ours. */
int inherited_take(struct inherited *ret, struct problem *ret_problem);
void inherited_done(struct inherited *i);

#endif
