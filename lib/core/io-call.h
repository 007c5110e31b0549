/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How each call on an fd works: try first, then wait for an edge and try again. For the files that
 * define such calls, and no others; all other code uses the public functions.
 */

#include <poll.h>

#include <aiotools-sd/io.h>

#include "scheduler.h"

/* Suspends t until one of which has an edge, the fd is closed, or the task is cancelled. */
int fd_wait(struct ait_loop *loop, struct ait_task *t, int fd, struct fd_entry *e, unsigned which);
/* Finds out what kind of object an fd is. */
int fd_look_at(int fd, struct fd_entry *e);
/* For sockets, and calls that have no MSG_DONTWAIT. */
void fd_be_nonblocking(int fd, struct fd_entry *e);

static always_inline int fd_get(struct ait_loop *loop, int fd, struct fd_entry **ret)
{
    int r;

    r = fdtable_get(&loop->fds, fd, ret);
    if (unlikely(r < 0))
        return r;
    if (unlikely(!((*ret)->flags & FD_KNOWN)))
        return fd_look_at(fd, *ret);
    return 0;
}

/* For an fd in blocking mode: whether the call would block. */
static inline bool would_block(int fd, const struct fd_entry *e, unsigned which)
{
    struct pollfd p = {.fd = fd, .events = which == FD_IN ? POLLIN : POLLOUT};

    return unlikely(e->flags & FD_ASK) && poll(&p, 1, 0) == 0;
}

/*
 * For a result shorter than requested: if the object is a stream and its peer is still connected,
 * it has no more data.
 */
static always_inline void note_short(struct fd_entry *e, ssize_t k, size_t asked)
{
    if (k > 0 && (size_t)k < asked && (e->flags & (FD_STREAM | FD_HANGUP)) == FD_STREAM)
        e->drained |= FD_IN;
    else if (unlikely(e->flags & FD_COUNTER) && k > 0)
        e->drained |= FD_IN;
}

/*
 * Tries first, then waits. call is evaluated until it succeeds, fails for good, or the task is
 * cancelled while it waits for an edge. asked is what an object that is not drained would have
 * given; 0: that says nothing.
 */
#define IO_CALL(fd, which, asked, call)                                                            \
    ({                                                                                             \
        struct ait_loop *loop_;                                                                    \
        struct ait_task *t_;                                                                       \
        struct fd_entry *e_ = NULL;                                                                \
        ssize_t k_ = 0;                                                                            \
        int r_ = op_enter(&loop_, &t_);                                                            \
                                                                                                   \
        if (likely(r_ >= 0))                                                                       \
            r_ = fd_get(loop_, fd, &e_);                                                           \
        while (likely(r_ >= 0)) {                                                                  \
            if (!(e_->drained & (which))) {                                                        \
                bool socket = e_->flags & FD_SOCKET;                                               \
                                                                                                   \
                (void)socket;                                                                      \
                if (would_block(fd, e_, which)) {                                                  \
                    k_ = -1;                                                                       \
                    errno = EAGAIN;                                                                \
                } else {                                                                           \
                    k_ = (call);                                                                   \
                }                                                                                  \
                if (likely(k_ >= 0)) {                                                             \
                    if ((which) == FD_IN)                                                          \
                        note_short(e_, k_, asked);                                                 \
                    break;                                                                         \
                }                                                                                  \
                k_ = -errno;                                                                       \
                if (k_ == -EINTR)                                                                  \
                    continue;                                                                      \
                if (k_ != -EAGAIN)                                                                 \
                    break;                                                                         \
                if (!(e_->flags & FD_ASK))                                                         \
                    e_->drained |= (which);                                                        \
            }                                                                                      \
            r_ = fd_wait(loop_, t_, fd, e_, which);                                                \
        }                                                                                          \
        r_ < 0 ? (ssize_t)r_ : k_;                                                                 \
    })
