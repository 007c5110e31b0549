/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <aiotools-sd/io.h>

#include "io-call.h"
#include "io.h"
#include "slurp.h"

/* ---- edges ----------------------------------------------------------------------------------- */

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
}

static int fd_register(struct ait_loop *loop, int fd, struct fd_entry *e, uint32_t events)
{
    /* A read stops at the urgent mark, with more behind it: good to know that there is one. */
    uint32_t urgent = e->flags & FD_SOCKET ? EPOLLPRI : 0;
    struct epoll_event event = {.events = e->events | events | urgent | EPOLLRDHUP | EPOLLET,
                                .data.u64 =
                                    (uint64_t)(e->generation & INT32_MAX) << 32 | (uint32_t)fd};
    int op = e->flags & FD_REGISTERED ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (epoll_ctl(loop->epoll_fd, op, fd, &event) < 0) {
        /*
         * The fd was closed without our knowledge, and its number belongs to another file; or the
         * event belongs to an old entry.
         */
        if (errno != (op == EPOLL_CTL_MOD ? ENOENT : EEXIST))
            return -errno;
        op = op == EPOLL_CTL_MOD ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
        if (epoll_ctl(loop->epoll_fd, op, fd, &event) < 0)
            return -errno;
    }
    e->events |= events;
    e->flags |= FD_REGISTERED;
    return 0;
}

int fd_wait(struct ait_loop *loop, struct ait_task *t, int fd, struct fd_entry *e, unsigned which)
{
    static const char *const kinds[] = {[FD_IN] = "read",
                                        [FD_OUT] = "write",
                                        [FD_IN | FD_OUT] = "poll",
                                        [FD_PRI] = "poll",
                                        [FD_IN | FD_PRI] = "poll",
                                        [FD_OUT | FD_PRI] = "poll",
                                        [FD_IN | FD_OUT | FD_PRI] = "poll"};
    const struct wait wait = {.kind = kinds[which], .value = (uint64_t)fd};
    struct waiter in = {.task = t}, out = {.task = t};
    uint32_t events = (which & FD_IN ? EPOLLIN : 0) | (which & FD_OUT ? EPOLLOUT : 0) |
                      (which & FD_PRI ? EPOLLPRI : 0);
    uint32_t generation = e->generation;
    bool over;
    int r;

    if (t->scope->effective)
        return -ECANCELED;
    if (unlikely(events & ~e->events)) {
        r = fd_register(loop, fd, e, events);
        if (r < 0)
            return r;
    }
    list_init(&in.link);
    list_init(&out.link);
    if (which & (FD_IN | FD_PRI))
        list_append(&e->readers, &in.link);
    if (which & FD_OUT)
        list_append(&e->writers, &out.link);
    do {
        task_suspend_in(loop, t, TASK_PARKED, &wait);
        over = ((which & (FD_IN | FD_PRI)) && list_empty(&in.link)) ||
               ((which & FD_OUT) && list_empty(&out.link));
    } while (!over && !t->scope->effective);
    list_remove(&in.link);
    list_remove(&out.link);
    if (e->generation != generation)
        return -EBADF;
    return over ? 0 : -ECANCELED;
}

/* ---- what kind of fd it is ------------------------------------------------------------------- */

static void look_at_socket(int fd, struct fd_entry *e)
{
    int type = 0, domain = AF_UNIX;
    socklen_t len = sizeof(type);

    e->flags |= FD_SOCKET;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM)
        return;
    /*
     * A unix socket's read stops after a message with descriptors, or with other credentials,
     * although more follows.
     */
    len = sizeof(domain);
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain != AF_UNIX)
        e->flags |= FD_STREAM;
}

/* Linux 6.5 reports it; before, it could be either. */
static bool is_plain_eventfd(int fd)
{
    char path[48], text[512];

    (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    return read_text(path, text, sizeof(text)) > 0 && strstr(text, "eventfd-semaphore: 0");
}

static int look_at(int fd, struct fd_entry *e)
{
    struct stat st;
    int mode;

    if (fstat(fd, &st) < 0)
        return -errno;
    e->flags = 0;
    e->drained = 0;
    if (S_ISSOCK(st.st_mode)) {
        look_at_socket(fd, e);
        return 0;
    }
    if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode)) {
        e->flags |= FD_PLAIN;
        return 0;
    }
    if ((st.st_mode & S_IFMT) == 0 && is_plain_eventfd(fd))
        e->flags |= FD_COUNTER;
    mode = fcntl(fd, F_GETFL);
    if (mode < 0)
        return -errno;
    /*
     * A short read from a pipe says nothing: with O_DIRECT at the writing end, which cannot be seen
     * at this end, it stops at each packet.
     */
    if (mode & O_NONBLOCK)
        return 0;
    /*
     * The mode is shared with other users of the terminal, or other programs of the pipeline: we
     * must not change it.
     */
    if (fd <= STDERR_FILENO || S_ISCHR(st.st_mode)) {
        e->flags |= FD_ASK;
        return 0;
    }
    return fcntl(fd, F_SETFL, mode | O_NONBLOCK) < 0 ? -errno : 0;
}

