/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "supervise.h"

#define LOG_PATIENCE      AIT_USEC_PER_SEC
#define GUARDIAN_PATIENCE (2 * 1000) /* ms */
#define ORPHANS_PAUSE     5          /* ms */
#define ORPHANS_PASSES    400
#define NEWS_PAUSE        (10 * AIT_USEC_PER_MSEC) /* without memory to wait for them */

const char *format_time(uint64_t usec, char *buf)
{
    if (usec == AIT_USEC_INFINITY)
        (void)snprintf(buf, FORMAT_TIME_MAX, "infinity");
    else if (usec < AIT_USEC_PER_SEC)
        (void)snprintf(buf, FORMAT_TIME_MAX, "%llums", (unsigned long long)usec / 1000);
    else if (usec < 100 * AIT_USEC_PER_SEC)
        (void)snprintf(buf, FORMAT_TIME_MAX, "%llu.%02llus", (unsigned long long)(usec / AIT_USEC_PER_SEC),
                       (unsigned long long)(usec % AIT_USEC_PER_SEC / 10000));
    else
        (void)snprintf(buf, FORMAT_TIME_MAX, "%llumin %llus",
                       (unsigned long long)(usec / AIT_USEC_PER_SEC / 60),
                       (unsigned long long)(usec / AIT_USEC_PER_SEC % 60));
    return buf;
}

/* ---- what the other parts need of it ------------------------------------------------------------- */

/* Resolves the future and puts a new one in its place, if there is memory for one; if not, whoever waits next tries again. */
static void announce(ait_future **p)
{
    ait_future *old = *p, *new = NULL;

    if (ait_future_new(&new) >= 0)
        *p = new;
    (void)ait_future_resolve(old, 0);
    if (new)
        ait_future_unref(old);
}

int await_news(ait_future **news)
{
    ait_future *f = *news;
    int r;

    if (ait_future_is_done(f) > 0 && ait_future_new(news) >= 0) {
        ait_future_unref(f);
        f = *news;
    }
    if (ait_future_is_done(f) > 0)
        return ait_sleep(NEWS_PAUSE);
    ait_future_ref(f);
    r = ait_await(f, NULL);
    ait_future_unref(f);
    return r;
}

void server_changed(struct server *server)
{
    announce(&server->changed);
    upstream_update(server);
}

void server_wish(struct server *server)
{
    announce(&server->wishes);
}

static enum steer slot_steer(const struct slot *slot)
{
    if (slot->leaving || slot->state == SLOT_FAILED || slot->state == SLOT_ENDED)
        return STEER_AWAY;
    return slot->current && slot->current->state == WORKER_READY ? STEER_READY : STEER_WAIT;
}

void server_steer(struct server *server)
{
    uint8_t states[PARSE_WORKERS_MAX];
    int r;

    for (unsigned i = 0; i < server->n_slots; i++)
        states[i] = (uint8_t)slot_steer(server->slots[i]);
    r = listen_set_steer(server->listen, states, server->n_slots);
    if (r < 0)
        log_event(server->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
                  "new connections cannot be kept away from slots that are not ready: %s", strerror(-r));
}

void server_stop(struct server *server, int status)
{
    if (server->stopping)
        return;
    server->stopping = true;
    server->status = status;
    upstream_stopping(server);
    if (server->any_started)
        log_event(server->log, LOG_LEVEL_INFO, LOG_NO_SLOT, 0, "stopping");
    (void)ait_scope_cancel(server->slots_scope);
}

bool server_knows_pid(pid_t pid, void *userdata)
{
    struct server *server = userdata;

    if (pid == server->guardian.pid)
        return true;
    for (struct worker *w = server->workers; w; w = w->next)
        if (w->pid == pid)
            return true;
    return false;
}

/* ---- the end ------------------------------------------------------------------------------------- */

/* Whether every slot has come to its end, and with which status. */
static bool server_over(const struct server *server, int *ret_status)
{
    unsigned n_failed = 0, n_absent = 0;
    int highest = 0;

    for (unsigned i = 0; i < server->n_slots; i++) {
        const struct slot *slot = server->slots[i];

        if (slot->state != SLOT_ENDED && slot->state != SLOT_FAILED)
            return false;
        n_failed += slot->state == SLOT_FAILED;
        n_absent += slot->state == SLOT_FAILED && slot->status == STATUS_CONFIG;
        if (slot->state == SLOT_ENDED && slot->status > highest)
            highest = slot->status;
    }
    if (n_absent == server->n_slots)
        *ret_status = STATUS_CONFIG;
    else if (n_failed > 0)
        *ret_status = STATUS_UNAVAILABLE;
    else
        *ret_status = server->config->restart == RESTART_NO ? highest : 0;
    return true;
}

