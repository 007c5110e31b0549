/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * One process, from before its start to after its last descendant's end, as one task.
 */

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "denials.h"
#include "supervise/supervise.h"

#define SWEEP_PAUSE (2 * AIT_USEC_PER_MSEC)
#define SWEEP_LIMIT (5 * AIT_USEC_PER_SEC) /* for processes in uninterruptible sleep */

extern char **environ;

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)ait_close(*fd);
    *fd = -1;
}

/* ---- starting ------------------------------------------------------------------------------------ */

/* The far ends of the pipes; they live until the process has been started. */
struct far_ends {
    int out[LOG_CHANNELS];
    int ready;
};

static void far_ends_close(struct far_ends *far)
{
    for (unsigned i = 0; i < LOG_CHANNELS; i++)
        close_fd(&far->out[i]);
    close_fd(&far->ready);
}

static int make_pipe(int *near, int *far)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    *near = fds[0];
    *far = fds[1];
    return 0;
}

static int worker_open(struct worker *w, struct far_ends *far, struct problem *p)
{
    const struct server_config *config = w->server->config;
    const struct account *account = config->account_set ? &config->account : NULL;
    int r = 0;

    for (unsigned i = 0; i < LOG_CHANNELS && r >= 0; i++)
        r = make_pipe(&w->out_fds[i], &far->out[i]);
    if (r >= 0 && config->ready == READY_FD)
        r = make_pipe(&w->ready_fd, &far->ready);
    if (r < 0)
        return problem_set(p, STATUS_OS, r,
                           "cannot make a pipe for the worker: %s; raise the limit of open files (ulimit -n)",
                           strerror(-r));
    return notify_socket_open(&w->notify, w->server->rundir.path, w->slot->index,
                              account ? account->uid : geteuid(), account ? account->gid : getegid(), p);
}

static int worker_environment(struct worker *w, const char **fdnames, size_t n,
                              struct spawn_environment **ret, struct problem *p)
{
    struct server *server = w->server;
    const struct server_config *config = server->config;
    struct spawn_environment_params params = {
        .base = environ,
        .settings = (const char *const *)config->env,
        .account = config->account_set ? &config->account : NULL,
        .fdnames = fdnames,
        .n_sockets = n,
        .notify_socket = w->notify.path,
        .name = config->name,
        .slot = w->slot->index,
        .workers = server->n_slots,
        .generation = w->generation,
    };
    int r = spawn_environment_new(&params, ret);

    if (r < 0)
        return problem_set(p, STATUS_OS, r, "cannot make the worker's environment: %s", strerror(-r));
    return 0;
}

/* At each start: a listener may have been opened anew, and a worker may have put it back. */
static void be_non_blocking(const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int mode = fcntl(fds[i], F_GETFL);

        if (mode >= 0 && !(mode & O_NONBLOCK))
            (void)fcntl(fds[i], F_SETFL, mode | O_NONBLOCK);
    }
}

static int worker_exec(struct worker *w, struct far_ends *far, struct problem *p)
{
    struct server *server = w->server;
    const struct server_config *config = server->config;
    size_t n = listen_set_count(server->listen);
    struct spawn_params params = SPAWN_PARAMS_INIT;
    struct spawn_environment *environment = NULL;
    const char **fdnames = calloc(n + 1, sizeof(*fdnames));
    int *fds = calloc(n + 1, sizeof(*fds)), pidfd = -1, r;

    if (!fds || !fdnames) {
        r = problem_set(p, STATUS_OS, -ENOMEM, "out of memory");
        goto finish;
    }
    for (size_t i = 0; i < n; i++)
        fdnames[i] = listen_set_name(server->listen, i);
    r = listen_set_fds(server->listen, w->slot->index, fds);
    if (r < 0) {
        problem_set(p, STATUS_OS, r, "slot %u has no sockets: %s", w->slot->index, strerror(-r));
        goto finish;
    }
    if (config->non_blocking)
        be_non_blocking(fds, n);
    r = worker_environment(w, fdnames, n, &environment, p);
    if (r < 0)
        goto finish;
    r = worker_sandbox_update(&server->sandbox, &config->sandbox, config->program, p);
    if (r < 0)
        goto finish;
    params.path = config->program;
    params.argv = config->argv;
    params.environment = environment;
    params.stdout_fd = far->out[LOG_STDOUT];
    params.stderr_fd = far->out[LOG_STDERR];
    params.socket_fds = fds;
    params.n_socket_fds = n;
    params.ready_fd = far->ready;
    params.ready_target = config->ready == READY_FD ? config->ready_fd : -1;
    params.account = config->account_set ? &config->account : NULL;
    params.working_directory = config->chdir;
    params.umask = config->umask;
    params.guardian_fd = server->guardian.fd;
    params.sandbox = server->sandbox.sandbox;
    if (server->sandbox.sandbox && config->sandbox.deny == AIT_SANDBOX_DENY_EXPLAIN) {
        params.explain = explain_event;
        params.explain_userdata = w;
        params.ret_explainer = &w->explainer;
    }
    r = spawn_worker(&params, &w->pid, &pidfd, &w->tree, p);
    if (r < 0)
        goto finish;
    r = ait_child_adopt(&w->child, w->pid, pidfd);
    if (r < 0) {
        /* Out of memory with a process in hand: it goes again. */
        (void)kill(w->pid, SIGKILL);
        (void)waitid(P_PID, (id_t)w->pid, NULL, WEXITED);
        (void)close(pidfd);
        (void)guardian_remove(&server->guardian, w->pid);
        w->pid = 0;
        problem_set(p, STATUS_OS, r, "out of memory");
    }

finish:
    spawn_environment_free(environment);
    free(fdnames);
    free(fds);
    return r;
}

