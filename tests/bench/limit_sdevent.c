/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "limit.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

/*
 * Plain sd-event, written as its users write it: one io source a connection, level-triggered.
 */

static int on_connection(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    (void)revents;
    (void)userdata;
    if (!echo_drain(fd))
        sd_event_source_unref(source);
    return 0;
}

static int on_listener(sd_event_source *source, int listener, uint32_t revents, void *userdata)
{
    sd_event_source *connection;
    int fd;

    (void)revents;
    (void)userdata;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        if (sd_event_add_io(sd_event_source_get_event(source), &connection, fd, EPOLLIN,
                            on_connection, NULL) < 0)
            close(fd);
        else
            sd_event_source_set_io_fd_own(connection, true);
    return 0;
}

int sdevent_echo(struct bench *b)
{
    sd_event *event = NULL;
    int listener = bench_listen(), r;

    (void)b;
    r = sd_event_new(&event);
    if (r >= 0)
        r = sd_event_add_io(event, NULL, listener, EPOLLIN, on_listener, NULL);
    return r < 0 ? r : sd_event_loop(event);
}

struct pingpong {
    uint64_t left;
    int fds[2];
};

static int on_ping(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct pingpong *p = userdata;
    eventfd_t value;

    (void)revents;
    if (eventfd_read(fd, &value) < 0)
        return 0;
    if (p->left-- == 0)
        return sd_event_exit(sd_event_source_get_event(source), 0);
    eventfd_write(p->fds[fd == p->fds[0]], 1);
    return 0;
}

static int pingpong_once(struct bench *b, struct pingpong *p)
{
    sd_event *event = NULL;
    int r;

    r = sd_event_new(&event);
    if (r < 0)
        return r;
    for (unsigned i = 0; r >= 0 && i < 2; i++)
        r = sd_event_add_io(event, NULL, p->fds[i], EPOLLIN, on_ping, p);
    if (r >= 0) {
        p->left = b->repeats;
        eventfd_write(p->fds[0], 1);
        bench_begin(b);
        r = sd_event_loop(event);
        bench_end(b, b->repeats);
    }
    sd_event_unref(event);
    return r;
}

int sdevent_pingpong(struct bench *b)
{
    struct pingpong p;
    int r;

    r = bench_pingpong_fds(p.fds);
    for (unsigned s = 0; r >= 0 && s < b->samples; s++)
        r = pingpong_once(b, &p);
    return r;
}
