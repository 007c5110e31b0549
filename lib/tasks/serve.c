/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <sys/socket.h>

#include <aiotools-sd/io.h>
#include <aiotools-sd/scope.h>
#include <aiotools-sd/serve.h>
#include <aiotools-sd/sync.h>

#include "current.h"
#include "options.h"
#include "scheduler.h"
#include "task.h"

/*
 *     ait_serve_listeners()
 *       acceptors (fail fast)       cancelled with the caller
 *         acceptor, one a socket
 *         connections (a shield)    cancelled when the grace period is over
 *           connection, one each
 *
 * What descriptors are missing for may be freed by others than our connections: a pause ends by
 * itself, too.
 */
#define PAUSE_USEC (100 * AIT_USEC_PER_MSEC)

struct server {
    ait_connection_fn fn;
    void *userdata;
    ait_serve_options options;
    ait_serve_counters counters;
    ait_scope *connections;
    ait_event *ended;   /* set for a moment when a connection has ended */
    ait_event *stopped; /* no acceptor is left */
    size_t n_acceptors;
    size_t n_waiting; /* connections whose task has not begun */
};

struct acceptor {
    struct server *server;
    int fd;
    int accepted; /* a connection that there was no memory for; -1: none */
};

struct connection {
    struct server *server;
    int fd;
    bool begun;
};

static void publish(struct server *s)
{
    if (s->options.counters)
        (void)options_fill(s->options.counters, &s->counters, sizeof(s->counters));
}

/* ---- connections ----------------------------------------------------------------------------- */

static int connection_main(void *userdata)
{
    struct connection *c = userdata;
    struct server *s = c->server;
    int r;

    c->begun = true;
    s->n_waiting--;
    r = s->fn(c->fd, s->userdata);
    s->counters.n_failed += r < 0 && r != -ECANCELED;
    return r;
}

/* Also of one that was cancelled before it began. */
static void connection_end(void *userdata)
{
    struct connection *c = userdata;
    struct server *s = c->server;

    (void)ait_close(c->fd);
    s->n_waiting -= !c->begun;
    free(c);
    s->counters.n_active--;
    publish(s);
    (void)ait_event_set(s->ended);
    (void)ait_event_clear(s->ended);
}

/* The fd is the connection's where this succeeds. */
static int connection_begin(struct server *s, int fd)
{
    const ait_task_options options = {.size = sizeof(options),
                                      .name = s->options.name ?: "connection",
                                      .stack_size = s->options.stack_size,
                                      .destroy = connection_end};
    struct connection *c = malloc(sizeof(*c));
    int r = -ENOMEM;

    if (c) {
        *c = (struct connection){.server = s, .fd = fd};
        s->counters.n_active++;
        r = ait_scope_spawn(s->connections, NULL, connection_main, c, &options);
    }
    if (r < 0) {
        s->counters.n_active -= c != NULL;
        free(c);
        return r;
    }
    s->n_waiting++;
    s->counters.n_accepted++;
    publish(s);
    return 0;
}

/* ---- accepting ------------------------------------------------------------------------------- */

static bool is_full(const struct server *s)
{
    return s->options.max_connections > 0 && s->counters.n_active >= s->options.max_connections;
}

/* A connection has ended, or what was short may be there again. */
static int pause_accepting(struct server *s, uint64_t usec)
{
    AIT_SCOPE(pause);
    int r;

    s->counters.n_pauses++;
    publish(s);
    r = ait_scope_enter_after(&pause, AIT_SCOPE_MOVE_ON, usec);
    if (r < 0)
        return r;
    return ait_scope_exit(pause, ait_event_wait(s->ended));
}

static bool is_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM ||
           error == -EAGAIN;
}

/* Concerns a connection that is gone again, or the network behind it (accept(2)). */
static bool is_passing(int error)
{
    return error == -ECONNABORTED || error == -EPROTO || error == -ENETDOWN ||
           error == -ENETUNREACH || error == -EHOSTDOWN || error == -EHOSTUNREACH ||
           error == -ENONET || error == -ENOPROTOOPT || error == -ETIMEDOUT;
}

static int accept_next(struct acceptor *a)
{
    struct server *s = a->server;
    int r;

    if (is_full(s))
        return pause_accepting(s, AIT_USEC_INFINITY);
    r = a->accepted;
    if (r < 0)
        r = a->accepted = ait_accept(a->fd, NULL, NULL);
    if (r >= 0) {
        r = connection_begin(s, r);
        if (r >= 0)
            a->accepted = -1;
    }
    if (is_shortage(r))
        return pause_accepting(s, PAUSE_USEC);
    return is_passing(r) ? 0 : r;
}