/* A worker may shut its listener down when it stops; then it is shut down for its successor, too. */
static int worker_repair_listeners(void *userdata)
{
    struct worker *w = userdata;
    struct problem *p = &w->server->problem;

    if (listen_set_check(w->server->listen, w->slot->index, p) < 0)
        log_event(w->server->log, LOG_LEVEL_ERROR, (int)w->slot->index, w->pid, "%s", p->text);
    server_steer(w->server);
    return 0;
}

static int worker_begin(void *userdata)
{
    struct worker *w = userdata;
    struct server *server = w->server;
    struct far_ends far = {.out = {-1, -1}, .ready = -1};
    struct problem *p = &server->problem;
    int r;

    w->started = ait_now(NULL);
    (void)worker_repair_listeners(w);
    r = worker_open(w, &far, p);
    if (r >= 0)
        r = worker_exec(w, &far, p);
    /* The guardian has died, and nobody has seen it yet. */
    if ((r == -EPIPE || r == -ECONNRESET) && services_new_guardian(server) >= 0)
        r = worker_exec(w, &far, p);
    far_ends_close(&far);
    if (r < 0) {
        w->spawn_status = p->status;
        /* Every slot fails for the same reason; where nothing has run yet, it is said once. */
        if (server->any_started || !server->told_problem)
            log_event(server->log, LOG_LEVEL_ERROR, (int)w->slot->index, 0, "cannot start: %s", p->text);
        server->told_problem = true;
        return r;
    }
    if (!server->any_started)
        server_announce(server);
    server->any_started = true;
    w->next = server->workers;
    server->workers = w;
    for (unsigned i = 0; i < LOG_CHANNELS; i++)
        log_stream_init(&w->streams[i], server->log, (int)w->slot->index, w->pid, i);
    log_event(server->log, LOG_LEVEL_INFO, (int)w->slot->index, w->pid, "started");
    return 0;
}

/* ---- running and stopping ------------------------------------------------------------------------ */

/* Until it has ended. It is reaped by worker_sweep(): until then its group may be killed as a whole. */
static int worker_wait(struct worker *w)
{
    int r;

    r = ait_poll(ait_child_pidfd(w->child), POLLIN);
    return r < 0 ? r : 0;
}

/* Until the process has ended (0), was not ready in time (-ETIME), or is to be stopped (-ECANCELED). */
static int worker_run(struct worker *w)
{
    AIT_SCOPE(limit);
    int r;

    r = ait_scope_enter_after(&limit, 0, w->server->config->start_timeout);
    if (r < 0)
        return r;
    w->limit = limit;
    if (w->server->config->ready == READY_EXEC)
        worker_is_ready(w);
    r = worker_wait(w);
    w->limit = NULL;
    return ait_scope_exit(limit, r);
}

