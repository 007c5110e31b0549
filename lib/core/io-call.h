/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_IO_CALL_H
#define CORE_IO_CALL_H

/*
 * What every call on an fd is made of: try first, then wait for an edge and try again. For the files that define such calls (io.c,
 * io-transfer.c) and nobody else; everything above reads and writes by the public ones.
 */

#include <poll.h>

#include <aiotools-sd/io.h>

#include "scheduler.h"

/* Suspends t until there was an edge for one of which, the fd was closed, or the task was cancelled. */
int fd_wait(struct ait_loop *loop, struct ait_task *t, int fd, struct fd_entry *e, unsigned which);
/* Finds out what kind of object an fd is. */
int fd_look_at(int fd, struct fd_entry *e);
/* Of a socket, for calls that have no MSG_DONTWAIT. */
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

/* Less than was asked for: where the object is a stream and its peer still there, it has no more. */
static always_inline void note_short(struct fd_entry *e, ssize_t k, size_t asked)
{
    if (k > 0 && (size_t)k < asked && (e->flags & (FD_STREAM | FD_HANGUP)) == FD_STREAM)
        e->drained |= FD_IN;
    else if (unlikely(e->flags & FD_COUNTER) && k > 0)
        e->drained |= FD_IN;
}

/*
 * Try first, then wait. call is evaluated until it succeeds, fails for good, or the task is cancelled while waiting for an edge; asked is how much a
 * drained object would have given, 0 where that says nothing.
 */
#define IO_CALL(fd, which, asked, call)                                                                      \
    ({                                                                                                       \
        struct ait_loop *loop_;                                                                              \
        struct ait_task *t_;                                                                                 \
        struct fd_entry *e_ = NULL;                                                                          \
        ssize_t k_ = 0;                                                                                      \
        int r_ = op_enter(&loop_, &t_);                                                                      \
                                                                                                             \
        if (likely(r_ >= 0))                                                                                 \
            r_ = fd_get(loop_, fd, &e_);                                                                     \
        while (likely(r_ >= 0)) {                                                                            \
            if (!(e_->drained & (which))) {                                                                  \
                bool socket = e_->flags & FD_SOCKET;                                                         \
                                                                                                             \
                (void)socket;                                                                                \
                if (would_block(fd, e_, which)) {                                                            \
                    k_ = -1;                                                                                 \
                    errno = EAGAIN;                                                                          \
                } else {                                                                                     \
                    k_ = (call);                                                                             \
                }                                                                                            \
                if (likely(k_ >= 0)) {                                                                       \
                    if ((which) == FD_IN)                                                                    \
                        note_short(e_, k_, asked);                                                           \
                    break;                                                                                   \
                }                                                                                            \
                k_ = -errno;                                                                                 \
                if (k_ == -EINTR)                                                                            \
                    continue;                                                                                \
                if (k_ != -EAGAIN)                                                                           \
                    break;                                                                                   \
                if (!(e_->flags & FD_ASK))                                                                   \
                    e_->drained |= (which);                                                                  \
            }                                                                                                \
            r_ = fd_wait(loop_, t_, fd, e_, which);                                                          \
        }                                                                                                    \
        r_ < 0 ? (ssize_t)r_ : k_;                                                                           \
    })

#endif
