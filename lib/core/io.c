/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <aiotools-sd/io.h>

#include "io-call.h"
#include "io.h"

/* ---- edges ----------------------------------------------------------------------------------- */

_Static_assert(FD_IN == (int)EPOLLIN && FD_OUT == (int)EPOLLOUT,
               "fd_wait() takes one for the other");

#define PAUSE_MIN AIT_USEC_PER_MSEC
#define PAUSE_MAX (16 * AIT_USEC_PER_MSEC)

static void wake_all(struct list *waiters)
{
    while (!list_empty(waiters)) {
        struct waiter *w = container_of(waiters->next, struct waiter, link);

        list_remove(&w->link);
        task_wake(w->task);
    }
}

void fd_event(struct ait_loop *loop, uint64_t data, uint32_t events)
{
    struct fd_entry *e;

    if (fdtable_get(&loop->fds, (int)(uint32_t)data, &e) < 0 ||
        e->generation != (uint32_t)(data >> 32))
        return;
    if (unlikely(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)))
        e->flags |= FD_HANGUP;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)) {
        e->drained &= (uint8_t)~FD_IN;
        wake_all(&e->readers);
    }
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        e->drained &= (uint8_t)~FD_OUT;
        wake_all(&e->writers);
    }
    if (unlikely(!list_empty(&e->pollers)))
        pollers_wake(e, events);
}

int fd_control(struct ait_loop *loop, int op, int fd, const struct fd_entry *e, uint32_t events)
{
    struct epoll_event event = {
        .events = events, .data.u64 = (uint64_t)(e->generation & INT32_MAX) << 32 | (uint32_t)fd};

    if (epoll_ctl(loop->epoll_fd, op, fd, &event) == 0)
        return 0;
    /*
     * The fd was closed without our knowledge, and its number belongs to another file; or the event
     * belongs to an old entry.
     */
    if (errno != (op == EPOLL_CTL_MOD ? ENOENT : EEXIST))
        return -errno;
    op = op == EPOLL_CTL_MOD ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    return epoll_ctl(loop->epoll_fd, op, fd, &event) < 0 ? -errno : 0;
}

int fd_register(struct ait_loop *loop, int fd, struct fd_entry *e, uint32_t events)
{
    /* A read stops at the urgent mark, with more behind it: good to know that there is one. */
    uint32_t urgent = e->flags & FD_SOCKET ? EPOLLPRI : 0;
    int r;

    events |= e->events | pollers_events(e);
    r = fd_control(loop, e->flags & FD_REGISTERED ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, e,
                   events | urgent | EPOLLRDHUP | EPOLLET);
    if (r < 0)
        return r;
    e->events = events;
    e->flags |= FD_REGISTERED;
    return 0;
}

/* What the entry says is about a file that has gone. */
static void entry_reset(struct fd_entry *e, uint16_t flags)
{
    e->generation = (e->generation + 1) & INT32_MAX;
    e->flags = flags;
    e->events = 0;
    e->drained = 0;
    wake_all(&e->readers);
    wake_all(&e->writers);
    pollers_wake(e, UINT32_MAX);
}

/*
 * With AIT_DEBUG, before a call of ours waits: whether its fd is still the one that was registered.
 * Returns 1 if it is not, and the call is to begin again.
 */
static cold int fd_verify(struct ait_loop *loop, int fd, struct fd_entry *e, unsigned which)
{
    struct epoll_event event = {.events = e->events | EPOLLRDHUP | EPOLLET,
                                .data.u64 = (uint64_t)e->generation << 32 | (uint32_t)fd};
    int r;

    if (!(e->flags & FD_REGISTERED) || !(e->drained & which) ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0 || errno != ENOENT)
        return 0;
    (void)fprintf(
        stderr,
        "aiotools-sd: fd %d was closed by other code while the loop knew it; close it with "
        "ait_close(), or call ait_fd_forget() before\n",
        fd);
    entry_reset(e, 0);
    r = fd_look_at(loop, fd, e);
    return r < 0 ? r : 1;
}

