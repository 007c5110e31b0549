/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "advice.h"
#include "readiness.h"

/* For output that is still in the pipes when every process of the worker is gone. */
#define OUTPUT_LIMIT AIT_USEC_PER_SEC

/* Passes the data of one read to the log. */
struct piece {
    struct worker *worker;
    struct log_stream *stream;
    const char *data;
    ssize_t n;
};

static int log_piece(void *userdata)
{
    struct piece *piece = userdata;

    if (piece->n > 0) {
        log_stream_feed(piece->stream, piece->data, (size_t)piece->n);
        advice_listen(piece->worker, piece->data, (size_t)piece->n);
    } else {
        log_stream_end(piece->stream);
    }
    return 0;
}

/*
 * Reads once from the worker's output. At its end there is nothing more to wait for on that pipe.
 */
static void read_output(struct worker *w, enum log_channel channel)
{
    struct workers *all = w->all;
    struct piece piece = {.worker = w, .stream = &w->streams[channel], .data = all->buffer};

    piece.n = read(w->out_fds[channel], all->buffer, sizeof(all->buffer));
    if (piece.n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    (void)ait_call_on_thread_stack(log_piece, &piece);
    if (piece.n > 0)
        return;
    (void)ait_close(w->out_fds[channel]);
    w->out_fds[channel] = -1;
    if (w->out_fds[LOG_STDOUT] < 0 && w->out_fds[LOG_STDERR] < 0)
        (void)ait_future_resolve(w->output_over, 0);
}

static int receive(void *userdata)
{
    return readiness_receive(userdata);
}

/* One task for all output and notifications of a worker, since each task costs a page. */
static int listen_to(void *userdata)
{
    struct worker *w = userdata;
    int r;

    for (;;) {
        struct pollfd fds[] = {
            [LOG_STDOUT] = {.fd = w->out_fds[LOG_STDOUT], .events = POLLIN},
            [LOG_STDERR] = {.fd = w->out_fds[LOG_STDERR], .events = POLLIN},
            [LOG_CHANNELS] = {.fd = w->notify.fd, .events = POLLIN},
        };

        r = ait_poll_many(fds, LOG_CHANNELS + 1);
        if (r >= 0 && fds[LOG_CHANNELS].revents)
            r = ait_call_on_thread_stack(receive, w);
        if (r < 0)
            return r;
        for (unsigned i = 0; i < LOG_CHANNELS; i++)
            if (fds[i].revents)
                read_output(w, i);
    }
}

int output_start(struct worker *w, ait_scope *scope)
{
    return ait_scope_spawn(scope, NULL, listen_to, w,
                           AIT_TASK_OPTIONS(.name = "output", .flags = AIT_TASK_SHIELD));
}

static int receive_former(void *userdata)
{
    return readiness_receive_former(userdata);
}

/* Until the worker has ended. */
static int listen_to_former(void *userdata)
{
    struct worker *w = userdata;
    int r;

    do
        r = ait_poll(w->former.fd, POLLIN);
    while (r >= 0 && (r = ait_call_on_thread_stack(receive_former, w)) >= 0);
    return r;
}

/* The first: who connects at all has done so at its start. */
static int keep_former(struct worker *w)
{
    int fd = fcntl(w->notify.fd, F_DUPFD_CLOEXEC, 3);

    if (fd < 0)
        return -errno;
    w->former = w->notify;
    w->former.fd = fd;
    return ait_scope_spawn(w->life, NULL, listen_to_former, w,
                           AIT_TASK_OPTIONS(.name = "former", .flags = AIT_TASK_SHIELD));
}

int output_renew_notify(struct worker *w, struct notify_socket *fresh)
{
    int r = w->former.fd < 0 ? keep_former(w) : 0;

    if (r < 0)
        return r;
    /* The number stays, which wakes the listener. */
    (void)ait_fd_forget(w->notify.fd);
    if (dup3(fresh->fd, w->notify.fd, O_CLOEXEC) < 0)
        return -errno;
    (void)close(fresh->fd);
    fresh->fd = w->notify.fd;
    w->notify = *fresh;
    return 0;
}

void output_finish(struct worker *w)
{
    AIT_SCOPE(limit);
    int r;

    r = ait_scope_enter_after(&limit, AIT_SCOPE_MOVE_ON, OUTPUT_LIMIT);
    if (r >= 0)
        r = ait_await(w->output_over, NULL);
    (void)ait_scope_exit(limit, r);
}
