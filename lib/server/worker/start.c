/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/environment.h"
#include "config/lease.h"
#include "config/parse.h"
#include "process/reap.h"
#include "denials.h"
#include "spawn.h"

extern char **environ;

#define ROOM_TRIES 16u

/* How often a process that has not executed its program is looked at, and when that is news. */
#define LOOK_FIRST (20 * AIT_USEC_PER_MSEC)
#define LOOK_MAX   (320 * AIT_USEC_PER_MSEC)
#define EXEC_NEWS  AIT_USEC_PER_SEC

/* The far ends of the pipes; they live until the process has been started. */
struct far_ends {
    int out[LOG_CHANNELS];
    int ready;
};

static void far_ends_close(struct far_ends *far)
{
    for (unsigned i = 0; i < LOG_CHANNELS; i++)
        if (far->out[i] >= 0)
            (void)close(far->out[i]);
    if (far->ready >= 0)
        (void)close(far->ready);
}

static int make_pipe(int *near, int *far)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    *near = fds[0];
    *far = fds[1];
    /* The worker may open it as well, and take what poll(2) has told us of. */
    return fcntl(*near, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/*
 * So that the worker's user can open /dev/stdout. A worker that starts as root may change its user
 * itself. Nobody else can get at a pipe that has no name.
 */
static void give_away(const struct worker *w, int fd)
{
    const struct account *account = w->revision->account;

    if (fd < 0)
        return;
    if (account)
        (void)!fchown(fd, account->uid, account->gid);
    if (revision_uid(w->revision) == 0)
        (void)fchmod(fd, 0622);
}

static int open_pipes(struct worker *w, struct far_ends *far, struct problem *p)
{
    int r = 0;

    for (unsigned i = 0; i < LOG_CHANNELS && r >= 0; i++)
        r = make_pipe(&w->out_fds[i], &far->out[i]);
    if (r >= 0 && w->revision->config->ready == READY_FD)
        r = make_pipe(&w->ready_fd, &far->ready);
    if (problem_is_refusal(r))
        return problem_set_refused(p, r, "pipe2", "cannot create a pipe for the worker");
    if (r < 0)
        return problem_set(
            p, STATUS_OS, r,
            "cannot create a pipe for the worker: %s; raise the limit of open files (ulimit -n)",
            strerror(-r));
    for (unsigned i = 0; i < LOG_CHANNELS; i++)
        give_away(w, far->out[i]);
    give_away(w, far->ready);
    return notify_socket_open(&w->notify, w->all->directory, w->slot, revision_uid(w->revision),
                              revision_gid(w->revision), p);
}

static int make_environment(struct worker *w, const char **fdnames, size_t n,
                            struct spawn_environment **ret, struct problem *p)
{
    const struct revision *revision = w->revision;
    struct spawn_environment_params params = {
        .base = environ,
        .settings = (const char *const *)revision->env,
        .account = revision->account,
        .fdnames = fdnames,
        .n_sockets = n,
        .notify_socket = w->notify.path,
        .name = w->all->name,
        .slot = w->slot,
        .workers = w->all->n_slots,
        .generation = revision->generation,
    };
    int r = spawn_environment_new(&params, ret);

    if (r < 0)
        return problem_set(p, STATUS_OS, r, "cannot make the worker's environment: %s",
                           strerror(-r));
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

static const char *find_program(const struct worker *w)
{
    bool replaced;
    const char *path = revision_program(w->revision, &replaced);

    if (replaced)
        log_event(w->all->log, LOG_LEVEL_INFO, (int)w->slot, 0,
                  "%s has been replaced since generation %llu was loaded; starting the file that "
                  "is there now",
                  path, (unsigned long long)w->revision->generation);
    return path;
}

/* Out of memory with a process in hand: it goes again, and is reaped with the orphans. */
static int adopt(struct worker *w, int pidfd, struct problem *p)
{
    int r = ait_child_adopt(&w->child, w->pid, pidfd);

    if (r >= 0)
        return 0;
    (void)kill(w->pid, SIGKILL);
    (void)close(pidfd);
    w->spawn = spawn_free(w->spawn);
    w->pid = 0;
    return problem_set(p, STATUS_OS, r, "out of memory");
}

/* ---- its control group ----------------------------------------------------------------------- */

/* With --control-group=yes it is a failure, else it is said once. */
static int lack_group(struct worker *w, int error, struct problem *p)
{
    struct workers *all = w->all;

    if (w->revision->config->control_group == CONTROL_GROUP_YES)
        return problem_set(p, STATUS_OS, error, "--control-group=yes: no control group for it: %s",
                           strerror(-error));
    if (!all->told_ungrouped)
        log_event(all->log, LOG_LEVEL_WARNING, (int)w->slot, w->pid,
                  "no control group for it (%s); what it starts is found by its descent",
                  strerror(-error));
    all->told_ungrouped = true;
    return 0;
}

static int make_group(struct worker *w, struct problem *p)
{
    (void)family_done(&w->family);
    int r = family_init(&w->family, w->all->groups, w->slot);

    if (r < 0)
        return lack_group(w, r, p);
    return 0;
}

/* When it has executed its program: nothing else could move it any more. */
static int settle(struct worker *w, struct problem *p)
{
    if (family_settle(&w->family))
        return 0;
    return lack_group(w, -EPERM, p);
}

/* ---- the start ------------------------------------------------------------------------------- */

static int execute(struct worker *w, const struct far_ends *far,
                   struct spawn_environment *environment, const int *fds, size_t n,
                   struct problem *p)
{
    const struct server_config *config = w->revision->config;
    struct spawn_params params = SPAWN_PARAMS_INIT;
    int pidfd = -1, r = make_group(w, p);

    if (r < 0)
        return r;
    params.path = find_program(w);
    params.argv = config->argv;
    params.environment = environment;
    params.stdout_fd = far->out[LOG_STDOUT];
    params.stderr_fd = far->out[LOG_STDERR];
    params.socket_fds = fds;
    params.n_socket_fds = n;
    params.ready_fd = far->ready;
    params.ready_target = config->ready == READY_FD ? config->ready_fd : -1;
    params.account = w->revision->account;
    params.working_directory = w->revision->directory;
    params.umask = config->umask;
    params.set_nice = w->all->priority.raised;
    params.nice = w->all->priority.nice;
    if (w->all->priority.oom_score_adj[0])
        params.oom_score_adj = w->all->priority.oom_score_adj;
    params.group_fd = w->family.group.fd;
    params.sandbox = w->revision->sandbox.sandbox;
    if (params.sandbox && config->sandbox.deny == AIT_SANDBOX_DENY_EXPLAIN) {
        params.explain = denials_event;
        params.explain_userdata = w;
    }
    r = spawn_begin(&w->spawn, &params, &w->pid, &pidfd, &w->family.tree, p);
    /* What workers have started, and what has ended, may fill the table of processes. */
    for (unsigned i = 0; r == -EAGAIN && i < ROOM_TRIES; i++) {
        (void)reap_behind(workers_know_pid, w->all);
        r = spawn_begin(&w->spawn, &params, &w->pid, &pidfd, &w->family.tree, p);
    }
    w->family.tree.is_marked = workers_mark;
    return r < 0 ? r : adopt(w, pidfd, p);
}

static int start_process(struct worker *w, const struct far_ends *far, struct problem *p)
{
    struct listen_set *listen = w->all->listen;
    size_t n = listen_set_count(listen);
    struct spawn_environment *environment = NULL;
    const char **fdnames = calloc(n + 1, sizeof(*fdnames));
    int *fds = calloc(n + 1, sizeof(*fds)), r;

    r = fds && fdnames ? 0 : problem_set(p, STATUS_OS, -ENOMEM, "out of memory");
    for (size_t i = 0; i < n && r >= 0; i++)
        fdnames[i] = listen_set_name(listen, i);
    if (r >= 0 && (r = listen_set_fds(listen, w->slot, w->seat, fds)) < 0)
        problem_set(p, STATUS_OS, r, "cannot get the sockets of slot %u: %s", w->slot,
                    strerror(-r));
    if (r >= 0 && w->revision->config->non_blocking)
        be_non_blocking(fds, n);
    if (r >= 0)
        r = make_environment(w, fdnames, n, &environment, p);
    if (r >= 0)
        r = revision_refresh(w->revision, p);
    if (r >= 0)
        r = execute(w, far, environment, fds, n, p);
    spawn_environment_free(environment);
    free(fdnames);
    free(fds);
    return r;
}

/* Whether another worker has the same socket. */
static bool shares(const struct worker *w, size_t i)
{
    enum listen_owner owner = listen_set_owner(w->all->listen, i);

    for (const struct worker *other = w->all->living; other; other = other->next)
        if (owner == LISTEN_OF_ALL || (owner == LISTEN_OF_SLOT && other->slot == w->slot) ||
            (owner == LISTEN_OF_WORKER && other->seat == w->seat))
            return true;
    return false;
}

/* What a look at the listeners need not say again. */
static void note_failure(struct workers *all, size_t i, bool failed)
{
    uint64_t bit = i < 64 ? UINT64_C(1) << i : 0;

    all->listeners_told.failed &= ~bit;
    if (failed) {
        all->listeners_told.failed |= bit;
        all->listeners_told.options |= bit;
    }
}

/* Its predecessor may have changed them, or shut them down. */
static void repair_listeners(struct worker *w)
{
    struct problem *p = &w->all->problem;
    int r;

    for (size_t i = 0; i < listen_set_count(w->all->listen); i++) {
        p->text[0] = '\0';
        r = listen_set_check(w->all->listen, i, w->slot, w->seat, shares(w, i), p);
        if (p->text[0])
            log_event(w->all->log, r < 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, (int)w->slot,
                      w->pid, "%s", p->text);
        note_failure(w->all, i, r < 0);
    }
}

/* Every slot fails for the same reason; if nothing has run yet, it is reported once. */
static void report_failure(struct worker *w, const struct problem *p)
{
    struct workers *all = w->all;

    w->spawn_status = p->status;
    w->spawn_is_hopeless = p->final;
    if (all->any_started || !all->failure_reported)
        log_event(all->log, LOG_LEVEL_ERROR, (int)w->slot, 0, "cannot start: %s", p->text);
    all->failure_reported = true;
}

int worker_begin(struct worker *w)
{
    struct workers *all = w->all;
    struct far_ends far = {.out = {-1, -1}, .ready = -1};
    struct problem *p = &all->problem;
    int r;

    w->started = ait_now(NULL);
    w->oom_before = oom_count(&all->oom);
    if (all->before_start)
        all->before_start(all->userdata);
    repair_listeners(w);
    r = open_pipes(w, &far, p);
    if (r >= 0)
        r = start_process(w, &far, p);
    far_ends_close(&far);
    if (r < 0) {
        report_failure(w, p);
        return r;
    }
    w->next = all->living;
    all->living = w;
    return 0;
}

/* ---- until the exec -------------------------------------------------------------------------- */

static void say_started(struct worker *w)
{
    struct workers *all = w->all;

    if (!all->any_started && all->first_started)
        all->first_started(all->userdata);
    all->any_started = true;
    for (unsigned i = 0; i < LOG_CHANNELS; i++)
        log_stream_init(&w->streams[i], all->log, (int)w->slot, w->pid, i);
    log_event(all->log, LOG_LEVEL_INFO, (int)w->slot, w->pid, "started");
}

void worker_abandon_exec(struct worker *w)
{
    if (!w->spawn)
        return;
    (void)ait_fd_forget(spawn_fd(w->spawn));
    if (spawn_explainer_fd(w->spawn) >= 0)
        (void)ait_fd_forget(spawn_explainer_fd(w->spawn));
    w->spawn = spawn_free(w->spawn);
}

/* Returns 1 if it has executed its program. */
static int look(void *userdata)
{
    struct worker *w = userdata;
    int r = spawn_look(w->spawn, &w->all->problem);

    if (r == 0)
        return 0;
    if (r > 0 && settle(w, &w->all->problem) < 0)
        r = -EPERM;
    if (r < 0) {
        report_failure(w, &w->all->problem);
    } else {
        w->explainer = spawn_take_explainer(w->spawn);
        say_started(w);
    }
    worker_abandon_exec(w);
    return r;
}

/* Until there may be news, but not for longer than that. */
static int await_news(const struct worker *w, uint64_t usec)
{
    struct pollfd fds[] = {{.fd = spawn_fd(w->spawn), .events = POLLIN},
                           {.fd = spawn_explainer_fd(w->spawn), .events = POLLIN}};
    AIT_SCOPE(limit);
    int r = ait_scope_enter_after(&limit, AIT_SCOPE_MOVE_ON, usec);

    if (r < 0)
        return r;
    r = ait_poll_many(fds, sizeof(fds) / sizeof(*fds));
    return ait_scope_exit(limit, r < 0 ? r : 0);
}

const char *worker_describe_hold(const struct worker *w, char buffer[static WORKER_HOLD_MAX])
{
    const char *program = w->revision->real_program;
    char holder[LEASE_HOLDER_MAX];

    if (lease_holder(program, holder))
        (void)snprintf(
            buffer, WORKER_HOLD_MAX,
            "%s holds a lease on %s; end it, and let nobody own the program whom you do not trust",
            holder, program);
    else
        (void)snprintf(buffer, WORKER_HOLD_MAX,
                       "does the file system of %s, of its interpreter, or of --chdir answer?",
                       program);
    return buffer;
}

static int say_held_up(void *userdata)
{
    struct worker *w = userdata;
    char hold[WORKER_HOLD_MAX], limit[FORMAT_TIME_MAX];

    log_event(w->all->log, LOG_LEVEL_WARNING, (int)w->slot, w->pid,
              "its program is still not executed: %s; the limit is --start-timeout=%s",
              worker_describe_hold(w, hold),
              format_time(w->revision->config->start_timeout, limit));
    return 0;
}

/*
 * If the kernel does not protect the process from others of its new user, they may stop it: it is
 * resumed.
 */
int worker_await_exec(struct worker *w)
{
    uint64_t pause = LOOK_FIRST;
    bool told = false;
    int r;

    while ((r = ait_call_on_thread_stack(look, w)) == 0) {
        r = await_news(w, pause);
        if (r < 0)
            break;
        (void)ait_child_kill(w->child, SIGCONT);
        pause = pause < LOOK_MAX ? pause * 2 : pause;
        if (!told && ait_now(NULL) - w->started >= EXEC_NEWS) {
            (void)ait_call_on_thread_stack(say_held_up, w);
            told = true;
        }
    }
    return r < 0 ? r : 0;
}