static int acceptor_main(void *userdata)
{
    int r;

    do
        r = accept_next(userdata);
    while (r >= 0);
    return r;
}

static void acceptor_end(void *userdata)
{
    struct acceptor *a = userdata;
    struct server *s = a->server;

    if (a->accepted >= 0 && connection_begin(s, a->accepted) < 0)
        (void)ait_close(a->accepted);
    free(a);
    if (--s->n_acceptors == 0)
        (void)ait_event_set(s->stopped);
}

static int acceptor_begin(struct server *s, ait_scope *acceptors, int fd)
{
    const ait_task_options options = {
        .size = sizeof(options), .name = "acceptor", .destroy = acceptor_end};
    struct acceptor *a = malloc(sizeof(*a));
    int r = -ENOMEM;

    if (a) {
        *a = (struct acceptor){.server = s, .fd = fd, .accepted = -1};
        r = ait_scope_spawn(acceptors, NULL, acceptor_main, a, &options);
    }
    if (r < 0)
        free(a);
    else
        s->n_acceptors++;
    return r;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* No more than a queue holds: on a socket that others serve as well, clients may never stop. */
static void accept_queued(struct server *s, int fd)
{
    for (unsigned i = 0; i < SOMAXCONN && !is_full(s); i++) {
        int k = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (k < 0 && errno != EINTR && errno != ECONNABORTED)
            return;
        if (k >= 0 && connection_begin(s, k) < 0)
            (void)ait_close(k);
    }
}

/* In the shield of the connections. */
static int drain(struct server *s, const int *fds, size_t n)
{
    s->counters.draining = 1;
    publish(s);
    for (size_t i = 0; i < n; i++)
        accept_queued(s, fds[i]);
    if (s->options.grace_usec > 0)
        return ait_scope_cancel_after(s->connections, s->options.grace_usec);
    /* A task that is cancelled before it has begun never runs. */
    while (s->n_waiting > 0)
        (void)ait_yield();
    return ait_scope_abort(s->connections);
}

/* ---- the call -------------------------------------------------------------------------------- */

static int serve_connections(struct server *s, ait_scope *acceptors, const int *fds, size_t n)
{
    AIT_SCOPE(connections);
    int r = ait_scope_enter(&connections, AIT_SCOPE_SHIELD | AIT_SCOPE_SUPERVISOR);

    s->connections = connections;
    for (size_t i = 0; i < n && r >= 0; i++)
        r = acceptor_begin(s, acceptors, fds[i]);
    if (r < 0)
        (void)ait_scope_cancel(acceptors);
    while (s->n_acceptors > 0)
        (void)ait_event_wait(s->stopped);
    (void)drain(s, fds, r < 0 ? 0 : n);
    (void)ait_scope_exit(connections, 0);
    return r;
}

static int serve_all(struct server *s, const int *fds, size_t n)
{
    AIT_SCOPE(acceptors);
    int r = ait_scope_enter(&acceptors, AIT_SCOPE_FAIL_FAST);

    return r < 0 ? r : ait_scope_exit(acceptors, serve_connections(s, acceptors, fds, n));
}

static int check_listening(int fd)
{
    int listening = 0;
    socklen_t len = sizeof(listening);

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0)
        return -errno;
    return listening ? 0 : -EINVAL;
}

AIT_PUBLIC int ait_serve_listeners(const int *fds, size_t n, ait_connection_fn fn, void *userdata,
                                   const ait_serve_options *options)
{
    struct server s = {.fn = fn, .userdata = userdata};
    struct ait_loop *loop;
    struct ait_task *t;
    int r;

    if (!fds || n == 0 || !fn)
        return -EINVAL;
    r = options_copy(&s.options, sizeof(s.options), options);
    if (r < 0)
        return r;
    if (s.options.counters)
        r = options_check(s.options.counters);
    for (size_t i = 0; i < n && r >= 0; i++)
        r = check_listening(fds[i]);
    if (r >= 0)
        r = op_enter(&loop, &t);
    if (r >= 0)
        r = ait_event_new(&s.ended);
    if (r >= 0)
        r = ait_event_new(&s.stopped);
    if (r >= 0) {
        publish(&s);
        r = serve_all(&s, fds, n);
    }
    ait_event_unref(s.stopped);
    ait_event_unref(s.ended);
    return r;
}
