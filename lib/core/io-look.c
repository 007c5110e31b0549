/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What kind of object an fd is, and how those are used that would block. */

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io-call.h"
#include "slurp.h"

static void look_at_socket(int fd, struct fd_entry *e)
{
    int type = 0, domain = AF_UNIX;
    socklen_t len = sizeof(type);

    e->flags |= FD_SOCKET;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
        return;
    if (type != SOCK_STREAM) {
        e->flags |= type == SOCK_SEQPACKET ? 0 : FD_DGRAM;
        return;
    }
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

/* Most regular files never wait. Some below /proc and /sys do, and those can be polled. */
static bool never_waits(const struct ait_loop *loop, int fd, mode_t mode)
{
    struct epoll_event none = {};

    if (S_ISDIR(mode) || S_ISBLK(mode))
        return true;
    if (!S_ISREG(mode))
        return false;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &none) < 0)
        return errno == EPERM;
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    return false;
}

/* The end that the program of a terminal uses. The other one, of a pty, belongs to who made it. */
static bool is_terminal(int fd, mode_t mode)
{
    unsigned number;

    return S_ISCHR(mode) && isatty(fd) && ioctl(fd, TIOCGPTN, &number) < 0;
}

static int look_at(const struct ait_loop *loop, int fd, struct fd_entry *e)
{
    struct stat st;
    bool terminal;
    int mode;

    if (fstat(fd, &st) < 0)
        return -errno;
    e->flags &= FD_REGISTERED;
    e->drained = 0;
    if (S_ISSOCK(st.st_mode)) {
        look_at_socket(fd, e);
        return 0;
    }
    if (never_waits(loop, fd, st.st_mode))
        return 0;
    if ((st.st_mode & S_IFMT) == 0 && is_plain_eventfd(fd))
        e->flags |= FD_COUNTER;
    /*
     * The mode is shared with other users of the terminal, or other programs of the pipeline. We
     * must not change it, and they may.
     */
    terminal = is_terminal(fd, st.st_mode);
    if (fd <= STDERR_FILENO || terminal) {
        e->flags |= FD_ASK;
        if (terminal || S_ISFIFO(st.st_mode))
            e->flags |= FD_REOPEN;
        if (terminal)
            e->flags |= FD_TERMINAL;
        return 0;
    }
    /*
     * A short read from a pipe says nothing: with O_DIRECT at the writing end, which cannot be seen
     * at this end, it stops at each packet.
     */
    mode = fcntl(fd, F_GETFL);
    if (mode < 0)
        return -errno;
    return mode & O_NONBLOCK || fcntl(fd, F_SETFL, mode | O_NONBLOCK) >= 0 ? 0 : -errno;
}

int fd_look_at(struct ait_loop *loop, int fd, struct fd_entry *e)
{
    int r;

    r = look_at(loop, fd, e);
    if (r >= 0)
        e->flags |= FD_KNOWN;
    return r;
}

void fd_be_nonblocking(int fd, struct fd_entry *e)
{
    int mode;

    if (likely((e->flags & FD_NONBLOCK) || !(e->flags & FD_SOCKET)))
        return;
    mode = fcntl(fd, F_GETFL);
    if (mode >= 0 && !(mode & O_NONBLOCK))
        (void)fcntl(fd, F_SETFL, mode | O_NONBLOCK);
    e->flags |= FD_NONBLOCK;
}

/* ---- in blocking mode ------------------------------------------------------------------------ */

/*
 * What poll(2) has said need not be true any more when the call follows: other processes read the
 * same input, and a terminal that has room need not have enough. An open file of our own can be
 * non-blocking. It is not kept, as it would keep the terminal or pipe open.
 */
static int reopen(int fd, unsigned which)
{
    int mode = fcntl(fd, F_GETFL);
    char path[32];

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, (which == FD_IN ? O_RDONLY : O_WRONLY) | (mode < 0 ? 0 : mode & O_DIRECT) |
                          O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int fd_ask(int fd, const struct fd_entry *e, unsigned which)
{
    struct pollfd p = {.fd = fd, .events = which == FD_IN ? POLLIN : POLLOUT};
    int io;

    if (poll(&p, 1, 0) == 0)
        return -1;
    /* A terminal that was hung up must stay so, and a pipe without readers cannot be reopened. */
    if (!(e->flags & FD_REOPEN) || (p.revents & (POLLHUP | POLLERR | POLLNVAL)))
        return fd;
    io = reopen(fd, which);
    return io < 0 ? fd : io;
}

void fd_answer(int fd, int io)
{
    int error = errno;

    if (io >= 0 && io != fd)
        (void)close(io);
    errno = error;
}

size_t fd_room(const struct fd_entry *e, int fd, int io, size_t n)
{
    size_t room;

    if (io != fd || !(e->flags & FD_REOPEN))
        return n;
    /* It could not be reopened. */
    room = e->flags & FD_TERMINAL ? 1 : PIPE_BUF;
    return n < room ? n : room;
}