static int await_end(struct server *server)
{
    int r = 0, status;

    while (r >= 0 && !server_over(server, &status))
        r = await_news(&server->changed);
    if (r < 0)
        return r;
    server_stop(server, status);
    return -ECANCELED;
}

/* ---- the main task ------------------------------------------------------------------------------- */

static int server_slots(struct server *server)
{
    AIT_SCOPE(slots);
    int r;

    r = ait_scope_enter(&slots, AIT_SCOPE_SUPERVISOR);
    if (r < 0)
        return r;
    server->slots_scope = slots;
    /* A signal that came before there was anything to stop. */
    if (server->stopping)
        (void)ait_scope_cancel(slots);
    for (unsigned i = 0; i < server->n_slots && r >= 0; i++)
        r = slot_start(server->slots[i]);
    if (r >= 0)
        r = ait_scope_spawn(slots, NULL, planner_main, server, AIT_TASK_OPTIONS(.name = "planner"));
    if (r >= 0)
        r = await_end(server);
    r = ait_scope_exit(slots, r);
    server->slots_scope = NULL;
    return r;
}

static int server_main(void *userdata)
{
    struct server *server = userdata;
    AIT_SCOPE(services);
    int r;

    r = ait_future_new(&server->changed);
    if (r >= 0)
        r = ait_future_new(&server->wishes);
    if (r >= 0)
        r = ait_scope_enter(&services, AIT_SCOPE_SUPERVISOR);
    if (r >= 0) {
        r = services_start(server, services);
        if (r >= 0)
            r = server_slots(server);
        (void)ait_scope_cancel(services);
        r = ait_scope_exit(services, r);
    }
    for (unsigned i = 0; i < server->n_slots; i++)
        server->slots[i] = slot_free(server->slots[i]);
    ait_future_unref(server->changed);
    ait_future_unref(server->wishes);
    return r;
}

/* ---- before and after the loop ------------------------------------------------------------------- */

static int open_sockets(struct server *server)
{
    struct server_config *config = server->config;
    struct inherited inherited = {};
    struct listen_options options = {
        .listen = (const char *const *)config->listen,
        .n_listen = config->n_listen,
        .model = config->listeners,
        .n_slots = config->workers,
        .inherited = &inherited,
    };
    int r;

    r = inherited_take(&inherited, &server->problem);
    if (r < 0)
        return r;
    r = listen_set_open(&server->listen, &options, &server->problem);
    inherited_done(&inherited);
    return r;
}

static int make_slots(struct server *server)
{
    unsigned n = server->config->workers;
    int r = 0;

    server->slots = calloc(n, sizeof(*server->slots));
    if (!server->slots)
        return problem_set(&server->problem, STATUS_OS, -ENOMEM, "out of memory");
    for (unsigned i = 0; i < n && r >= 0; i++) {
        r = slot_new(server, i, &server->slots[i]);
        if (r >= 0)
            server->n_slots++;
    }
    server->n_workers_wanted = n;
    return r < 0 ? problem_set(&server->problem, STATUS_OS, r, "out of memory") : 0;
}

