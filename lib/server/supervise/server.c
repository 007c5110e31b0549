/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server.h"

#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "config/limits.h"
#include "log/writer.h"
#include "proc.h"
#include "process/children.h"
#include "groups.h"
#include "listeners.h"
#include "lookup.h"
#include "predecessor.h"
#include "queues.h"
#include "reaper.h"
#include "rundir.h"
#include "scheduler.h"
#include "service.h"
#include "signals.h"
#include "trim.h"
#include "upkeep.h"

/*
 * The first process becomes the guardian, and its child the supervisor: a tree of tasks that
 * mirrors the processes.
 *
 *     server_main                      notifies systemd, waits for the end; beside it: log,
 *                                      guardian, signals
 *       slots (a supervisor scope)     stopping the server is cancelling this scope
 *         slot_main, one per slot      decides what runs in it
 *           worker_main, one per process, from its start until its last descendant has ended
 *         scheduler_main               planned changes: reload, scale
 *
 * Everything runs in one thread. A struct changes only between two suspensions.
 */

/* For a reader that takes nothing, for one that is slow, and after SIGQUIT. */
#define LOG_IDLE      (10 * AIT_USEC_PER_SEC)
#define LOG_PATIENCE  (30 * AIT_USEC_PER_SEC)
#define LOG_HURRY     AIT_USEC_PER_SEC
#define N_SERVICES    5
#define ORPHANS_PAUSE 5               /* ms */
#define ORPHANS_GRACE (2 * 1000)      /* ms */
#define ORPHANS_BURST 4000            /* us */
#define ORPHANS_LIMIT (5 * 1000000ul) /* us, for processes in uninterruptible sleep */

struct server {
    struct server_config *config;
    struct predecessor predecessor;
    struct rundir rundir;
    struct upkeep upkeep;
    struct guardian guardian;
    struct cgroups groups;     /* of the workers; without a descriptor: there are none */
    struct revision *revision; /* the first; the scheduler's, once there is a loop */
    struct log_writer log_writer;
    struct signals signals;
    struct systemd systemd;
    struct scheduler scheduler;
    struct lookup lookup;
    struct workers workers;
    struct services services, among_slots;
    struct service service[N_SERVICES], queues;

    ait_scope *slots;         /* NULL: none run */
    unsigned n_interrupts[2]; /* SIGINT of others, and what the guardian has passed on */
    unsigned n_reloads;       /* that have been seen to end */
    int unprotected;          /* errno: workers of our user can look into our memory */
    bool stopping;
    int status; /* exit status, once stopping */
};

/* ---- stopping -------------------------------------------------------------------------------- */

static void server_stop(struct server *server, int status)
{
    if (server->stopping)
        return;
    server->stopping = true;
    server->status = status;
    systemd_stopping(&server->systemd, server->config->stop_timeout);
    if (server->workers.any_started)
        log_event(server->workers.log, LOG_LEVEL_INFO, LOG_NO_SLOT, 0, "stopping");
    if (server->slots)
        (void)ait_scope_cancel(server->slots);
}

/* A failure that would repeat in every slot, so that no other slot is tried. */
static bool must_stop(const struct server *server, const struct slot *slot)
{
    if (slot->state != SLOT_FAILED)
        return false;
    return slot->status == STATUS_SANDBOX ||
           ((slot->status == STATUS_CONFIG || slot->status == STATUS_OS) &&
            !server->workers.any_started);
}

/* Whether nothing is left to run, and the exit status for that. */
static bool server_over(const struct server *server, int *ret_status)
{
    const struct scheduler *s = &server->scheduler;
    unsigned n_lost = 0, n_failed = 0, n_absent = 0;
    int highest = 0;

    for (unsigned i = 0; i < s->n_slots; i++) {
        const struct slot *slot = s->slots[i];

        if (must_stop(server, slot)) {
            *ret_status = slot->status;
            return true;
        }
        n_lost += slot_is_lost(slot);
        n_failed += slot->state == SLOT_FAILED;
        n_absent += slot->state == SLOT_FAILED && slot->status == STATUS_CONFIG;
        if (slot->state == SLOT_ENDED && slot->status > highest)
            highest = slot->status;
    }
    if (n_lost < s->n_slots)
        return false;
    if (n_absent == s->n_slots)
        *ret_status = STATUS_CONFIG;
    else if (n_failed > 0)
        *ret_status = STATUS_UNAVAILABLE;
    else
        *ret_status = server->config->restart == RESTART_NO ? highest : 0;
    return true;
}

