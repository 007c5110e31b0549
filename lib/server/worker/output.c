/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "advice.h"
#include "readiness.h"

/* For output that is still in the pipes when every process of the worker is gone. */
#define OUTPUT_LIMIT AIT_USEC_PER_SEC
/* Until something is read again that could not be. */
#define RETRY_PAUSE  AIT_USEC_PER_SEC

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

/* ---- what a worker writes -------------------------------------------------------------------- */

static void end_output(struct worker *w, enum log_channel channel)
{
    (void)ait_close(w->out_fds[channel]);
    w->out_fds[channel] = -1;
    if (w->out_fds[LOG_STDOUT] < 0 && w->out_fds[LOG_STDERR] < 0)
        (void)ait_future_resolve(w->output_over, 0);
}

static void say_unread(struct worker *w, const char *what, int error)
{
    if (!w->unread_told)
        log_event(w->all->log, LOG_LEVEL_ERROR, (int)w->slot, w->pid,
                  "cannot read %s: %s; it is tried again", what, strerror(error));
    w->unread_told = true;
}

/*
 * Reads once from the worker's output. At its end there is nothing more to wait for on that pipe.
 * Returns how long it should be left unread.
 */
static uint64_t read_output(struct worker *w, enum log_channel channel)
{
    struct workers *all = w->all;
    struct piece piece = {.worker = w, .stream = &w->streams[channel], .data = all->buffer};
    uint64_t begun = ait_now(NULL), pause, behind;

    piece.n = read(w->out_fds[channel], all->buffer, sizeof(all->buffer));
    if (piece.n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (piece.n < 0) {
        /* To close it would break the worker's next write. */
        say_unread(w, "its output", errno);
        return RETRY_PAUSE;
    }
    (void)ait_call_on_thread_stack(log_piece, &piece);
    if (piece.n == 0) {
        end_output(w, channel);
        return 0;
    }
    pause = worker_costs(w, begun);
    behind = log_stream_pause(piece.stream);
    return pause > behind ? pause : behind;
}

/* ---- what it sends --------------------------------------------------------------------------- */

struct receipt {
    struct worker *worker;
    int (*receive)(struct worker *w, uint64_t *ret_pause);
    uint64_t pause;
};

static int receive(void *userdata)
{
    struct receipt *receipt = userdata;

    return receipt->receive(receipt->worker, &receipt->pause);
}

/* Returns how long its socket should be left unread. */
static uint64_t read_notifications(struct worker *w,
                                   int (*fn)(struct worker *w, uint64_t *ret_pause))
{
    struct receipt receipt = {.worker = w, .receive = fn};
    int r = ait_call_on_thread_stack(receive, &receipt);

    if (r >= 0)
        return receipt.pause;
    say_unread(w, "its notifications", -r);
    return RETRY_PAUSE;
}

/* ---- the tasks ------------------------------------------------------------------------------- */

#define N_FDS (LOG_CHANNELS + 1)

/* Until one of them can be read, but not beyond `until`. */
static int wait_until(struct pollfd *fds, uint64_t until)
{
    uint64_t now = ait_now(NULL);
    AIT_SCOPE(limit);
    int r;

    if (until == AIT_USEC_INFINITY)
        return ait_poll_many(fds, N_FDS);
    r = ait_scope_enter_after(&limit, AIT_SCOPE_MOVE_ON, until > now ? until - now : 0);
    if (r == -ENOMEM)
        return ait_sleep(until > now ? until - now : 0);
    if (r < 0)
        return r;
    r = ait_poll_many(fds, N_FDS);
    return ait_scope_exit(limit, r);
}

/* Those that are to be left unread until later are no reason to wake up. */
static uint64_t choose(const struct worker *w, const uint64_t *until, struct pollfd *fds)
{
    const int of[N_FDS] = {w->out_fds[LOG_STDOUT], w->out_fds[LOG_STDERR], w->notify.fd};
    uint64_t now = ait_now(NULL), next = AIT_USEC_INFINITY;

    for (unsigned i = 0; i < N_FDS; i++) {
        bool later = until[i] > now;

        fds[i] = (struct pollfd){.fd = later ? -1 : of[i], .events = POLLIN};
        if (later && of[i] >= 0 && until[i] < next)
            next = until[i];
    }
    return next;
}

static uint64_t after(uint64_t pause)
{
    return pause > 0 ? ait_now(NULL) + pause : 0;
}

/* One task for all output and notifications of a worker, since each task costs a page. */
static int listen_to(void *userdata)
{
    struct worker *w = userdata;
    uint64_t until[N_FDS] = {0};
    int r;

    for (;;) {
        struct pollfd fds[N_FDS];

        r = wait_until(fds, choose(w, until, fds));
        if (r == -ECANCELED)
            return r;
        if (r < 0) {
            say_unread(w, "its output", -r);
            r = ait_sleep(RETRY_PAUSE);
            if (r < 0)
                return r;
            continue;
        }
        if (fds[LOG_CHANNELS].revents)
            until[LOG_CHANNELS] = after(read_notifications(w, readiness_receive));
        for (unsigned i = 0; i < LOG_CHANNELS; i++)
            if (fds[i].revents)
                until[i] = after(read_output(w, i));
    }
}

int output_start(struct worker *w, ait_scope *scope)
{
    return ait_scope_spawn(scope, NULL, listen_to, w,
                           AIT_TASK_OPTIONS(.name = "output", .flags = AIT_TASK_SHIELD));
}

/* Until the worker has ended. */
static int listen_to_former(void *userdata)
{
    struct worker *w = userdata;
    uint64_t pause;
    int r;

    do {
        r = ait_poll(w->former.fd, POLLIN);
        pause = r >= 0 ? read_notifications(w, readiness_receive_former) : RETRY_PAUSE;
        if (r != -ECANCELED && r != -EBADF)
            r = pause > 0 ? ait_sleep(pause) : 0;
    } while (r >= 0);
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
    bool is_first = w->former.fd < 0;
    int r = is_first ? keep_former(w) : 0;

    if (r < 0)
        return r;
    /* Neither the first nor the last: nobody reads it any more. */
    if (!is_first && !notify_socket_empty(&w->notify))
        return -EBUSY;
    if (!is_first)
        notify_drops_done(&w->notify.drops);
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
