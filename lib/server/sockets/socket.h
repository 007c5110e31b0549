/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * listener: one socket, bound and listening.
 *
 * TCP sockets get SO_REUSEADDR, so that a restart need not wait for TIME_WAIT. Wildcards accept
 * both families. The backlog is the system's maximum. A socket with a path replaces a stale socket,
 * but never a live one, or a file that is not a socket. It gets mode 0666 whatever the umask, which
 * is the default of systemd's SocketMode=: the directory decides who may connect. Its device and
 * inode are recorded, so that only a socket that we made is unlinked.
 *
 * Functions return fds or 0, or a negative errno, and leave nothing behind on failure. They keep no
 * state.
 */

#include "config/address.h"
#include <stdbool.h>
#include <sys/types.h>

enum listener_kind {
    LISTENER_EXCLUSIVE,   /* alone on its address */
    LISTENER_GROUP_FIRST, /* opened exclusively, then made shareable with sockets of this user */
    LISTENER_GROUP_JOIN,  /* joins such a group */
};

struct listener_file { /* a socket's file; dev and ino 0: none */
    dev_t dev;
    ino_t ino;
    pid_t owner; /* only the process that made it unlinks it */
};

/*
 * Returns a new fd. The address gets the port that was chosen; a port alone becomes 0.0.0.0 if
 * there is no IPv6. -EADDRINUSE: also for a path on which a server answers. -EEXIST: the path
 * exists and is not a socket.
 */
int listener_open(struct address *a, enum listener_kind kind, struct listener_file *ret_file);

/*
 * The same, in place of `fd`: its number stays, the open file is a new one. Where an address of the
 * network has the old one beside it, there is a listener at any time, and the old one gets nothing
 * any more, whoever has it. On failure fd is what it was, or with an abstract name a dead socket.
 */
int listener_reopen(int fd, struct address *a, enum listener_kind kind, struct listener_file *file);

/*
 * Listens again on the same open file, for a TCP socket that was shut down, or connected. All
 * copies of the fd work again. -EBADFD: the system does not let it.
 */
int listener_relisten(int fd, const struct address *a);

/*
 * Whether it can be reached no more: it was shut down, has been connected to a peer, is bound to
 * another address, or could not be reopened.
 */
bool listener_is_dead(int fd, const struct address *a);

/*
 * Whether a UDP socket of IPv6 has ever been connected. Linux goes on comparing senders with that
 * peer after it was disconnected, and only /proc/net tells. Not cheap where there are many sockets.
 */
bool listener_had_peer(int fd, const struct address *a);

/*
 * Makes a dead one work again on the same open file: a TCP socket, or a datagram socket that has a
 * peer. Otherwise it needs to be reopened: -EBADFD, -EOPNOTSUPP and others.
 */
int listener_revive(int fd, const struct address *a);

/*
 * Makes the path of a socket again if it was removed. 1: it leads to the same socket as before; 0:
 * it was there. -ENOENT: it cannot be done without another socket. -EADDRINUSE: something else is
 * in its place, which stays.
 */
int listener_restore(const struct address *a, const struct listener_file *file);

/*
 * Connections that wait to be accepted. 0 for datagrams, and where the kernel does not tell
 * (-EOPNOTSUPP: of other than TCP sockets).
 */
struct listener_queue {
    size_t waiting;
    size_t limit; /* the backlog */
    bool full;
};
int listener_queue(int fd, const struct address *a, struct listener_queue *ret);

/* Unlinks the file that listener_open() made, if it is still the same. */
void listener_unlink(const struct address *a, struct listener_file *file);
/*
 * Closes it without a wait, whatever a worker has made of it, or a client has passed over it. If no
 * process can be had for that, a unix socket stays open.
 */
void listener_close(int fd);