/* ---- signals --------------------------------------------------------------------------------- */

static void on_terminate(void *userdata)
{
    server_stop(userdata, 0);
}

static void on_interrupt(void *userdata)
{
    struct server *server = userdata;

    /* A signal to all processes of a service comes twice. */
    if (server->n_interrupts[server->signals.sender == server->guardian.pid]++ == 0) {
        server_stop(server, 0);
        return;
    }
    log_event(server->workers.log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
              "second SIGINT: killing the workers that are left");
    workers_expire_all(&server->workers);
}

static void on_quit(void *userdata)
{
    struct server *server = userdata;

    server_stop(server, 0);
    workers_expire_all(&server->workers);
}

static void on_hangup(void *userdata)
{
    struct server *server = userdata;

    lookup_reload(&server->lookup);
}

static void on_more(void *userdata)
{
    struct server *server = userdata;

    scheduler_scale(&server->scheduler, 1);
}

static void on_fewer(void *userdata)
{
    struct server *server = userdata;

    scheduler_scale(&server->scheduler, -1);
}

/* The log goes to our own stdout and stderr, which cannot be reopened. */
static void on_reopen(void *userdata)
{
    struct server *server = userdata;

    log_event(server->workers.log, LOG_LEVEL_INFO, LOG_NO_SLOT, 0,
              "SIGUSR1 ignored: aiotools-sd has no log files to reopen");
}

static void on_upgrade(void *userdata)
{
    struct server *server = userdata;

    log_event(server->workers.log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
              "SIGUSR2 ignored: this version cannot upgrade in place; SIGHUP replaces the workers");
}

static const struct signal_action signal_actions[] = {
    {SIGTERM, on_terminate}, {SIGINT, on_interrupt}, {SIGQUIT, on_quit},
    {SIGHUP, on_hangup},     {SIGTTIN, on_more},     {SIGTTOU, on_fewer},
    {SIGUSR1, on_reopen},    {SIGUSR2, on_upgrade},  {0, NULL},
};

/* ---- what is told of it ---------------------------------------------------------------------- */

/*
 * Which files root may write depends neither on system calls nor on capabilities. With
 * --sandbox=log no restriction is expected.
 */
static bool root_writes_anywhere(const struct server *server)
{
    const struct revision *revision = server->scheduler.revision;

    return revision_uid(revision) == 0 && revision->sandbox.sandbox &&
           revision->sandbox.identity == 0 && server->config->sandbox.mode != SANDBOX_LOG;
}

/* What most servers need is in the example. The name of a link, so that a reload follows it. */
static void warn_of_root(struct log *log, const struct revision *revision)
{
    char cwd[PATH_MAX];
    const char *chdir = revision->config->chdir, *directory;

    directory = chdir && *chdir == '/' ? chdir : revision->directory ?: getcwd(cwd, sizeof(cwd));
    directory = directory ?: "DIRECTORY";
    log_event(log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
              "workers run as root and may write all files that root may write; set --user=USER; "
              "if it has to be root, confine their files: --sandbox=strict --read-only=%s "
              "--read-write=%s, which leaves root what CONFINED ROOT in aiotools-sd(1) lists",
              directory, strncmp(directory, "/tmp/", 5) == 0 ? "/var/tmp" : "/tmp");
}

/* What root has taken over with the machine's own files. */
static const char *dangerous_path(const struct revision *revision)
{
    static const char *const folders[] = {"/boot", "/dev", "/etc", "/proc",
                                          "/root", "/sys", "/usr"};

    for (char **path = revision->sandbox.read_write; path && *path; path++)
        for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
            if (strcmp(*path, folders[i]) == 0 || strcmp(*path, "/") == 0)
                return *path;
    return NULL;
}