int fd_wait(struct ait_loop *loop, struct ait_task *t, int fd, struct fd_entry *e, unsigned which)
{
    const struct wait wait = {.kind = which == FD_IN ? "read" : "write", .value = (uint64_t)fd};
    struct waiter w = {.task = t};
    uint32_t events = which;
    uint32_t generation = e->generation;
    bool over;
    int r;

    if (t->scope->effective)
        return -ECANCELED;
    if (unlikely(loop->debug)) {
        r = fd_verify(loop, fd, e, which);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    if (unlikely(events & ~e->events)) {
        r = fd_register(loop, fd, e, events);
        if (r < 0)
            return r;
    }
    list_append(which == FD_IN ? &e->readers : &e->writers, &w.link);
    do {
        task_suspend_in(loop, t, TASK_PARKED, &wait);
        over = list_empty(&w.link);
    } while (!over && !t->scope->effective);
    list_remove(&w.link);
    if (e->generation != generation)
        return -EBADF;
    return over ? 0 : -ECANCELED;
}

int fd_pause(const struct fd_entry *e, uint64_t usec)
{
    uint32_t generation = e->generation;
    int r;

    r = ait_sleep(usec);
    return e->generation != generation ? -EBADF : r;
}

int fd_budget(struct ait_loop *loop, struct ait_task *t, const struct fd_entry *e)
{
    uint32_t generation = e->generation;
    int r;

    r = op_budget(loop, t);
    return e->generation != generation ? -EBADF : r;
}

static uint64_t pause_usec(unsigned n_tries)
{
    return n_tries < 4 ? PAUSE_MIN << n_tries : PAUSE_MAX;
}

int fd_wait_room(struct ait_loop *loop, struct ait_task *t, int fd, struct fd_entry *e,
                 unsigned n_tries)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    if (poll(&p, 1, 0) == 0)
        return fd_wait(loop, t, fd, e, FD_OUT);
    /*
     * The socket has room: the receiver has none, and there is nothing to poll for. An edge of the
     * socket only says that the message which was refused has been freed.
     */
    return n_tries == 0 ? 0 : fd_pause(e, pause_usec(n_tries - 1));
}

/* ---- entries --------------------------------------------------------------------------------- */

/* An fd that was just made here; flags as after a look, or 0: it is looked at when it is used. */
static void fd_adopt(struct ait_loop *loop, int fd, uint16_t flags)
{
    struct fd_entry *e;

    if (fdtable_get(&loop->fds, fd, &e) >= 0)
        entry_reset(e, flags);
}

/* ---- the calls ------------------------------------------------------------------------------- */

AIT_PUBLIC ssize_t ait_read(int fd, void *buf, size_t n)
{
    return IO_CALL(fd, FD_IN, n, socket ? recv(io_, buf, n, MSG_DONTWAIT) : read(io_, buf, n));
}

AIT_PUBLIC ssize_t ait_write(int fd, const void *buf, size_t n)
{
    return IO_CALL(fd, FD_OUT, 0,
                   socket               ? send(io_, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL)
                   : e_->flags & FD_ASK ? write(io_, buf, fd_room(e_, fd, io_, n))
                                        : write(io_, buf, n));
}

/*
 * With these flags EAGAIN says nothing about the data that waits: the error queue and urgent data
 * are queues of their own, and a peek may begin behind all data (SO_PEEK_OFF).
 */
#define OTHER_QUEUE (MSG_ERRQUEUE | MSG_OOB | MSG_PEEK)

AIT_PUBLIC ssize_t ait_recv(int fd, void *buf, size_t n, int flags)
{
    /* MSG_TRUNC counts what it threw away. */
    size_t asked = flags & MSG_TRUNC ? 0 : n;

    if (unlikely(flags & OTHER_QUEUE))
        return IO_CALL_MARKED(fd, FD_IN, 0, 0, recv(io_, buf, n, flags | MSG_DONTWAIT));
    return IO_CALL(fd, FD_IN, asked, recv(io_, buf, n, flags | MSG_DONTWAIT));
}

AIT_PUBLIC ssize_t ait_send(int fd, const void *buf, size_t n, int flags)
{
    return IO_CALL(fd, FD_OUT, 0, send(io_, buf, n, flags | MSG_DONTWAIT | MSG_NOSIGNAL));
}

/* The kernel shrinks the lengths even if it then returns nothing. */
static ssize_t recv_message(int fd, struct msghdr *msg, const struct msghdr *copy, int flags)
{
    *msg = *copy;
    return recvmsg(fd, msg, flags | MSG_DONTWAIT);
}

AIT_PUBLIC ssize_t ait_recvmsg(int fd, struct msghdr *msg, int flags)
{
    struct msghdr copy;

    if (!msg)
        return -EINVAL;
    copy = *msg;
    if (unlikely(flags & OTHER_QUEUE))
        return IO_CALL_MARKED(fd, FD_IN, 0, 0, recv_message(io_, msg, &copy, flags));
    return IO_CALL(fd, FD_IN, 0, recv_message(io_, msg, &copy, flags));
}

