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

/* ---- datagrams ------------------------------------------------------------------------------- */

AIT_PUBLIC ssize_t ait_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
                                socklen_t *len)
{
    size_t asked = flags & (MSG_PEEK | MSG_TRUNC | MSG_OOB | MSG_ERRQUEUE) ? 0 : n;

    if (addr && !len)
        return -EINVAL;
    return IO_CALL(fd, FD_IN, asked, recvfrom(fd, buf, n, flags | MSG_DONTWAIT, addr, len));
}

AIT_PUBLIC ssize_t ait_sendto(int fd, const void *buf, size_t n, int flags,
                              const struct sockaddr *addr, socklen_t len)
{
    return IO_CALL(fd, FD_OUT, 0,
                   sendto(fd, buf, n, flags | MSG_DONTWAIT | MSG_NOSIGNAL, addr, len));
}

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

/* To an fd in blocking mode: no more than a pipe that is writable takes at once. */
static ssize_t write_first(int fd, const struct iovec *iov, int n)
{
    while (n > 1 && iov->iov_len == 0)
        iov++, n--;
    return n == 0 ? 0 : write(fd, iov->iov_base, iov->iov_len < PIPE_BUF ? iov->iov_len : PIPE_BUF);
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
                   socket ? recv_vector(fd, iov, n) : readv(fd, iov, n));
}

AIT_PUBLIC ssize_t ait_writev(int fd, const struct iovec *iov, int n)
{
    if (!vector_valid(iov, n))
        return -EINVAL;
    return IO_CALL(fd, FD_OUT, 0,
                   socket               ? send_vector(fd, iov, n)
                   : e_->flags & FD_ASK ? write_first(fd, iov, n)
                                        : writev(fd, iov, n));
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

static ssize_t send_file(int out, struct fd_entry *e, int in, off_t *offset, size_t n)
{
    struct sigpipe s;
    ssize_t k;

    if (!(e->flags & FD_SOCKET))
        return sendfile(out, in, offset, (e->flags & FD_ASK) && n > PIPE_BUF ? PIPE_BUF : n);
    fd_be_nonblocking(out, e);
    sigpipe_hold(&s);
    k = sendfile(out, in, offset, n);
    sigpipe_release(&s, k < 0 && errno == EPIPE);
    return k;
}

AIT_PUBLIC ssize_t ait_sendfile(int out, int in, off_t *offset, size_t n)
{
    return IO_CALL(out, FD_OUT, 0, send_file(out, e_, in, offset, n));
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

AIT_PUBLIC ssize_t ait_splice(int in, off_t *in_offset, int out, off_t *out_offset, size_t n,
                              unsigned flags)
{
    struct ait_loop *loop;
    struct ait_task *t;
    struct fd_entry *e;
    ssize_t k;
    int r;

    r = op_enter(&loop, &t);
    for (int i = 0; i < 2 && r >= 0; i++) {
        r = fd_get(loop, i == 0 ? in : out, &e);
        if (r >= 0)
            fd_be_nonblocking(i == 0 ? in : out, e);
        if (r >= 0 && unlikely(e->flags & FD_ASK))
            r = i == 0 ? ait_poll(in, POLLIN) : ait_poll(out, POLLOUT);
    }
    /* The kernel does not report which of the two had no data, or no room. */
    while (r >= 0) {
        k = splice_once(in, in_offset, out, out_offset, n, flags);
        if (k == -EINTR)
            continue;
        if (k != -EAGAIN)
            return k;
        r = ait_poll(in, POLLIN);
        if (r >= 0)
            r = ait_poll(out, POLLOUT);
    }
    return r;
}