static void warn_of_path(struct log *log, const struct revision *revision)
{
    const char *path = revision_uid(revision) == 0 ? dangerous_path(revision) : NULL;

    if (path)
        log_event(log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
                  "--read-write=%s: workers run as root and may write the machine's own files "
                  "there; set --user=USER, or name a folder of data",
                  path);
}

static void announce(void *userdata)
{
    static const char *const owners[] = {[LISTEN_OF_ALL] = "shared",
                                         [LISTEN_OF_SLOT] = "one socket per slot",
                                         [LISTEN_OF_WORKER] = "one socket per worker"};
    struct server *server = userdata;
    struct log *log = server->workers.log;
    struct listen_set *listen = server->workers.listen;
    const struct revision *revision = server->scheduler.revision;
    size_t n = listen_set_count(listen);

    for (size_t i = 0; i < n; i++)
        log_event(log, LOG_LEVEL_INFO, LOG_NO_SLOT, 0, "listening on %s (%s)",
                  listen_set_address(listen, i), owners[listen_set_owner(listen, i)]);
    log_event(log, LOG_LEVEL_INFO, LOG_NO_SLOT, getpid(), "starting %u workers of %s, sandbox %s",
              server->scheduler.n_slots, revision->program,
              sandbox_mode_words[server->config->sandbox.mode]);
    if (revision->sandbox.sandbox)
        log_event(log,
                  strstr(ait_sandbox_text(revision->sandbox.sandbox), "refused by") ||
                          strstr(ait_sandbox_text(revision->sandbox.sandbox), "the policy names")
                      ? LOG_LEVEL_WARNING
                      : LOG_LEVEL_INFO,
                  LOG_NO_SLOT, 0, "sandbox: %s", ait_sandbox_text(revision->sandbox.sandbox));
    if (proc_view() == PROC_ABSENT)
        log_event(log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
                  "there is no /proc: daemons that workers start may be left when the server ends; "
                  "mount -t proc proc /proc");
    if (server->unprotected)
        log_event(
            log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
            "workers of the same user could look into the memory of the supervisor: prctl(2) with "
            "PR_SET_DUMPABLE is refused (%s) by an outer sandbox; allow it there, or set --user=",
            strerror(server->unprotected));
    if (root_writes_anywhere(server))
        warn_of_root(log, revision);
    warn_of_path(log, revision);
}

/* The loop itself has failed. A stack for a task that cannot be had is -EAGAIN. */
static void say_broken(struct server *server, int r)
{
    char buffer[LIMITS_REMEDY_MAX];
    const char *remedy = limits_remedy(r == -EAGAIN ? ENOMEM : -r, buffer);

    if (remedy)
        log_event(server->workers.log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0,
                  "stopped: the supervisor cannot go on: %s; %s",
                  strerror(r == -EAGAIN ? ENOMEM : -r), remedy);
    else
        log_event(server->workers.log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0,
                  "stopped: internal error: %s; please report it as a bug",
                  strerror(r < 0 ? -r : 0));
}

/* The last line says what to do, if there is something to do. */
static void say_end(struct server *server, int r)
{
    struct log *log = server->workers.log;
    const char *program = server->config->argv[0];

    if (!server->stopping)
        say_broken(server, r);
    else if (!server->workers.any_started)
        return;
    else if (server->status == STATUS_UNAVAILABLE)
        log_event(log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0,
                  "stopped: every slot gave up; see the workers' output above, or run %s by hand; "
                  "fix the cause, and start again",
                  program);
    else if (server->status == STATUS_CONFIG)
        log_event(log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0,
                  "stopped: %s reports a wrong configuration (exit status 78); see its output "
                  "above, correct it, and start again",
                  program);
    else
        log_event(log, LOG_LEVEL_INFO, LOG_NO_SLOT, 0, "stopped");
}

static void before_start(void *userdata)
{
    struct server *server = userdata;

    upkeep_look(&server->upkeep);
}

/* ---- the main task --------------------------------------------------------------------------- */

