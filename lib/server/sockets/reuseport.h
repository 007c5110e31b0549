/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * reuseport: one address with one SO_REUSEPORT socket per slot, all held by the supervisor.
 *
 * The first socket of a group is opened without SO_REUSEPORT, for TCP up to and including
 * listen(2). So a port that is in use is noticed, even if a server of the same user uses
 * SO_REUSEPORT, and of two servers that start at the same time one fails. Then the option is set on
 * it, and the others join. It cannot be prevented that another program of the same user joins later
 * with SO_REUSEPORT of its own.
 *
 * The kernel keeps the sockets of a group in an array; the last one takes the place of one that
 * leaves. `order` mirrors that array (slot numbers), since a steering program returns indices of
 * it. A TCP listener leaves when any process shuts it down, the supervisor or a worker:
 * reuseport_sync() notices that. If several have left unnoticed, the array depends on their order,
 * so it is unknown. Then steering is off, and all slots get connections, until the array is known
 * again. UDP sockets leave only when the last copy is closed: remove a UDP slot when no process of
 * its worker is left.
 *
 * There is no global state. The fds belong to the group.
 */

#include "config/address.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define REUSEPORT_SLOTS_MAX 1024

enum steer {
    STEER_AWAY = 0, /* no new connections: the slot is being removed, or has failed */
    STEER_WAIT, /* no worker is ready: TCP avoids it; UDP keeps its flows there, for the replacement
                 */
    STEER_READY,
};

struct reuseport {
    struct address address; /* with the port that was chosen */
    int *fds;               /* by slot, -1 if there is none */
    unsigned n_fds;         /* length of fds and of order */
    unsigned *order;        /* kernel index -> slot */
    unsigned n_order;
    bool order_lost;
    uint32_t seed; /* of the hash, so that clients cannot aim at a slot */
};

/* Makes an empty group. Port 0 is chosen by the first socket, and kept. */
void reuseport_init(struct reuseport *g, const struct address *address);
void reuseport_done(struct reuseport *g);

/* The slot's socket, or -1. */
int reuseport_fd(const struct reuseport *g, unsigned slot);

/* Opens the slot's socket, and the first one of a group exclusively. -EEXIST: the slot has one. */
int reuseport_add(struct reuseport *g, unsigned slot);
/* Closes the slot's socket; connections in its accept queue are reset (see reuseport_pending). */
void reuseport_remove(struct reuseport *g, unsigned slot);

/*
 * TCP: at random over the READY slots; if there are none, over the WAIT slots; else over all. UDP:
 * by a hash of the sender's address and port over READY and WAIT slots; if there are none, over
 * all. A flow stays with its slot as long as that set does not change. Slots from n_states on are
 * AWAY.
 */
int reuseport_steer(struct reuseport *g, const uint8_t *states, unsigned n_states);

/* The number of connections in the accept queue of the slot's listener (TCP; 0 for UDP). */
ssize_t reuseport_pending(const struct reuseport *g, unsigned slot);

/* Finds listeners that were shut down. Returns how many are dead. */
unsigned reuseport_sync(struct reuseport *g);
/*
 * Opens the slot's socket again if it is dead. Returns 1 if it was, else 0. Call reuseport_steer()
 * afterwards.
 */
int reuseport_repair(struct reuseport *g, unsigned slot);