AIT_PUBLIC ssize_t ait_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
                                socklen_t *len)
{
    size_t asked = flags & MSG_TRUNC ? 0 : n;

    if (addr && !len)
        return -EINVAL;
    if (unlikely(flags & OTHER_QUEUE))
        return IO_CALL_MARKED(fd, FD_IN, 0, 0,
                              recvfrom(io_, buf, n, flags | MSG_DONTWAIT, addr, len));
    return IO_CALL(fd, FD_IN, asked, recvfrom(io_, buf, n, flags | MSG_DONTWAIT, addr, len));
}

AIT_PUBLIC ssize_t ait_sendto(int fd, const void *buf, size_t n, int flags,
                              const struct sockaddr *addr, socklen_t len)
{
    return IO_CALL(fd, FD_OUT, 0,
                   sendto(io_, buf, n, flags | MSG_DONTWAIT | MSG_NOSIGNAL, addr, len));
}

/*
 * Changes whenever one of the descriptors in a message is closed by ait_close(): generations only
 * grow.
 */
static uint64_t message_stamp(const struct msghdr *msg)
{
    const char *end = (const char *)msg->msg_control + msg->msg_controllen;
    uint64_t stamp = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR((struct msghdr *)msg, c)) {
        size_t n = c->cmsg_len < CMSG_LEN(0) ? 0 : (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (n > (size_t)(end - (const char *)CMSG_DATA(c)) / sizeof(int))
            break; /* the kernel will refuse it */
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < n; i++) {
            struct fd_entry *e;
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (fdtable_get(&this_loop->fds, fd, &e) >= 0)
                stamp += e->generation;
        }
    }
    return stamp;
}

static ssize_t send_message(int fd, const struct msghdr *msg, int flags, uint64_t stamp)
{
    if (unlikely(msg->msg_controllen > 0) && message_stamp(msg) != stamp) {
        errno = EBADF;
        return -1;
    }
    return sendmsg(fd, msg, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
}

AIT_PUBLIC ssize_t ait_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    uint64_t stamp = 0;

    if (!msg)
        return -EINVAL;
    if (unlikely(msg->msg_controllen > 0) && this_loop)
        stamp = message_stamp(msg);
    return IO_CALL(fd, FD_OUT, 0, send_message(io_, msg, flags, stamp));
}

AIT_PUBLIC int ait_write_all(int fd, const void *buf, size_t n, size_t *ret_done)
{
    size_t done = 0;
    ssize_t k = 0;

    while (done < n) {
        k = ait_write(fd, (const char *)buf + done, n - done);
        if (k < 0)
            break;
        done += (size_t)k;
    }
    if (ret_done)
        *ret_done = done;
    return k < 0 ? (int)k : 0;
}

/* accept4() without the errors that concern a connection which is gone again. */
static int accept_one(int fd, struct fd_entry *e, struct sockaddr *addr, socklen_t *len)
{
    int k;

    fd_be_nonblocking(fd, e);
    do
        k = accept4(fd, addr, len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    while (k < 0 && (errno == ECONNABORTED || errno == EPROTO));
    return k;
}

AIT_PUBLIC int ait_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
    uint16_t flags = FD_KNOWN | FD_SOCKET | FD_NONBLOCK;
    struct fd_entry *e;
    int k;

    k = (int)IO_CALL(fd, FD_IN, 0, accept_one(io_, e_, addr, len));
    if (k < 0)
        return k;
    if (fdtable_get(&this_loop->fds, fd, &e) >= 0 && (e->flags & FD_STREAM))
        flags |= FD_STREAM;
    fd_adopt(this_loop, k, flags);
    return k;
}

/* The peer's queue is full, and there is nothing to poll for. */
static int connect_retry_unix(int fd, const struct fd_entry *e, const struct sockaddr *addr,
                              socklen_t len)
{
    for (unsigned n_tries = 0;; n_tries++) {
        int r;

        r = fd_pause(e, pause_usec(n_tries));
        if (r < 0)
            return r;
        if (connect(fd, addr, len) == 0)
            return 0;
        if (errno != EAGAIN)
            return -errno;
    }
}

AIT_PUBLIC int ait_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    socklen_t error_len = sizeof(int);
    struct ait_loop *loop;
    struct ait_task *t;
    struct fd_entry *e = NULL;
    int r, error = 0;

    r = fd_enter(fd, &loop, &t, &e);
    if (r < 0)
        return r;
    fd_be_nonblocking(fd, e);
    if (connect(fd, addr, len) == 0)
        return 0;
    if (errno == EAGAIN)
        return connect_retry_unix(fd, e, addr, len);
    if (errno != EINPROGRESS && errno != EINTR)
        return (int)fd_error(-errno);
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};

        r = fd_wait(loop, t, fd, e, FD_OUT);
        if (r < 0)
            return r;
        if (poll(&p, 1, 0) > 0)
            break;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len) < 0)
        return -errno;
    e->flags &= (uint16_t)~FD_HANGUP;
    return (int)fd_error(-error);
}