/* Notifies systemd, and releases the memory that the start or a reload needed. */
static int look_around(void *userdata)
{
    struct server *server = userdata;
    const struct scheduler *s = &server->scheduler;
    bool ready =
        !server->systemd.reported_ready && scheduler_all_were_proved(s) && !server->stopping;
    char note[64] = "";

    if (s->reloading)
        (void)snprintf(note, sizeof(note), ", reloading");
    else if (s->reload_state)
        (void)snprintf(note, sizeof(note), ", the last reload: %s", s->reload_state);
    else if (scheduler_n_back(s) > 0)
        (void)snprintf(note, sizeof(note), ", the last reload: %u went back", scheduler_n_back(s));
    if (ready)
        log_event(server->workers.log, LOG_LEVEL_INFO, LOG_NO_SLOT, 0, "all %u workers are ready",
                  s->n_slots);
    if (ready)
        trim();
    systemd_status(&server->systemd, ready, scheduler_n_ready(s), s->n_slots, note);
    if (server->n_reloads != s->n_reloads)
        trim();
    server->n_reloads = s->n_reloads;
    return 0;
}

static int await_end(struct server *server)
{
    int r = 0, status;

    while (r >= 0 && !server_over(server, &status)) {
        (void)ait_call_on_thread_stack(look_around, server);
        r = ait_event_wait(server->scheduler.changed);
    }
    if (r < 0)
        return r;
    server_stop(server, status);
    return -ECANCELED;
}

static int run_slots(struct server *server)
{
    AIT_SCOPE(slots);
    int r;

    r = ait_scope_enter(&slots, AIT_SCOPE_SUPERVISOR);
    if (r < 0)
        return r;
    server->slots = slots;
    /* A signal that came before there was anything to stop. */
    if (server->stopping)
        (void)ait_scope_cancel(slots);
    server->lookup.scope = slots;
    r = scheduler_start(&server->scheduler, slots);
    server->among_slots = server->services;
    server->among_slots.scope = slots;
    if (r >= 0)
        r = service_start(&server->queues, &server->among_slots);
    if (r >= 0)
        r = await_end(server);
    r = ait_scope_exit(slots, r);
    server->slots = NULL;
    server->lookup.scope = NULL;
    return r;
}

static void cannot_serve(void *userdata)
{
    server_stop(userdata, STATUS_OS);
}

static int end_unguarded(void *userdata)
{
    struct server *server = userdata;

    guardian_mourn();
    log_event(server->workers.log, LOG_LEVEL_ERROR, LOG_NO_SLOT, server->guardian.pid,
              "the guardian, the first process of this server, was killed; killing all workers, "
              "since nobody would end them if the supervisor were killed as well");
    server_stop(server, STATUS_OS);
    server->status = STATUS_OS;
    workers_expire_all(&server->workers);
    return 0;
}

static int watch_guardian(void *userdata)
{
    struct server *server = userdata;
    int r = ait_poll(server->guardian.pidfd, POLLIN);

    return r < 0 ? r : ait_call_on_thread_stack(end_unguarded, server);
}

static int start_services(struct server *server, ait_scope *scope)
{
    const struct service list[] = {
        {"watch over the guardian", watch_guardian, server},
        {"watch the listening sockets", listeners_watch, &server->workers},
        {"keep the files of the server", upkeep_watch, &server->upkeep},
        {"reap the processes of workers", reaper_watch, &server->workers},
        {"receive signals", signals_receive, &server->signals},
    };
    int r = 0;

    _Static_assert(sizeof(list) == sizeof(server->service), "room for all of them");
    memcpy(server->service, list, sizeof(list));
    server->queues = (struct service){"watch the queues", queues_watch, &server->scheduler};
    server->services = (struct services){
        .log = server->workers.log, .scope = scope, .give_up = cannot_serve, .userdata = server};
    log_writer_init(&server->log_writer, server->workers.log, scope);
    upkeep_init(&server->upkeep);
    for (size_t i = 0; i < N_SERVICES && r >= 0; i++)
        r = service_start(&server->service[i], &server->services);
    return r;
}

