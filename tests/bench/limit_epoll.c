/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "limit.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * The raw loop: edge-triggered, each fd registered once, a short read taken for "drained". No state
 * a connection at all.
 */

bool echo_drain(int fd)
{
    char buffer[1024];
    ssize_t n;

    do {
        n = recv(fd, buffer, sizeof(buffer), 0);
        if (n < 0)
            return errno == EAGAIN;
        if (n == 0 || send(fd, buffer, (size_t)n, MSG_NOSIGNAL) != n)
            return false;
    } while (n == sizeof(buffer));
    return true;
}

static int watch(int poller, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd};

    return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void accept_all(int poller, int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        if (watch(poller, fd) < 0)
            close(fd);
}

int limit_echo(struct bench *b)
{
    struct epoll_event events[LIMIT_MAX_EVENTS];
    int poller = epoll_create1(EPOLL_CLOEXEC), listener = bench_listen();
    int n;

    (void)b;
    if (poller < 0 || listener < 0 || watch(poller, listener) < 0)
        return -EIO;
    while ((n = epoll_wait(poller, events, LIMIT_MAX_EVENTS, -1)) > 0 || errno == EINTR)
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;

            if (fd == listener)
                accept_all(poller, listener);
            else if (!echo_drain(fd))
                close(fd);
        }
    return -errno;
}

static void pass_on(int poller, const int fds[static 2])
{
    struct epoll_event event;
    eventfd_t value;

    if (epoll_wait(poller, &event, 1, -1) == 1 && eventfd_read(event.data.fd, &value) == 0)
        eventfd_write(fds[event.data.fd == fds[0]], 1);
}

int limit_pingpong(struct bench *b)
{
    int fds[2], poller = epoll_create1(EPOLL_CLOEXEC);

    if (poller < 0 || bench_pingpong_fds(fds) < 0 || watch(poller, fds[0]) < 0 ||
        watch(poller, fds[1]) < 0)
        return -EIO;
    eventfd_write(fds[0], 1);
    for (unsigned s = 0; s < b->samples; s++) {
        bench_begin(b);
        for (uint64_t i = 0; i < b->repeats; i++)
            pass_on(poller, fds);
        bench_end(b, b->repeats);
    }
    return 0;
}
