/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the loop knows of each file descriptor, indexed by its number: who waits, which events epoll
 * reports, and whether it is known to be drained.
 *
 * An fd is registered edge-triggered at the first wait of a call that reads or writes it, and stays
 * registered. EPOLLOUT is added at the first write that would block. "drained" is the one bit of
 * state that edge triggering needs. It is set when the kernel returned EAGAIN, or by a short read
 * from an object for which that means the same; an edge clears it. An operation on a drained fd
 * waits without asking the kernel again.
 *
 * A number is not an open file. The generation of an entry changes when the number is closed or
 * forgotten. A call that lets other tasks run compares it afterwards, before it uses the number
 * again. Events carry it, so those of a closed fd are not taken for its successor's. ait_poll()
 * uses nothing that is remembered here: it registers for each wait (io-poll.c).
 *
 * Entries lie in chunks and never move.
 */

#include <stddef.h>

#include "macros.h"

#define FD_CHUNK 64

enum { FD_IN = 1, FD_OUT = 4 }; /* as EPOLLIN and EPOLLOUT */

enum {
    FD_KNOWN = 1 << 0, /* its type has been looked at */
    FD_SOCKET = 1 << 1,
    FD_STREAM = 1 << 2, /* a short read means drained */
    FD_REGISTERED = 1 << 3,
    FD_HANGUP = 1 << 4, /* the peer is gone, or sends urgent data: a short read means nothing */
    FD_ASK = 1 << 5, /* its mode is not ours to change: poll(2) before each call, which may block */
    FD_REOPEN = 1 << 6, /* and a call that never blocks needs an open file of its own */
    FD_TERMINAL = 1 << 7,
    FD_NONBLOCK = 1 << 8, /* a socket known to be non-blocking, for calls without MSG_DONTWAIT */
    FD_COUNTER = 1 << 9,  /* an eventfd: one read takes all */
    FD_DGRAM = 1 << 10,   /* EAGAIN of a send may be about one address, or the receiver's queue */
};

struct fd_entry {
    struct list readers, writers; /* waiters */
    struct list pollers;
    uint32_t generation;
    uint32_t events; /* that are registered with epoll, edge-triggered */
    uint16_t flags;
    uint8_t drained; /* FD_IN, FD_OUT */
    bool closed;     /* while it is held */
    uint32_t n_held;
};

struct fdtable {
    struct fd_entry **chunks;
    uint32_t n_chunks;
};

int fdtable_get_slow(struct fdtable *table, int fd, struct fd_entry **ret);
void fdtable_done(struct fdtable *table);

static inline int fdtable_get(struct fdtable *table, int fd, struct fd_entry **ret)
{
    uint32_t chunk = (uint32_t)fd / FD_CHUNK;

    if (unlikely(chunk >= table->n_chunks || !table->chunks[chunk]))
        return fdtable_get_slow(table, fd, ret);
    *ret = table->chunks[chunk] + (uint32_t)fd % FD_CHUNK;
    return 0;
}