static void worker_terminate(struct worker *w)
{
    const struct server_config *config = w->server->config;
    char grace[FORMAT_TIME_MAX];
    AIT_SCOPE(limit);
    int r;

    r = ait_scope_enter_after(&limit, AIT_SCOPE_MOVE_ON, w->server->at_once ? 0 : config->stop_timeout);
    if (r >= 0) {
        w->limit = limit;
        if (!w->server->at_once) {
            (void)ait_child_kill(w->child, config->stop_signal);
            /* One that has been stopped would not get to it. */
            (void)ait_child_kill(w->child, SIGCONT);
        }
        r = worker_wait(w);
        w->limit = NULL;
        (void)ait_scope_exit(limit, r);
    }
    if (r >= 0)
        return;
    if (!w->server->at_once)
        log_event(w->server->log, LOG_LEVEL_WARNING, (int)w->slot->index, w->pid,
                  "did not stop within %s of %s; killed", format_time(config->stop_timeout, grace),
                  signal_name(config->stop_signal) ?: "its signal");
}

static int sweep_once(void *userdata)
{
    struct worker *w = userdata;

    return (int)guardian_tree_kill(&w->tree, server_knows_pid, w->server);
}

/* And reaps it. */
static void kill_leader(struct worker *w)
{
    AIT_SCOPE(limit);
    int r;

    (void)ait_child_kill(w->child, SIGKILL);
    r = ait_scope_enter_after(&limit, AIT_SCOPE_MOVE_ON, SWEEP_LIMIT);
    if (r >= 0) {
        r = ait_child_wait(w->child, &w->info);
        (void)ait_scope_exit(limit, r);
    }
    /* Cancelled, and no memory for a shield: better that all wait a moment than that it is left. */
    if (r < 0 && r != -ETIME && ait_check_cancel() < 0)
        (void)ait_child_terminate(w->child, SIGKILL, AIT_USEC_INFINITY);
}

/* Without /proc there is no list of what it has started: its group, as far as that can be told from a later one of its number. */
static void kill_group(const struct worker *w)
{
    if (getpgid(w->pid) < 0)
        (void)kill(-w->pid, SIGKILL);
}

/* Kills whatever is left, the leader included, and waits for the end of all of it. */
static void worker_sweep(struct worker *w)
{
    struct server *server = w->server;
    uint64_t end = ait_now(NULL) + SWEEP_LIMIT;
    int left;

    left = ait_call_on_thread_stack(sweep_once, w);
    kill_leader(w);
    while (left > 0) {
        left = ait_call_on_thread_stack(sweep_once, w);
        if (left <= 0 || ait_now(NULL) >= end)
            break;
        if (ait_sleep(SWEEP_PAUSE) < 0)
            (void)poll(NULL, 0, (int)(SWEEP_PAUSE / AIT_USEC_PER_MSEC));
    }
    if (left < 0)
        kill_group(w);
    if (left > 0)
        log_event(server->log, LOG_LEVEL_ERROR, (int)w->slot->index, w->pid,
                  "%d of its processes cannot be killed (in uninterruptible sleep?)", left);
    (void)guardian_remove(&server->guardian, w->pid);
}

/* Why it does not go on; r as worker_run() has it. From here on it serves nobody, whatever it still says. */
static void worker_over(struct worker *w, int r)
{
    char limit[FORMAT_TIME_MAX];

    w->state = WORKER_DRAINING;
    server_steer(w->server);
    if (r == -ETIME) {
        w->start_timed_out = true;
        log_event(w->server->log, LOG_LEVEL_ERROR, (int)w->slot->index, w->pid,
                  "not ready within --start-timeout=%s; killed",
                  format_time(w->server->config->start_timeout, limit));
    } else if (r == -ECANCELED) {
        w->asked_to_stop = true;
        worker_terminate(w);
    } else if (r < 0) {
        log_event(w->server->log, LOG_LEVEL_ERROR, (int)w->slot->index, w->pid,
                  "cannot be looked after: %s; killed", strerror(-r));
    }
}

/* From the start of the process to its end, and that of all that it has started. life is entered. */
static void worker_live(struct worker *w, ait_scope *life)
{
    AIT_SCOPE(shield);
    int r;

    r = explain_start(w, life);
    if (r >= 0)
        r = worker_start_pumps(w, life);
    if (r >= 0)
        r = worker_run(w);
    if (ait_scope_enter(&shield, AIT_SCOPE_SHIELD) < 0)
        shield = NULL;
    worker_over(w, r);
    worker_sweep(w);
    worker_finish_pumps(w);
    (void)ait_scope_abort(life);
    (void)ait_scope_exit(shield, 0);
}

static void worker_forget(struct worker *w)
{
    struct worker **p = &w->server->workers;

    while (*p && *p != w)
        p = &(*p)->next;
    if (*p)
        *p = w->next;
}