static int server_main(void *userdata)
{
    struct server *server = userdata;
    AIT_SCOPE(services);
    int r;

    server->lookup.scheduler = &server->scheduler;
    r = scheduler_init(&server->scheduler, server->config, &server->workers, &server->systemd,
                       server->revision);
    server->revision = revision_unref(server->revision);
    if (r >= 0)
        r = ait_scope_enter(&services, AIT_SCOPE_SUPERVISOR);
    if (r >= 0) {
        r = start_services(server, services);
        if (r >= 0)
            r = run_slots(server);
        (void)ait_scope_cancel(services);
        r = ait_scope_exit(services, r);
        upkeep_done(&server->upkeep);
    }
    log_writer_done(&server->log_writer);
    scheduler_done(&server->scheduler);
    return r;
}

/* ---- before and after the loop --------------------------------------------------------------- */

static int open_sockets(struct server *server, struct problem *p)
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

    r = inherited_take(&inherited, p);
    if (r < 0)
        return r;
    /* What a killed server has left may still hold the port. */
    do
        r = listen_set_open(&server->workers.listen, &options, p);
    while (r == -EADDRINUSE && (groups_end_former(config, &server->predecessor) ||
                                predecessor_may_end(&server->predecessor, false)));
    inherited_done(&inherited);
    if (r < 0)
        return r;
    if (server_config_name_sockets(config, listen_set_first_port(server->workers.listen)) < 0)
        return problem_set(p, STATUS_OS, -ENOMEM, "out of memory");
    return 0;
}

static int open_log(struct server *server, struct problem *p)
{
    const struct server_config *config = server->config;
    int r = log_new(&server->workers.log, config->name, config->log, STDOUT_FILENO, STDERR_FILENO);

    return r < 0 ? problem_set(p, STATUS_OS, r, "cannot open the log: %s", strerror(-r)) : 0;
}

/*
 * Workers of the same user must not read its memory or open descriptors: /proc shows nothing, and
 * ptrace is refused.
 */
static void protect_from_workers(struct server *server)
{
    if (server->revision->sandbox.sandbox && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        server->unprotected = errno;
}

static int try_epoll(void)
{
    return epoll_create1(EPOLL_CLOEXEC);
}

static int try_eventfd(void)
{
    return eventfd(0, EFD_CLOEXEC);
}

static int try_signalfd(void)
{
    sigset_t none;

    (void)sigemptyset(&none);
    return signalfd(-1, &none, SFD_CLOEXEC);
}

/* What the loop cannot do without: it would only report an errno, when it is too late for words. */
static int check_calls(struct problem *p)
{
    static const struct {
        const char *name;
        int (*try)(void);
    } calls[] = {
        {"epoll_create1", try_epoll}, {"eventfd2", try_eventfd}, {"signalfd4", try_signalfd}};

    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        int fd = calls[i].try();

        if (fd < 0 && problem_is_refusal(-errno))
            return problem_set_refused(p, -errno, calls[i].name, "cannot wait for events");
        if (fd >= 0)
            (void)close(fd);
    }
    return 0;
}

/* By a number from another namespace somebody else would be killed. */
static int check_proc(struct problem *p)
{
    if (proc_view() != PROC_FOREIGN)
        return 0;
    return problem_set(
        p, STATUS_OS, -EXDEV,
        "/proc shows the processes of another pid namespace, so those of workers cannot be told; "
        "mount one of this namespace (mount -t proc proc /proc, unshare --mount-proc)");
}

static int server_open(struct server *server)
{
    struct server_config *config = server->config;
    struct problem *p = &server->workers.problem;
    int r;

    r = revision_new(&server->revision, config, 0, p);
    /* What stays is not to lie among the pages that the compiler has needed. */
    (void)malloc_trim(0);
    if (r >= 0)
        r = open_sockets(server, p);
    if (r >= 0)
        r = rundir_open(&server->rundir, config->name, &server->predecessor, p);
    if (r >= 0)
        r = open_log(server, p);
    if (r < 0)
        return r;
    protect_from_workers(server);
    priority_raise_session();
    (void)guardian_set_name(&server->guardian, config->name);
    (void)guardian_hold(&server->guardian, server->rundir.guardian_lock);
    server->systemd.guardian = &server->guardian;
    oom_counter_init(&server->workers.oom, "/proc/self/cgroup", "/sys/fs/cgroup", "/proc/vmstat");
    server->workers.name = config->name;
    server->workers.guardian = &server->guardian;
    server->upkeep =
        (struct upkeep){.rundir = &server->rundir, .workers = &server->workers, .inotify = -1};
    server->workers.before_start = before_start;
    server->workers.directory = server->rundir.path;
    server->workers.first_started = announce;
    server->workers.userdata = server;
    server->workers.groups = &server->groups;
    groups_end_left(&server->rundir, &server->predecessor, server->workers.log);
    return groups_open(&server->groups, config, &server->rundir, &server->guardian, p);
}

