/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_REUSEPORT_H
#define SERVER_REUSEPORT_H

/*
 * reuseport: one address, one SO_REUSEPORT socket a slot, all held by the supervisor.
 *
 * The first socket of a group is opened without SO_REUSEPORT, TCP up to and including listen(2): so a port that anyone
 * uses is noticed, a server of the same user with SO_REUSEPORT included, and of two that start at once one loses. Then
 * the option is set on it and the others join. (What another program of the same user does afterwards with SO_REUSEPORT
 * of its own cannot be prevented.)
 *
 * The kernel keeps the sockets of a group in an array; one that leaves is replaced by the last. `order` mirrors that
 * array (slot numbers), since a steering program returns indices of it. A TCP listener leaves when any process shuts it
 * down, ours or a worker: reuseport_sync() notices. Where several have left unseen, their order decides what the array
 * looks like, so it is not known any more: steering is then off (all slots get connections) until it is known again.
 * UDP sockets leave only when the last copy is closed: remove a UDP slot when no process of its worker is left.
 *
 * No global state; fds belong to the group.
 */

#include "config/address.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define REUSEPORT_SLOTS_MAX 1024

enum steer {
    STEER_AWAY = 0, /* nothing new: the slot is being removed, or has failed */
    STEER_WAIT,     /* no worker is ready: TCP avoids it, UDP keeps its flows there, for the replacement */
    STEER_READY,
};

struct reuseport {
    struct address address; /* with the port that was chosen */
    int *fds;               /* by slot, -1 where there is none */
    unsigned n_fds;         /* length of fds and of order */
    unsigned *order;        /* kernel index -> slot */
    unsigned n_order;
    bool order_lost;
    uint32_t seed; /* of the hash, so that nobody can aim at a slot */
};

/* An empty group; port 0 is chosen by the first socket and kept. */
void reuseport_init(struct reuseport *g, const struct address *address);
void reuseport_done(struct reuseport *g);

/* The slot's socket, or -1. */
int reuseport_fd(const struct reuseport *g, unsigned slot);

/* Opens the slot's socket; the first of a group exclusively. -EEXIST: it has one. */
int reuseport_add(struct reuseport *g, unsigned slot);
/* Closes it; what is in its accept queue is reset (see reuseport_pending). */
void reuseport_remove(struct reuseport *g, unsigned slot);

/* TCP at random over the READY slots (none: over WAIT; none: over all). UDP by a hash of the sender's address and port
 * over READY and WAIT (none: over all): a flow stays with its slot as long as that set does not change. Slots from
 * n_states on are AWAY. */
int reuseport_steer(struct reuseport *g, const uint8_t *states, unsigned n_states);

/* Connections that wait to be accepted on the slot's listener (TCP; 0 for UDP). */
ssize_t reuseport_pending(const struct reuseport *g, unsigned slot);

/* Notices listeners that were shut down. How many are dead. */
unsigned reuseport_sync(struct reuseport *g);
/* Opens the slot's socket again where it is dead. 1: it was, 0: it was not. Steer afterwards. */
int reuseport_repair(struct reuseport *g, unsigned slot);

#endif