/* What was still in the pipes, and what belongs to the process. */
static int worker_close(void *userdata)
{
    struct worker *w = userdata;

    w->state = WORKER_EXITED;
    explain_finish(w);
    (void)ait_fd_forget(w->notify.fd);
    notify_socket_close(&w->notify);
    for (unsigned i = 0; i < LOG_CHANNELS; i++) {
        log_stream_end(&w->streams[i]);
        close_fd(&w->out_fds[i]);
    }
    close_fd(&w->ready_fd);
    worker_forget(w);
    return 0;
}

static int worker_main(void *userdata)
{
    struct worker *w = userdata;
    AIT_SCOPE(life);
    int r;

    /* Before there is a process that nobody could look after. */
    r = ait_scope_enter(&life, AIT_SCOPE_SUPERVISOR);
    if (r < 0) {
        w->spawn_status = STATUS_OS;
        log_event(w->server->log, LOG_LEVEL_ERROR, (int)w->slot->index, 0, "cannot start: %s", strerror(-r));
    } else {
        /* Deep, and this task is going to wait for long. */
        r = ait_call_on_thread_stack(worker_begin, w);
        if (r >= 0)
            worker_live(w, life);
    }
    (void)ait_scope_exit(life, r);
    (void)ait_call_on_thread_stack(worker_close, w);
    (void)ait_future_resolve(w->ready, -ECHILD);
    (void)ait_call_on_thread_stack(worker_repair_listeners, w);
    server_changed(w->server);
    return 0;
}

/* ---- life ---------------------------------------------------------------------------------------- */

struct worker *worker_ref(struct worker *w)
{
    if (w)
        w->refs++;
    return w;
}

struct worker *worker_unref(struct worker *w)
{
    if (!w || --w->refs > 0)
        return NULL;
    ait_future_unref(w->output_over);
    ait_task_unref(w->ready_pump);
    ait_task_unref(w->task);
    ait_child_unref(w->child);
    ait_future_unref(w->ready);
    ait_explainer_free(w->explainer);
    free(w);
    return NULL;
}

/* The end of its task, which has not even begun where it was cancelled at once. */
static void worker_unref_destroy(void *userdata)
{
    struct worker *w = userdata;

    if (w->state != WORKER_EXITED) {
        w->state = WORKER_EXITED;
        w->asked_to_stop = true;
        (void)ait_future_resolve(w->ready, -ECANCELED);
    }
    worker_unref(w);
}

int worker_new(struct slot *slot, struct worker **ret)
{
    struct worker *w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return -ENOMEM;
    w->refs = 1;
    w->server = slot->server;
    w->slot = slot;
    w->generation = slot->server->generation;
    w->notify = NOTIFY_SOCKET_CLOSED;
    w->ready_fd = w->out_fds[LOG_STDOUT] = w->out_fds[LOG_STDERR] = -1;
    r = ait_future_new(&w->ready);
    if (r >= 0)
        r = ait_future_new(&w->output_over);
    if (r < 0) {
        worker_unref(w);
        return r;
    }
    r = ait_scope_spawn(slot->scope, &w->task, worker_main, w,
                        AIT_TASK_OPTIONS(.name = "worker", .destroy = worker_unref_destroy));
    if (r < 0) {
        worker_unref(w);
        return r;
    }
    w->refs++; /* the task's, which has not run yet */
    *ret = w;
    return 0;
}

int worker_stop(struct worker *w)
{
    return ait_cancel_and_wait(w->task, NULL);
}

void worker_hurry(struct worker *w)
{
    if (w->limit && w->state == WORKER_DRAINING)
        (void)ait_scope_set_timeout(w->limit, 0);
}

int worker_exit_status(const struct worker *w)
{
    if (!w->child)
        return w->spawn_status;
    return w->info.si_code == CLD_EXITED ? w->info.si_status : 128 + w->info.si_status;
}

void worker_describe_end(const struct worker *w, char *buf, size_t n)
{
    if (!w->child)
        (void)snprintf(buf, n, "could not be started");
    else if (w->info.si_code == CLD_EXITED)
        (void)snprintf(buf, n, "exited with status %d", w->info.si_status);
    else
        (void)snprintf(buf, n, "was ended by %s%s", signal_name(w->info.si_status) ?: "a signal",
                       w->info.si_code == CLD_DUMPED ? " (core dumped)" : "");
}