static ssize_t orphans(struct server *server, int signo, struct process_names *names)
{
    return guardian_reap_orphans(workers_know_pid, &server->workers, signo, names);
}

/*
 * Daemons that could not be recognised as some worker's. They are asked to stop, as what a worker
 * leaves behind is.
 */
static void stop_orphans(struct server *server)
{
    int signo = server->workers.at_once ? 0 : server->config->stop_signal;
    struct process_names names = {};

    for (unsigned i = 0; orphans(server, i == 0 ? signo : 0, NULL) > 0; i++) {
        if (guardian_is_dead(&server->guardian))
            return;
        if (server->workers.at_once || i == ORPHANS_GRACE / ORPHANS_PAUSE) {
            (void)orphans(server, 0, &names);
            log_event(server->workers.log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
                      "killed what workers had left behind: %s", process_names_text(&names));
            return;
        }
        (void)poll(NULL, 0, ORPHANS_PAUSE);
    }
}

/* Ends all remaining children, until the kernel says that there is none. */
static void kill_orphans(struct server *server)
{
    uint64_t moved = children_now(), n_reaped;
    int r;

    while ((r = children_end(NULL, NULL, ORPHANS_BURST, &n_reaped)) > 0) {
        if (n_reaped > 0)
            moved = children_now();
        else
            (void)poll(NULL, 0, ORPHANS_PAUSE);
        if (children_now() - moved < ORPHANS_LIMIT)
            continue;
        log_event(server->workers.log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0,
                  "what workers have left behind cannot be killed (in uninterruptible sleep, or of "
                  "another user?); see ps(1)");
        return;
    }
}

/*
 * Its last lines are worth a wait, but not for ever. Signals are still blocked; whoever sends
 * another one wants the end now.
 */
static void finish_log(struct server *server)
{
    bool hurry = server->workers.at_once;
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    log_finish(server->workers.log, hurry ? LOG_HURRY : LOG_IDLE, hurry ? LOG_HURRY : LOG_PATIENCE,
               fd);
    if (fd >= 0)
        (void)close(fd);
}

static void server_close(struct server *server)
{
    if (server->workers.any_started) {
        stop_orphans(server);
        kill_orphans(server);
    }
    groups_close(&server->groups);
    revision_unref(server->revision);
    listen_set_close(server->workers.listen);
    rundir_close(&server->rundir);
    if (server->workers.log)
        finish_log(server);
    log_free(server->workers.log);
    guardian_done(&server->guardian);
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
    server->groups = (struct cgroups)CGROUPS_NONE;
    server->signals = (struct signals){.actions = signal_actions, .userdata = server};
    (void)signal(SIGPIPE, SIG_IGN);
    signals_block(&server->signals);
    reaper_block();
    priority_raise(&server->workers.priority);
    r = check_calls(&server->workers.problem);
    if (r >= 0)
        r = check_proc(&server->workers.problem);
    if (r >= 0)
        r = guardian_begin(&server->guardian, config->name, &server->workers.problem);
    if (r >= 0)
        r = server_open(server);
    if (r < 0) {
        (void)fprintf(stderr, "aiotools-sd: %s\n", server->workers.problem.text);
        status = server->workers.problem.status;
    } else {
        r = ait_run(server_main, server, AIT_RUN_KEEP_SIGNALS);
        say_end(server, r);
        status = server->stopping ? server->status : STATUS_OS;
    }
    server_close(server);
    free(server);
    return status;
}
