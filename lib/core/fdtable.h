/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the loop knows of each file descriptor, indexed by its number: who waits, which events epoll
 * reports, and whether it is known to be drained.
 *
 * An fd is registered edge-triggered at its first wait and stays registered. EPOLLOUT is added at
 * the first write that would block. "drained" is the one bit of state that edge triggering needs.
 * It is set when the kernel returned EAGAIN, or by a short read from an object for which that means
 * the same; an edge clears it. An operation on a drained fd waits without asking the kernel again.
 * The generation tells events of a closed fd from those of its successor. Entries lie in chunks and
 * never move.
 */

#include <stddef.h>

#include "macros.h"

#define FD_CHUNK 64

enum { FD_IN = 1, FD_OUT = 2, FD_PRI = 4 };

enum {
    FD_KNOWN = 1 << 0, /* its type has been looked at */
    FD_SOCKET = 1 << 1,
    FD_STREAM = 1 << 2, /* a short read means drained */
    FD_PLAIN = 1 << 3,  /* epoll refuses it, and it never waits */
    FD_REGISTERED = 1 << 4,
    FD_OURS = 1 << 5,   /* made here: no other code has a copy */
    FD_HANGUP = 1 << 6, /* the peer is gone, or sends urgent data: a short read means nothing */
    FD_ASK = 1 << 7, /* in blocking mode, which is not ours to change: poll(2) before each call */
    FD_NONBLOCK = 1 << 8, /* a socket whose mode was changed, for calls that have no MSG_DONTWAIT */
    FD_COUNTER = 1 << 9,  /* an eventfd: one read takes all */
};

struct fd_entry {
    struct list readers, writers; /* waiters */
    uint32_t generation;
    uint32_t events; /* that are registered with epoll */
    uint16_t flags;
    uint8_t drained; /* FD_IN, FD_OUT */
};

struct fdtable {
    struct fd_entry **chunks;
    uint32_t n_chunks;
};

int fdtable_get_slow(struct fdtable *table, int fd, struct fd_entry **ret);
void fdtable_done(struct fdtable *table);
/* Copies of any of the fds were given to another process. */
void fdtable_shared(struct fdtable *table);

static inline int fdtable_get(struct fdtable *table, int fd, struct fd_entry **ret)
{
    uint32_t chunk = (uint32_t)fd / FD_CHUNK;

    if (unlikely(chunk >= table->n_chunks || !table->chunks[chunk]))
        return fdtable_get_slow(table, fd, ret);
    *ret = table->chunks[chunk] + (uint32_t)fd % FD_CHUNK;
    return 0;
}
