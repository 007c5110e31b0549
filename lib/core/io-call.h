/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How each call on an fd works: try first, then wait for an edge and try again. For the files that
 * define such calls, and no others; all other code uses the public functions.
 *
 * A number stands for an open file only as long as no other task runs. Each call takes the entry
 * before it may suspend, and after that goes on only if the entry's generation is the same.
 */

#include <poll.h>

#include <aiotools-sd/io.h>

#include "scheduler.h"

/* ---- io.c ------------------------------------------------------------------------------------ */

/* Suspends t until one of which has an edge, the fd is closed, or the task is cancelled. */
int fd_wait(struct ait_loop *loop, struct ait_task *t, int fd, struct fd_entry *e, unsigned which);
/*
 * The same for a send on a datagram socket that was refused: not always by the socket itself, whose
 * edges then mean nothing. n_tries counts the refusals.
 */
int fd_wait_room(struct ait_loop *loop, struct ait_task *t, int fd, struct fd_entry *e,
                 unsigned n_tries);
/* Sleeps; -EBADF if the fd was closed meanwhile. */
int fd_pause(const struct fd_entry *e, uint64_t usec);
/* Lets other tasks run first; -EBADF if the fd was closed meanwhile. */
int fd_budget(struct ait_loop *loop, struct ait_task *t, const struct fd_entry *e);
/* The epoll registration of fd; op is the one that will probably do. */
int fd_control(struct ait_loop *loop, int op, int fd, const struct fd_entry *e, uint32_t events);
/* Adds events to those that fd is registered for, edge-triggered. */
int fd_register(struct ait_loop *loop, int fd, struct fd_entry *e, uint32_t events);

/* An error of the system as the caller is to see it: -ECANCELED and -ETIME mean something else. */
static inline ssize_t fd_error(ssize_t error)
{
    return unlikely(error == -ECANCELED || error == -ETIME) ? -EPROTO : error;
}

/* ---- io-look.c ------------------------------------------------------------------------------- */

/* Finds out what kind of object an fd is. */
int fd_look_at(struct ait_loop *loop, int fd, struct fd_entry *e);
/* For sockets, and calls that have no MSG_DONTWAIT. */
void fd_be_nonblocking(int fd, struct fd_entry *e);
/*
 * For an fd in blocking mode that is not ours to change: the fd for a call that does not block,
 * which may be fd itself; -1: it would block. fd_answer() gives it back and leaves errno alone.
 */
int fd_ask(int fd, const struct fd_entry *e, unsigned which);
void fd_answer(int fd, int io);
/* How much of n may be written to io, the result of fd_ask(fd), without blocking. */
size_t fd_room(const struct fd_entry *e, int fd, int io, size_t n);

/* ---- io-poll.c ------------------------------------------------------------------------------- */

/* Wakes the tasks that poll for one of events. */
void pollers_wake(struct fd_entry *e, uint32_t events);
/* What the tasks that poll the fd wait for. */
uint32_t pollers_events(const struct fd_entry *e);

/* ---------------------------------------------------------------------------------------------- */

/* op_enter() for a call on fd, which may be closed while other tasks run first. */
static always_inline int fd_enter(int fd, struct ait_loop **ret_loop, struct ait_task **ret_task,
                                  struct fd_entry **ret)
{
    struct ait_loop *loop = this_loop;
    struct ait_task *t = likely(loop != NULL) ? loop->current : NULL;
    int r;

    *ret_loop = loop;
    *ret_task = t;
    if (unlikely(!t))
        return op_refused(loop);
    if (unlikely(t->scope->effective))
        return op_cancelled(t);
    r = fdtable_get(&loop->fds, fd, ret);
    if (unlikely(r < 0))
        return r;
    if (unlikely(loop->budget-- == 0)) {
        r = fd_budget(loop, t, *ret);
        if (r < 0)
            return r;
    }
    return unlikely(!((*ret)->flags & FD_KNOWN)) ? fd_look_at(loop, fd, *ret) : 0;
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
 * cancelled while it waits for an edge; in it, io_ is the fd to use. asked is what an object that
 * is not drained would have given; 0: that says nothing. mark is FD_IN, FD_OUT, or 0 for a call
 * whose EAGAIN is not about the ordinary data: it is tried whatever the entry says.
 */
#define IO_CALL_MARKED(fd, which, mark, asked, call)                                               \
    ({                                                                                             \
        struct ait_loop *loop_;                                                                    \
        struct ait_task *t_;                                                                       \
        struct fd_entry *e_ = NULL;                                                                \
        unsigned n_tries_ = 0;                                                                     \
        ssize_t k_ = 0;                                                                            \
        int r_ = fd_enter(fd, &loop_, &t_, &e_);                                                   \
                                                                                                   \
        while (likely(r_ >= 0)) {                                                                  \
            if (!(e_->drained & (mark))) {                                                         \
                bool socket = e_->flags & FD_SOCKET;                                               \
                                                                                                   \
                (void)socket;                                                                      \
                if (likely(!(e_->flags & FD_ASK))) {                                               \
                    const int io_ = fd;                                                            \
                                                                                                   \
                    k_ = (call);                                                                   \
                } else {                                                                           \
                    const int io_ = fd_ask(fd, e_, which);                                         \
                                                                                                   \
                    errno = EAGAIN;                                                                \
                    k_ = io_ >= 0 ? (call) : -1;                                                   \
                    fd_answer(fd, io_);                                                            \
                }                                                                                  \
                if (likely(k_ >= 0)) {                                                             \
                    if ((which) == FD_IN)                                                          \
                        note_short(e_, k_, asked);                                                 \
                    break;                                                                         \
                }                                                                                  \
                k_ = -errno;                                                                       \
                if (k_ == -EINTR)                                                                  \
                    continue;                                                                      \
                if (k_ != -EAGAIN) {                                                               \
                    k_ = fd_error(k_);                                                             \
                    break;                                                                         \
                }                                                                                  \
                if ((which) == FD_OUT && unlikely(e_->flags & FD_DGRAM)) {                         \
                    r_ = fd_wait_room(loop_, t_, fd, e_, n_tries_++);                              \
                    continue;                                                                      \
                }                                                                                  \
                if (!(e_->flags & FD_ASK))                                                         \
                    e_->drained |= (mark);                                                         \
            }                                                                                      \
            r_ = fd_wait(loop_, t_, fd, e_, which);                                                \
        }                                                                                          \
        r_ < 0 ? (ssize_t)r_ : k_;                                                                 \
    })

#define IO_CALL(fd, which, asked, call) IO_CALL_MARKED(fd, which, which, asked, call)