static void fd_forget(struct ait_loop *loop, int fd)
{
    struct fd_entry *e;

    if ((uint32_t)fd / FD_CHUNK >= loop->fds.n_chunks || !loop->fds.chunks[(uint32_t)fd / FD_CHUNK])
        return;
    e = loop->fds.chunks[(uint32_t)fd / FD_CHUNK] + (uint32_t)fd % FD_CHUNK;
    /*
     * Closing does not do it: epoll watches the open file, which goes on where there is a copy of
     * the fd, such as in another process.
     */
    if ((e->flags & FD_REGISTERED) || !list_empty(&e->pollers))
        (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    entry_reset(e, 0);
}

AIT_PUBLIC int ait_fd_forget(int fd)
{
    if (fd < 0)
        return -EBADF;
    if (this_loop)
        fd_forget(this_loop, fd);
    return 0;
}

int fd_hold(struct fd_hold *hold, int fd)
{
    struct fd_entry *e;
    int r;

    if (!this_loop)
        return loop_foreign();
    r = fdtable_get(&this_loop->fds, fd, &e);
    if (r < 0)
        return r;
    if (e->closed)
        return -EBADF;
    e->n_held++;
    *hold = (struct fd_hold){.fd = fd, .generation = e->generation};
    return 0;
}

ssize_t fd_release(const struct fd_hold *hold, ssize_t r)
{
    struct fd_entry *e;
    bool closed;

    if (fdtable_get(&this_loop->fds, hold->fd, &e) < 0)
        return r;
    closed = e->generation != hold->generation;
    if (--e->n_held == 0 && e->closed) {
        e->closed = false;
        (void)close(hold->fd);
    }
    return r < 0 && r != -ECANCELED && closed ? -EBADF : r;
}

/* A thread still uses the number: another file takes it, on which no such call does anything. */
static bool close_held(struct ait_loop *loop, int fd)
{
    struct fd_entry *e;

    if (fdtable_get(&loop->fds, fd, &e) < 0 || e->n_held == 0)
        return false;
    e->closed = e->closed || dup3(loop->epoll_fd, fd, O_CLOEXEC) >= 0;
    return e->closed;
}

AIT_PUBLIC int ait_close(int fd)
{
    if (fd < 0)
        return -EBADF;
    if (this_loop) {
        fd_forget(this_loop, fd);
        if (unlikely(close_held(this_loop, fd)))
            return 0;
    }
    return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

/* ---- file descriptors in messages ------------------------------------------------------------ */

#define MAX_FDS 253 /* SCM_MAX_FD */

AIT_PUBLIC ssize_t ait_send_fds(int fd, const void *buf, size_t n, const int *fds, size_t n_fds)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * MAX_FDS)];
    } control;
    struct iovec iov = {.iov_base = (void *)buf, .iov_len = n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (n_fds > MAX_FDS || (n_fds > 0 && (!fds || n == 0)))
        return -EINVAL;
    if (n_fds > 0) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        memset(&control, 0, msg.msg_controllen);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * n_fds);
    }
    return ait_sendmsg(fd, &msg, 0);
}

/* Copies the fds of msg out as far as there is room and closes the rest. Returns how many came. */
static size_t take_fds(struct msghdr *msg, int *ret_fds, size_t max)
{
    size_t total = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < n; i++, total++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (total < max) {
                ret_fds[total] = fd;
                fd_adopt(this_loop, fd, 0);
            } else {
                (void)close(fd);
            }
        }
    }
    return total;
}

AIT_PUBLIC ssize_t ait_recv_fds(int fd, void *buf, size_t n, int *ret_fds, size_t max,
                                size_t *ret_n_fds)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * MAX_FDS)];
    } control;
    struct iovec iov = {.iov_base = buf, .iov_len = n};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    size_t n_fds;
    ssize_t k;

    if (max > 0 && !ret_fds)
        return -EINVAL;
    k = ait_recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    if (k < 0)
        return k;
    n_fds = take_fds(&msg, ret_fds, max);
    if (n_fds > max || (msg.msg_flags & MSG_CTRUNC)) {
        for (size_t i = 0; i < n_fds && i < max; i++)
            (void)close(ret_fds[i]);
        return -EMSGSIZE;
    }
    if (ret_n_fds)
        *ret_n_fds = n_fds;
    return k;
}
