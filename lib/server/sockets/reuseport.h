/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * reuseport: one address with several SO_REUSEPORT sockets, all held by the supervisor.
 *
 * The members of a group have numbers, which the caller chooses: for TCP a member belongs to a
 * worker, for UDP to a slot (set.h).
 *
 * The first socket of a group is opened without SO_REUSEPORT, for TCP up to and including
 * listen(2). So a port that is in use is noticed, even if a server of the same user uses
 * SO_REUSEPORT, and of two servers that start at the same time one fails. Then the option is set on
 * it, and the others join. It cannot be prevented that another program of the same user joins later
 * with SO_REUSEPORT of its own.
 *
 * The kernel keeps the sockets of a group in an array; the last one takes the place of one that
 * leaves. `order` mirrors that array (numbers of members), since a steering program returns indices
 * of it. A TCP listener leaves when any process shuts it down, the supervisor or a worker. Each
 * member is in an epoll instance that reports nothing else, and reports in the order in which it
 * happened: so reuseport_sync() follows, however many have left. (Two that leave within the same
 * microsecond may be taken for each other.) UDP sockets leave only when the last copy is closed:
 * remove a UDP member when no process of its worker is left. When a UDP socket was opened again,
 * the array is not known any more. Then steering is off, and all members get traffic.
 *
 * There is no global state. The fds belong to the group.
 */

#include "socket.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define REUSEPORT_MEMBERS_MAX 2048

enum steer {
    STEER_AWAY = 0, /* no new connections: its worker goes, has failed, or is not proved yet */
    STEER_WAIT, /* no worker is ready: TCP avoids it; UDP keeps its flows there, for the replacement
                 */
    STEER_READY,
};

struct reuseport {
    struct address address; /* with the port that was chosen */
    int *fds;               /* by member, -1 if there is none */
    unsigned n_fds;         /* length of fds; order has room for one more */
    unsigned *order;        /* kernel index -> member */
    unsigned n_order;
    bool order_lost;
    int watch;     /* an epoll of the members, readable when one was shut down; -1: none yet */
    uint32_t seed; /* of the hash, so that clients cannot aim at a member */
};

/* Makes an empty group. Port 0 is chosen by the first socket, and kept. */
void reuseport_init(struct reuseport *g, const struct address *address);
void reuseport_done(struct reuseport *g);

/* The member's socket, or -1. */
int reuseport_fd(const struct reuseport *g, unsigned member);

/* Opens the member's socket, and the first one of a group exclusively. -EEXIST: it has one. */
int reuseport_add(struct reuseport *g, unsigned member);
/*
 * Closes the member's socket; connections in its accept queue are reset (see reuseport_pending).
 * Call reuseport_make_way() before and reuseport_steer() afterwards.
 */
void reuseport_remove(struct reuseport *g, unsigned member);

/*
 * TCP: at random over the READY members; if there are none, over the WAIT members; else over all.
 * UDP: by a hash of the sender's address and port over READY and WAIT members; if there are none,
 * over all. A flow stays with its member as long as that set does not change. Members from n_states
 * on are AWAY. -EBUSY: workers have locked all members (SO_LOCK_FILTER).
 */
int reuseport_steer(struct reuseport *g, const uint8_t *states, unsigned n_states);
/*
 * The same without the member that is going to take the place of a removed one, if others can do
 * without it: so between the removal and the next steering no connection goes astray.
 */
int reuseport_make_way(struct reuseport *g, const uint8_t *states, unsigned n_states);

/* The accept queue of the member's listener (TCP; empty for UDP). -ENOENT: there is none. */
int reuseport_queue(const struct reuseport *g, unsigned member, struct listener_queue *ret);
/* The number of connections in it. */
ssize_t reuseport_pending(const struct reuseport *g, unsigned member);

/* Finds listeners that were shut down. Returns how many are dead. */
unsigned reuseport_sync(struct reuseport *g);
/* Whether the member's socket is dead, as far as reuseport_sync() has found out. */
bool reuseport_is_dead(const struct reuseport *g, unsigned member);
/*
 * Opens the member's socket again if it is dead. Returns 1 if it was, else 0. Call
 * reuseport_steer() afterwards.
 */
int reuseport_repair(struct reuseport *g, unsigned member);
/*
 * Another socket in place of the member's, under the same number, whatever state that is in. The
 * new one joins before the old one leaves; connections in the queue of the old one are reset. Call
 * reuseport_steer() afterwards.
 */
int reuseport_renew(struct reuseport *g, unsigned member);