int fd_look_at(int fd, struct fd_entry *e)
{
    int r;

    r = look_at(fd, e);
    if (r >= 0)
        e->flags |= FD_KNOWN;
    return r;
}

/* An fd that was just made here: whatever the entry says is about a predecessor. */
static void fd_adopt(struct ait_loop *loop, int fd, uint16_t flags)
{
    struct fd_entry *e;

    if (fdtable_get(&loop->fds, fd, &e) < 0)
        return; /* looked at when it is first used */
    e->generation = (e->generation + 1) & INT32_MAX;
    e->events = 0;
    e->drained = 0;
    e->flags = FD_KNOWN | FD_OURS | flags;
    wake_all(&e->readers);
    wake_all(&e->writers);
}

/* ---- the calls ------------------------------------------------------------------------------- */

AIT_PUBLIC ssize_t ait_read(int fd, void *buf, size_t n)
{
    return IO_CALL(fd, FD_IN, n, socket ? recv(fd, buf, n, MSG_DONTWAIT) : read(fd, buf, n));
}

AIT_PUBLIC ssize_t ait_write(int fd, const void *buf, size_t n)
{
    return IO_CALL(fd, FD_OUT, 0,
                   socket               ? send(fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL)
                   : e_->flags & FD_ASK ? write(fd, buf, n < PIPE_BUF ? n : PIPE_BUF)
                                        : write(fd, buf, n));
}

AIT_PUBLIC ssize_t ait_recv(int fd, void *buf, size_t n, int flags)
{
    /* A peek takes nothing away, and MSG_TRUNC counts what it threw away. */
    size_t asked = flags & (MSG_PEEK | MSG_TRUNC | MSG_OOB | MSG_ERRQUEUE) ? 0 : n;

    return IO_CALL(fd, FD_IN, asked, recv(fd, buf, n, flags | MSG_DONTWAIT));
}

AIT_PUBLIC ssize_t ait_send(int fd, const void *buf, size_t n, int flags)
{
    return IO_CALL(fd, FD_OUT, 0, send(fd, buf, n, flags | MSG_DONTWAIT | MSG_NOSIGNAL));
}

AIT_PUBLIC ssize_t ait_recvmsg(int fd, struct msghdr *msg, int flags)
{
    struct msghdr copy;

    if (!msg)
        return -EINVAL;
    /* The kernel shrinks the lengths even if it then returns nothing. */
    copy = *msg;
    return IO_CALL(fd, FD_IN, 0, (*msg = copy, recvmsg(fd, msg, flags | MSG_DONTWAIT)));
}

AIT_PUBLIC ssize_t ait_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    if (!msg)
        return -EINVAL;
    return IO_CALL(fd, FD_OUT, 0, sendmsg(fd, msg, flags | MSG_DONTWAIT | MSG_NOSIGNAL));
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

void fd_be_nonblocking(int fd, struct fd_entry *e)
{
    int mode;

    if (likely((e->flags & (FD_NONBLOCK | FD_OURS)) || !(e->flags & FD_SOCKET)))
        return;
    mode = fcntl(fd, F_GETFL);
    if (mode >= 0 && !(mode & O_NONBLOCK))
        (void)fcntl(fd, F_SETFL, mode | O_NONBLOCK);
    e->flags |= FD_NONBLOCK;
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
    uint16_t flags = FD_SOCKET;
    struct fd_entry *e;
    int k;

    k = (int)IO_CALL(fd, FD_IN, 0, accept_one(fd, e_, addr, len));
    if (k < 0)
        return k;
    if (fdtable_get(&this_loop->fds, fd, &e) >= 0 && (e->flags & FD_STREAM))
        flags |= FD_STREAM;
    fd_adopt(this_loop, k, flags);
    return k;
}

