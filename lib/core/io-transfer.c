/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Beyond read and write: datagrams with addresses, vectors, and copies from one fd to another
 * inside the kernel.
 */

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io-call.h"

/* ---- vectors --------------------------------------------------------------------------------- */

static size_t vector_size(const struct iovec *iov, int n)
{
    size_t size = 0;

    for (int i = 0; i < n; i++)
        size += iov[i].iov_len;
    return size;
}

static ssize_t recv_vector(int fd, const struct iovec *iov, int n)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};

    return recvmsg(fd, &msg, MSG_DONTWAIT);
}

static ssize_t send_vector(int fd, const struct iovec *iov, int n)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};

    return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* To an fd in blocking mode: no more than it takes at once. */
static ssize_t write_room(const struct fd_entry *e, int fd, int io, const struct iovec *iov, int n)
{
    size_t size = vector_size(iov, n);

    if (fd_room(e, fd, io, size) == size)
        return writev(io, iov, n);
    while (n > 1 && iov->iov_len == 0)
        iov++, n--;
    return write(io, iov->iov_base, fd_room(e, fd, io, iov->iov_len));
}

static int vector_valid(const struct iovec *iov, int n)
{
    return n >= 0 && n <= IOV_MAX && (iov || n == 0);
}

AIT_PUBLIC ssize_t ait_readv(int fd, const struct iovec *iov, int n)
{
    if (!vector_valid(iov, n))
        return -EINVAL;
    return IO_CALL(fd, FD_IN, vector_size(iov, n),
                   socket ? recv_vector(io_, iov, n) : readv(io_, iov, n));
}

AIT_PUBLIC ssize_t ait_writev(int fd, const struct iovec *iov, int n)
{
    if (!vector_valid(iov, n))
        return -EINVAL;
    return IO_CALL(fd, FD_OUT, 0,
                   socket               ? send_vector(io_, iov, n)
                   : e_->flags & FD_ASK ? write_room(e_, fd, io_, iov, n)
                                        : writev(io_, iov, n));
}

/* ---- inside the kernel ----------------------------------------------------------------------- */

/* sendfile(2) and splice(2) have no MSG_NOSIGNAL. */
struct sigpipe {
    sigset_t set, before;
    bool was_pending;
};

static void sigpipe_hold(struct sigpipe *s)
{
    sigset_t pending;

    sigemptyset(&s->set);
    sigaddset(&s->set, SIGPIPE);
    s->was_pending = false;
    (void)pthread_sigmask(SIG_BLOCK, &s->set, &s->before);
    if (sigismember(&s->before, SIGPIPE) == 1 && sigpending(&pending) == 0)
        s->was_pending = sigismember(&pending, SIGPIPE) == 1;
}

static void sigpipe_release(const struct sigpipe *s, bool raised)
{
    int error = errno;

    if (raised && !s->was_pending)
        (void)sigtimedwait(&s->set, NULL, &(struct timespec){});
    if (sigismember(&s->before, SIGPIPE) == 0)
        (void)pthread_sigmask(SIG_SETMASK, &s->before, NULL);
    errno = error;
}

/* The second fd of a call, which other tasks may close while it waits for the first. */
struct other {
    const struct fd_entry *e;
    uint32_t generation;
};

static int other_init(struct other *o, struct ait_loop *loop, int fd)
{
    struct fd_entry *e;
    int r;

    if (!loop)
        return 0; /* the call is refused */
    r = fdtable_get(&loop->fds, fd, &e);
    if (r >= 0)
        *o = (struct other){.e = e, .generation = e->generation};
    return r;
}

static bool other_closed(const struct other *o)
{
    return o->e && o->e->generation != o->generation;
}

