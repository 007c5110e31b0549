/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a worker says, carried to where it belongs: its output to the log, its notifications to its state.
 */

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "supervise/supervise.h"

/* For output that is still in the pipes when every process of the worker is gone. */
#define OUTPUT_LIMIT AIT_USEC_PER_SEC

void worker_is_ready(struct worker *w)
{
    char time[FORMAT_TIME_MAX];

    /* Too late is too late: its time is over, and it is about to be killed. */
    if (w->state != WORKER_STARTING || (w->limit && ait_scope_is_expired(w->limit) > 0))
        return;
    w->state = WORKER_READY;
    w->became_ready = ait_now(NULL);
    if (w->limit)
        (void)ait_scope_set_deadline(w->limit, AIT_USEC_INFINITY);
    if (w->ready_pump)
        (void)ait_task_cancel(w->ready_pump);
    w->ready_pump = ait_task_unref(w->ready_pump);
    w->slot->was_ready = true;
    log_event(w->server->log, LOG_LEVEL_INFO, (int)w->slot->index, w->pid, "ready after %s",
              format_time(w->became_ready - w->started, time));
    (void)ait_future_resolve(w->ready, 0);
    server_steer(w->server);
    server_changed(w->server);
}

/* What one read has brought, for the log. */
struct piece {
    struct log_stream *stream;
    const char *data;
    ssize_t n;
};

static int log_piece(void *userdata)
{
    struct piece *piece = userdata;

    if (piece->n > 0)
        log_stream_feed(piece->stream, piece->data, (size_t)piece->n);
    else
        log_stream_end(piece->stream);
    return 0;
}

/* At least usec from now, for the timeout that runs. */
static void extend_timeout(struct worker *w, uint64_t usec)
{
    uint64_t now = ait_now(NULL), until = usec >= AIT_USEC_INFINITY - now ? AIT_USEC_INFINITY : now + usec;

    if (w->limit && w->state != WORKER_READY && until > ait_scope_deadline(w->limit))
        (void)ait_scope_set_deadline(w->limit, until);
}

/* Without a sandbox, whoever would speak for another worker could kill it just as well. */
static bool could_be_another_slot(const struct server *server)
{
    return server->sandbox.sandbox && server->n_slots > 1;
}

static void take_message(struct worker *w, const struct notify_message *m)
{
    struct server *server = w->server;
    const struct server_config *config = server->config;
    uid_t uid = config->account_set ? config->account.uid : geteuid();

    int sender = notify_sender_check(m, w->pid, uid);
    if (sender < 0) {
        log_event(server->log, LOG_LEVEL_WARNING, (int)w->slot->index, w->pid,
                  "notification of process %d dropped: it does not belong to this worker", (int)m->pid);
        return;
    }
    if (sender == NOTIFY_FROM_GONE && could_be_another_slot(server)) {
        log_event(server->log, LOG_LEVEL_WARNING, (int)w->slot->index, w->pid,
                  "notification of process %d dropped: it has ended already, so nobody can tell whose it "
                  "was; let it "
                  "wait (sd_notify_barrier(), systemd-notify without --no-block)",
                  (int)m->pid);
        return;
    }
    if (m->fields & NOTIFY_EXTEND_TIMEOUT)
        extend_timeout(w, m->extend_usec);
    if (m->fields & NOTIFY_STATUS)
        log_event(server->log, LOG_LEVEL_INFO, (int)w->slot->index, w->pid, "status: %s", m->status);
    if ((m->fields & NOTIFY_READY) && (config->ready == READY_AUTO || config->ready == READY_NOTIFY)) {
        server->seen_notify = true;
        worker_is_ready(w);
    }
    if ((m->fields & NOTIFY_STOPPING) && w->state == WORKER_READY)
        log_event(server->log, LOG_LEVEL_INFO, (int)w->slot->index, w->pid, "is stopping by itself");
}

static int take_messages(void *userdata)
{
    struct worker *w = userdata;
    struct notify_message m;
    int r;

    while ((r = notify_receive(&w->notify, &m)) > 0)
        take_message(w, &m);
    return r;
}

/* One read of what the worker writes. At its end there is nothing more to wait for on that pipe. */
static void pump_output(struct worker *w, enum log_channel channel)
{
    struct server *server = w->server;
    struct piece piece = {.stream = &w->streams[channel], .data = server->buffer};

    piece.n = read(w->out_fds[channel], server->buffer, sizeof(server->buffer));
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

/* One task for all that a worker says: a task is a page. */
static int pump(void *userdata)
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
            r = ait_call_on_thread_stack(take_messages, w);
        if (r < 0)
            return r;
        for (unsigned i = 0; i < LOG_CHANNELS; i++)
            if (fds[i].revents)
                pump_output(w, i);
    }
}

/* --ready=fd:N: a newline, as in s6. */
static int pump_ready_fd(void *userdata)
{
    struct worker *w = userdata;
    char byte;

    while (ait_read(w->ready_fd, &byte, 1) == 1)
        if (byte == '\n') {
            worker_is_ready(w);
            return 0;
        }
    return 0;
}

/* --ready=delay:TIME, and what auto does with programs that do not notify. */
static int pump_ready_time(void *userdata)
{
    struct worker *w = userdata;
    const struct server_config *config = w->server->config;
    int r;

    r = ait_sleep(config->ready == READY_DELAY ? config->ready_delay : config->ready_auto_usec);
    if (r < 0)
        return r;
    if (config->ready == READY_DELAY || !w->server->seen_notify)
        worker_is_ready(w);
    return 0;
}

int worker_start_pumps(struct worker *w, ait_scope *scope)
{
    static const ait_task_fn ready_pumps[] = {
        [READY_AUTO] = pump_ready_time,
        [READY_FD] = pump_ready_fd,
        [READY_DELAY] = pump_ready_time,
    };
    enum ready_mode mode = w->server->config->ready;
    ait_task_fn ready = mode < sizeof(ready_pumps) / sizeof(*ready_pumps) ? ready_pumps[mode] : NULL;
    int r;

    r = ait_scope_spawn(scope, NULL, pump, w, AIT_TASK_OPTIONS(.flags = AIT_TASK_SHIELD));
    if (r >= 0 && ready)
        r = ait_scope_spawn(scope, &w->ready_pump, ready, w, NULL);
    return r;
}

void worker_finish_pumps(struct worker *w)
{
    AIT_SCOPE(limit);
    int r;

    r = ait_scope_enter_after(&limit, AIT_SCOPE_MOVE_ON, OUTPUT_LIMIT);
    if (r >= 0)
        r = ait_await(w->output_over, NULL);
    (void)ait_scope_exit(limit, r);
}