static int connect_retry_unix(int fd, const struct sockaddr *addr, socklen_t len)
{
    uint64_t usec = AIT_USEC_PER_MSEC;
    int r;

    /* The peer's queue is full, and there is nothing to poll for. */
    for (;; usec = usec < 64 * AIT_USEC_PER_MSEC ? usec * 2 : usec) {
        r = ait_sleep(usec);
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

    r = op_enter(&loop, &t);
    if (r < 0)
        return r;
    r = fd_get(loop, fd, &e);
    if (r < 0)
        return r;
    fd_be_nonblocking(fd, e);
    if (connect(fd, addr, len) == 0)
        return 0;
    if (errno == EAGAIN)
        return connect_retry_unix(fd, addr, len);
    if (errno != EINPROGRESS && errno != EINTR)
        return -errno;
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
    return -error;
}

AIT_PUBLIC int ait_poll(int fd, short events)
{
    unsigned which = (events & (POLLIN | POLLRDHUP | POLLRDNORM) ? FD_IN : 0) |
                     (events & POLLOUT ? FD_OUT : 0) | (events & POLLPRI ? FD_PRI : 0);
    struct pollfd p = {.fd = fd, .events = events};
    struct ait_loop *loop;
    struct ait_task *t;
    struct fd_entry *e = NULL;
    int r;

    r = op_enter(&loop, &t);
    if (r >= 0)
        r = fd_get(loop, fd, &e);
    if (r >= 0 && which == 0)
        return -EINVAL;
    while (r >= 0) {
        r = poll(&p, 1, 0);
        if (r < 0)
            return -errno;
        if (p.revents & POLLNVAL)
            return -EBADF;
        if (r > 0)
            return p.revents;
        r = fd_wait(loop, t, fd, e, which);
    }
    return r;
}

/* Registers what poll(2) was asked for; the waiters join the lists that will be woken. */
static int poll_join(struct ait_loop *loop, struct ait_task *t, const struct pollfd *p,
                     struct waiter *in, struct waiter *out)
{
    uint32_t events = (p->events & (POLLIN | POLLRDHUP | POLLRDNORM) ? EPOLLIN : 0) |
                      (p->events & POLLOUT ? EPOLLOUT : 0) | (p->events & POLLPRI ? EPOLLPRI : 0);
    struct fd_entry *e = NULL;
    int r;

    *in = *out = (struct waiter){.task = t};
    list_init(&in->link);
    list_init(&out->link);
    if (p->fd < 0)
        return 0;
    r = fd_get(loop, p->fd, &e);
    if (r >= 0 && (events & ~e->events))
        r = fd_register(loop, p->fd, e, events);
    if (r < 0)
        return r;
    list_append(&e->readers, &in->link);
    if (events & EPOLLOUT)
        list_append(&e->writers, &out->link);
    return 0;
}

AIT_PUBLIC int ait_poll_many(struct pollfd *fds, size_t n)
{
    const struct wait wait = {.kind = "one of the fds at", .object = fds};
    struct waiter in[AIT_POLL_MAX], out[AIT_POLL_MAX];
    struct ait_loop *loop;
    struct ait_task *t;
    size_t joined;
    int r;

    if (!fds || n == 0 || n > AIT_POLL_MAX)
        return -EINVAL;
    r = op_enter(&loop, &t);
    while (r >= 0) {
        r = poll(fds, n, 0);
        if (r != 0)
            return r < 0 ? -errno : r;
        if (t->scope->effective)
            return -ECANCELED;
        for (joined = 0; joined < n && r >= 0; joined++)
            r = poll_join(loop, t, fds + joined, in + joined, out + joined);
        /* Woken by an edge, by a close, or cancelled: the next round finds out. */
        if (r >= 0)
            task_suspend_in(loop, t, TASK_PARKED, &wait);
        while (joined-- > 0) {
            list_remove(&in[joined].link);
            list_remove(&out[joined].link);
        }
    }
    return r;
}

static void fd_forget(struct ait_loop *loop, int fd, bool closing)
{
    struct fd_entry *e;

    if ((uint32_t)fd / FD_CHUNK >= loop->fds.n_chunks || !loop->fds.chunks[(uint32_t)fd / FD_CHUNK])
        return;
    e = loop->fds.chunks[(uint32_t)fd / FD_CHUNK] + (uint32_t)fd % FD_CHUNK;
    /*
     * Closing the only copy does it, too; but another process may have one, which would keep the
     * registration alive.
     */
    if ((e->flags & FD_REGISTERED) && !(closing && (e->flags & FD_OURS)))
        (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    e->generation = (e->generation + 1) & INT32_MAX;
    e->flags = 0;
    e->events = 0;
    e->drained = 0;
    wake_all(&e->readers);
    wake_all(&e->writers);
}

AIT_PUBLIC int ait_fd_forget(int fd)
{
    if (fd < 0)
        return -EBADF;
    if (this_loop)
        fd_forget(this_loop, fd, false);
    return 0;
}

AIT_PUBLIC int ait_close(int fd)
{
    if (fd < 0)
        return -EBADF;
    if (this_loop)
        fd_forget(this_loop, fd, true);
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
            if (total < max)
                ret_fds[total] = fd;
            else
                (void)close(fd);
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
