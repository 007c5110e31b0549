/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the supervisor does beside looking after slots: writing the log, listening to signals, watching the guardian.
 */

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "supervise.h"

/* ---- the log ------------------------------------------------------------------------------------- */

static void log_waits(void *userdata)
{
    struct server *server = userdata;

    for (unsigned i = 0; i < LOG_CHANNELS; i++)
        if (server->pending[i])
            (void)ait_future_resolve(server->pending[i], 0);
}

/* Writes what a slow reader of our output has not taken yet. */
static int write_log(struct server *server, enum log_channel channel)
{
    int r = 0, fd;

    while (r >= 0) {
        server->pending[channel] = ait_future_unref(server->pending[channel]);
        fd = log_pending_fd(server->log, channel);
        if (fd < 0) {
            r = ait_future_new(&server->pending[channel]);
            if (r >= 0)
                r = ait_await(server->pending[channel], NULL);
        } else {
            r = ait_poll(fd, POLLOUT);
            (void)log_flush(server->log);
        }
    }
    server->pending[channel] = ait_future_unref(server->pending[channel]);
    return r;
}

static int write_stdout(void *userdata)
{
    return write_log(userdata, LOG_STDOUT);
}

static int write_stderr(void *userdata)
{
    return write_log(userdata, LOG_STDERR);
}

/* ---- the guardian -------------------------------------------------------------------------------- */

int services_new_guardian(struct server *server)
{
    int r;

    log_event(server->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, server->guardian.pid,
              "the guardian was killed; starting another");
    /* Whoever waits for its end is woken. */
    (void)ait_fd_forget(server->guardian.pidfd);
    guardian_done(&server->guardian);
    r = guardian_start(&server->guardian);
    if (r < 0)
        return r;
    for (struct worker *w = server->workers; w; w = w->next)
        if (w->child)
            (void)guardian_add(&server->guardian, &w->tree, ait_child_pidfd(w->child));
    return 0;
}

static int watch_guardian(void *userdata)
{
    struct server *server = userdata;
    int r;

    for (;;) {
        r = server->guardian.pidfd < 0 ? 0 : ait_poll(server->guardian.pidfd, POLLIN);
        if (r == -EBADF) /* a start has met with its death before us */
            continue;
        if (r < 0)
            return r;
        while ((r = services_new_guardian(server)) < 0) {
            log_event(server->log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0,
                      "cannot start a guardian: %s; until one runs, workers would survive a kill -9 of the "
                      "supervisor",
                      strerror(-r));
            r = ait_sleep(AIT_USEC_PER_SEC);
            if (r < 0)
                return r;
        }
    }
}

/* ---- signals ------------------------------------------------------------------------------------- */

static void hurry_all(struct server *server)
{
    server->at_once = true;
    for (struct worker *w = server->workers; w; w = w->next)
        worker_hurry(w);
}

static void on_terminate(struct server *server)
{
    server_stop(server, 0);
}

static void on_interrupt(struct server *server)
{
    if (server->n_interrupts++ == 0) {
        server_stop(server, 0);
        return;
    }
    log_event(server->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0, "second interrupt: killing what is left");
    hurry_all(server);
}

static void on_quit(struct server *server)
{
    server_stop(server, 0);
    hurry_all(server);
}

static void on_hangup(struct server *server)
{
    server->n_reloads_wanted++;
    server_wish(server);
}

static void on_more(struct server *server)
{
    if (server->n_workers_wanted >= PARSE_WORKERS_MAX) {
        log_event(server->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0, "SIGTTIN: there are %u workers already",
                  server->n_workers_wanted);
        return;
    }
    server->n_workers_wanted++;
    server_wish(server);
}

static void on_fewer(struct server *server)
{
    if (server->n_workers_wanted <= 1) {
        log_event(server->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
                  "SIGTTOU: the last worker stays; SIGTERM stops the server");
        return;
    }
    server->n_workers_wanted--;
    server_wish(server);
}

/* The log goes to our own stdout and stderr, which nobody can reopen for us. */
static void on_reopen(struct server *server)
{
    log_event(server->log, LOG_LEVEL_INFO, LOG_NO_SLOT, 0,
              "SIGUSR1: there are no log files of ours to reopen");
}

static void on_upgrade(struct server *server)
{
    log_event(server->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
              "SIGUSR2: this version cannot upgrade in place; SIGHUP replaces the workers");
}

static void on_child(struct server *server)
{
    (void)guardian_reap_orphans(server_knows_pid, server, false);
}

static const struct {
    int signo;
    void (*handle)(struct server *server);
} signal_table[] = {
    {SIGTERM, on_terminate}, {SIGINT, on_interrupt}, {SIGQUIT, on_quit},
    {SIGHUP, on_hangup},     {SIGTTIN, on_more},     {SIGTTOU, on_fewer},
    {SIGCHLD, on_child},     {SIGUSR1, on_reopen},   {SIGUSR2, on_upgrade},
};

#define N_SIGNALS (sizeof(signal_table) / sizeof(*signal_table))

struct arrival {
    struct server *server;
    int signo;
};

static int handle(void *userdata)
{
    struct arrival *arrival = userdata;

    for (size_t i = 0; i < N_SIGNALS; i++)
        if (signal_table[i].signo == arrival->signo)
            signal_table[i].handle(arrival->server);
    return 0;
}

void services_block_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < N_SIGNALS; i++)
        sigaddset(&set, signal_table[i].signo);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

static int handle_signals(void *userdata)
{
    ait_signals *signals AIT_CLEANUP(ait_signals_closep) = NULL;
    struct arrival arrival = {.server = userdata};
    sigset_t set;
    int r;

    sigemptyset(&set);
    for (size_t i = 0; i < N_SIGNALS; i++)
        sigaddset(&set, signal_table[i].signo);
    r = ait_signals_open(&signals, &set);
    if (r < 0)
        return r;
    (void)ait_task_started(0);
    while ((arrival.signo = ait_signals_next(signals, NULL)) >= 0)
        (void)ait_call_on_thread_stack(handle, &arrival);
    return arrival.signo;
}

int services_start(struct server *server, ait_scope *scope)
{
    int r;

    log_set_wake(server->log, log_waits, server);
    r = ait_scope_spawn(scope, NULL, write_stdout, server, AIT_TASK_OPTIONS(.name = "log, stdout"));
    if (r >= 0)
        r = ait_scope_spawn(scope, NULL, write_stderr, server, AIT_TASK_OPTIONS(.name = "log, stderr"));
    if (r >= 0)
        r = ait_scope_spawn(scope, NULL, watch_guardian, server, AIT_TASK_OPTIONS(.name = "guardian"));
    /* No signal must come before somebody listens. */
    if (r >= 0)
        r = ait_scope_start(scope, NULL, handle_signals, server, AIT_TASK_OPTIONS(.name = "signals"));
    return r < 0 ? r : 0;
}