static ssize_t send_file(int out, int io, struct fd_entry *e, int in, const struct other *other,
                         off_t *offset, size_t n)
{
    struct sigpipe s;
    ssize_t k;

    if (other_closed(other)) {
        errno = EBADF;
        return -1;
    }
    if (!(e->flags & FD_SOCKET))
        return sendfile(io, in, offset, fd_room(e, out, io, n));
    fd_be_nonblocking(out, e);
    sigpipe_hold(&s);
    k = sendfile(out, in, offset, n);
    sigpipe_release(&s, k < 0 && errno == EPIPE);
    return k;
}

AIT_PUBLIC ssize_t ait_sendfile(int out, int in, off_t *offset, size_t n)
{
    struct other other = {};
    int r;

    r = other_init(&other, this_loop, in);
    if (r < 0)
        return r;
    return IO_CALL(out, FD_OUT, 0, send_file(out, io_, e_, in, &other, offset, n));
}

static ssize_t splice_once(int in, off_t *in_offset, int out, off_t *out_offset, size_t n,
                           unsigned flags)
{
    loff_t from = in_offset ? *in_offset : 0, to = out_offset ? *out_offset : 0;
    struct sigpipe s;
    ssize_t k;

    sigpipe_hold(&s);
    k = splice(in, in_offset ? &from : NULL, out, out_offset ? &to : NULL, n,
               flags | SPLICE_F_NONBLOCK);
    sigpipe_release(&s, k < 0 && errno == EPIPE);
    if (k < 0)
        return -errno;
    if (in_offset)
        *in_offset = from;
    if (out_offset)
        *out_offset = to;
    return k;
}

/* An fd of ait_splice(). */
struct end {
    int fd, io; /* io: what is used once, -1: it would block */
    unsigned which;
    struct fd_entry *e;
    uint32_t generation;
};

static int end_init(struct end *end, struct ait_loop *loop)
{
    int r;

    r = fdtable_get(&loop->fds, end->fd, &end->e);
    if (r >= 0)
        end->generation = end->e->generation;
    return r;
}

static int end_wait(struct end *end)
{
    int r;

    if (end->e->generation != end->generation)
        return -EBADF;
    r = ait_poll(end->fd, end->which == FD_IN ? POLLIN : POLLOUT);
    return r < 0 ? r : 0;
}

static int end_ask(struct ait_loop *loop, struct end *end)
{
    int r = 0;

    if (end->e->generation != end->generation)
        return -EBADF;
    if (!(end->e->flags & FD_KNOWN))
        r = fd_look_at(loop, end->fd, end->e);
    if (r < 0)
        return r;
    fd_be_nonblocking(end->fd, end->e);
    end->io = end->e->flags & FD_ASK ? fd_ask(end->fd, end->e, end->which) : end->fd;
    return 0;
}

AIT_PUBLIC ssize_t ait_splice(int in, off_t *in_offset, int out, off_t *out_offset, size_t n,
                              unsigned flags)
{
    struct end from = {.fd = in, .io = in, .which = FD_IN};
    struct end to = {.fd = out, .io = out, .which = FD_OUT};
    struct ait_loop *loop = this_loop;
    struct ait_task *t;
    ssize_t k;
    int r = 0;

    if (loop)
        r = end_init(&from, loop);
    if (loop && r >= 0)
        r = end_init(&to, loop);
    if (r >= 0)
        r = op_enter(&loop, &t);
    /* The kernel does not report which of the two had no data, or no room. */
    while (r >= 0) {
        from.io = in;
        to.io = out;
        r = end_ask(loop, &from);
        if (r >= 0)
            r = end_ask(loop, &to);
        k = r < 0 ? r
            : from.io < 0 || to.io < 0
                ? -EAGAIN
                : splice_once(from.io, in_offset, to.io, out_offset, n, flags);
        fd_answer(in, from.io);
        fd_answer(out, to.io);
        if (k == -EINTR)
            continue;
        if (k != -EAGAIN)
            return k;
        r = end_wait(&from);
        if (r >= 0)
            r = end_wait(&to);
    }
    return r;
}