/* What it knows, and what it holds open, is not for workers of the same user: /proc shows nothing, ptrace finds nothing. */
static void protect_from_workers(const struct server *server)
{
    if (server->sandbox.sandbox)
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int server_open(struct server *server)
{
    struct server_config *config = server->config;
    struct problem *p = &server->problem;
    int r;

    r = open_sockets(server);
    if (r < 0)
        return r;
    if (server_config_name_sockets(config, listen_set_first_port(server->listen)) < 0)
        return problem_set(p, STATUS_OS, -ENOMEM, "out of memory");
    r = rundir_open(&server->rundir, config->name, p);
    if (r < 0)
        return r;
    r = log_new(&server->log, config->name, config->log, STDOUT_FILENO, STDERR_FILENO);
    if (r < 0)
        return problem_set(p, STATUS_OS, r, "cannot open the log: %s", strerror(-r));
    r = worker_sandbox_update(&server->sandbox, &config->sandbox, config->program, p);
    if (r < 0)
        return r;
    protect_from_workers(server);
    r = make_slots(server);
    if (r < 0)
        return r;
    r = guardian_become_subreaper();
    if (r >= 0)
        r = guardian_start(&server->guardian);
    if (r < 0)
        return problem_set(p, STATUS_OS, r,
                           "cannot start the guardian: %s; raise the limits of processes and open files "
                           "(ulimit -u, ulimit -n)",
                           strerror(-r));
    return 0;
}

static void stop_guardian(struct server *server)
{
    struct pollfd p = {.fd = server->guardian.pidfd, .events = POLLIN};

    if (server->guardian.pid <= 0)
        return;
    (void)guardian_stop(&server->guardian);
    /* Somebody may have stopped it. There is nothing left for it to guard. */
    if (poll(&p, 1, GUARDIAN_PATIENCE) == 0) {
        (void)kill(server->guardian.pid, SIGKILL);
        (void)poll(&p, 1, GUARDIAN_PATIENCE);
    }
    guardian_done(&server->guardian);
}

/* Nobody's children are left, whoever they were; those that fork meanwhile need more than one look. */
static void kill_orphans(struct server *server)
{
    for (unsigned i = 0; i < ORPHANS_PASSES; i++) {
        if (guardian_reap_orphans(server_knows_pid, server, true) <= 0)
            return;
        (void)poll(NULL, 0, ORPHANS_PAUSE);
    }
}

static void server_close(struct server *server)
{
    for (unsigned i = 0; i < server->n_slots; i++)
        slot_free(server->slots[i]);
    free(server->slots);
    if (server->guardian.pid > 0)
        kill_orphans(server);
    stop_guardian(server);
    worker_sandbox_done(&server->sandbox);
    listen_set_close(server->listen);
    rundir_close(&server->rundir);
    if (server->log)
        log_finish(server->log, LOG_PATIENCE);
    log_free(server->log);
}

/* What root may write is no system call, and no capability has to do with root's own files. With --sandbox=log nobody expects to be kept from anything. */
static bool root_writes_anywhere(const struct server *server)
{
    const struct server_config *config = server->config;
    uid_t uid = config->account_set ? config->account.uid : geteuid();

    return uid == 0 && server->sandbox.sandbox && server->sandbox.identity == 0 &&
           config->sandbox.mode != SANDBOX_LOG;
}

void server_announce(struct server *server)
{
    size_t n = listen_set_count(server->listen);

    for (size_t i = 0; i < n; i++)
        log_event(server->log, LOG_LEVEL_INFO, LOG_NO_SLOT, 0, "listening on %s (%s)",
                  listen_set_address(server->listen, i),
                  listen_set_is_slot(server->listen, i) ? "a socket a slot" : "shared");
    log_event(server->log, LOG_LEVEL_INFO, LOG_NO_SLOT, getpid(), "starting %u workers of %s, sandbox %s",
              server->n_slots, server->config->program, sandbox_mode_words[server->config->sandbox.mode]);
    if (server->sandbox.sandbox)
        log_event(server->log, LOG_LEVEL_INFO, LOG_NO_SLOT, 0, "sandbox: %s",
                  ait_sandbox_text(server->sandbox.sandbox));
    if (root_writes_anywhere(server))
        log_event(
            server->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
            "workers run as root, and may write every file of root's; give --user=, or confine their files: "
            "--read-only= and --read-write=, or --sandbox=strict");
}

/* The last line says what to do, where there is something to do. */
static void say_end(struct server *server, int r)
{
    const char *program = server->config->argv[0];

    if (!server->stopping)
        log_event(server->log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0, "cannot go on: %s; this is a fault of ours",
                  strerror(r < 0 ? -r : 0));
    else if (!server->any_started)
        return;
    else if (server->status == STATUS_UNAVAILABLE)
        log_event(
            server->log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0,
            "stopped: every slot gave up; see the workers' output above, or run %s by hand, and start again",
            program);
    else if (server->status == STATUS_CONFIG)
        log_event(server->log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0,
                  "stopped: %s says that its configuration is wrong (status 78); see its output above, mend "
                  "it, and "
                  "start again",
                  program);
    else
        log_event(server->log, LOG_LEVEL_INFO, LOG_NO_SLOT, 0, "stopped");
}

int server_run(struct server_config *config)
{
    struct server *server = calloc(1, sizeof(*server));
    int r, status;

    if (!server) {
        (void)fprintf(stderr, "aiotools-sd: out of memory\n");
        return STATUS_OS;
    }
    server->config = config;
    server->rundir = RUNDIR_NONE;
    server->guardian = (struct guardian)GUARDIAN_INIT;
    (void)signal(SIGPIPE, SIG_IGN);
    services_block_signals();
    r = server_open(server);
    if (r < 0) {
        (void)fprintf(stderr, "aiotools-sd: %s\n", server->problem.text);
        status = server->problem.status;
    } else {
        r = ait_run(server_main, server, AIT_RUN_KEEP_SIGNALS);
        say_end(server, r);
        status = server->stopping ? server->status : STATUS_OS;
    }
    server_close(server);
    free(server);
    return status;
}
