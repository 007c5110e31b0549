/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

/*
 * listener: one socket, bound and listening.
 *
 * TCP gets SO_REUSEADDR (a restart need not wait for TIME_WAIT), wildcards take both families, the backlog is the
 * system's maximum. A socket with a path takes the place of a stale one, never that of a live one or of anything that
 * is no socket; it gets mode 0666 whatever the umask, as systemd's SocketMode= does by default: who may not connect is
 * the folder's to say. Its device and inode are kept, so that only what we made is unlinked.
 *
 * Functions return fds or 0, negative errno otherwise, and leave nothing behind on failure. They keep no state.
 */

#include "config/address.h"
#include <stdbool.h>
#include <sys/types.h>

enum listener_kind {
    LISTENER_EXCLUSIVE,   /* alone on its address */
    LISTENER_GROUP_FIRST, /* opened so, and then open to others of this user */
    LISTENER_GROUP_JOIN,  /* one of those */
};

struct listener_file { /* a socket's file; dev and ino 0: none */
    dev_t dev;
    ino_t ino;
    pid_t owner; /* only the process that made it unlinks it */
};

/* The address gets the port that was chosen; a port alone becomes 0.0.0.0 where there is no IPv6. A new fd.
 * -EADDRINUSE also for a path on which a server answers, -EEXIST where something else than a socket is there. */
int listener_open(struct address *a, enum listener_kind kind, struct listener_file *ret_file);

/* The same, in place of `fd`: its number stays, the open file is a new one. On failure the fd is a dead socket. */
int listener_reopen(int fd, struct address *a, enum listener_kind kind, struct listener_file *file);

/* Listens again on the open file itself, for a TCP socket that was shut down; all copies of the fd work again. */
int listener_relisten(int fd, const struct address *a);

/* Somebody has shut it down (or it could not be reopened). */
bool listener_is_dead(int fd, const struct address *a);

/* Unlinks what listener_open() made, if it is still that. */
void listener_unlink(const struct address *a, struct listener_file *file);

#endif
