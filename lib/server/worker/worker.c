/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/parse.h"
#include "cause.h"
#include "denials.h"
#include "output.h"
#include "readiness.h"
#include "spawn.h"
#include "start.h"

/*
 * For what a worker leaves behind when its main process ends unasked. Requests that are being
 * served can finish, and the slot is not without a worker for long.
 */
#define LEFT_GRACE (2 * AIT_USEC_PER_SEC)
#define LEFT_NEWS  AIT_USEC_PER_SEC /* after this time, the log says what is waited for */

#define PAUSE_MIN   (2 * AIT_USEC_PER_MSEC)
#define PAUSE_MAX   AIT_USEC_PER_SEC
#define PAUSE_SHARE 8 /* of the time that was waited: each look reads all of /proc */
#define SWEEP_PAUSE (2 * AIT_USEC_PER_MSEC)
#define SWEEP_LIMIT (5 * AIT_USEC_PER_SEC) /* for processes in uninterruptible sleep */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)ait_close(*fd);
    *fd = -1;
}

static void set_state(struct worker *w, enum worker_state state)
{
    w->state = state;
    (void)ait_event_set(w->changed);
}

/* ---- running and stopping -------------------------------------------------------------------- */

/*
 * Waits until the process has ended. worker_sweep() reaps it: until then its group may be killed as
 * a whole.
 */
static int worker_wait(struct worker *w)
{
    int r;

    r = ait_poll(ait_child_pidfd(w->child), POLLIN);
    return r < 0 ? r : 0;
}

/* What its program needs, as soon as it runs. */
static int start_services(struct worker *w)
{
    int r = denials_start(w, w->life);

    if (r >= 0)
        r = output_start(w, w->life);
    if (r >= 0)
        r = readiness_start(w, w->life);
    if (r >= 0 && w->revision->config->ready == READY_EXEC)
        worker_is_ready(w);
    return r;
}

/*
 * Waits until the process has ended (0), was not ready in time (-ETIME), or is to be stopped
 * (-ECANCELED). Any other error: w->spawn_status is set, or it cannot be supervised.
 */
static int worker_run(struct worker *w)
{
    AIT_SCOPE(limit);
    int r;

    r = ait_scope_enter_after(&limit, 0, w->revision->config->start_timeout);
    if (r < 0)
        return r;
    w->limit = limit;
    r = worker_await_exec(w);
    if (r >= 0)
        r = start_services(w);
    if (r >= 0)
        r = worker_wait(w);
    w->limit = NULL;
    return ait_scope_exit(limit, r);
}

/* ---- what the main process leaves behind ----------------------------------------------------- */

static int ask_rest(void *userdata)
{
    struct worker *w = userdata;

    return (int)family_signal(&w->family, workers_know_pid, w->all,
                              w->revision->config->stop_signal);
}

static int count_rest(void *userdata)
{
    struct worker *w = userdata;

    return (int)family_look(&w->family, workers_know_pid, w->all, NULL);
}

static const char *stop_signal_name(const struct worker *w)
{
    return signal_name(w->revision->config->stop_signal) ?: "its stop signal";
}

static int say_rest(void *userdata)
{
    struct worker *w = userdata;
    struct process_names names = {};

    if (family_look(&w->family, workers_know_pid, w->all, &names) > 0)
        log_event(w->all->log, LOG_LEVEL_INFO, (int)w->slot, w->pid,
                  "has ended, but %u of its processes %s not: %s; they got %s and are waited for",
                  names.n, names.n == 1 ? "has" : "have", process_names_text(&names),
                  stop_signal_name(w));
    return 0;
}

/* Ever longer: some wait for hours, with --stop-timeout=infinity. */
static uint64_t pause_after(uint64_t waited)
{
    uint64_t pause = waited / PAUSE_SHARE;

    return pause < PAUSE_MIN ? PAUSE_MIN : pause < PAUSE_MAX ? pause : PAUSE_MAX;
}

/* Until the last one has ended, but not for longer than this. */
static int await_last(int events, uint64_t usec)
{
    AIT_SCOPE(limit);
    int r = ait_scope_enter_after(&limit, AIT_SCOPE_MOVE_ON, usec);

    if (r < 0)
        return r;
    r = ait_poll(events, POLLPRI);
    return ait_scope_exit(limit, r < 0 ? r : 0);
}

/* The kernel tells of a control group. Without one, it is time to look again after a while. */
static int await_rest(int events, uint64_t waited, bool said)
{
    uint64_t news = waited < LEFT_NEWS ? LEFT_NEWS - waited : 0;

    if (events >= 0 && cgroup_changed(events) > 0)
        return await_last(events, said ? AIT_USEC_INFINITY : news);
    return ait_sleep(pause_after(waited));
}

/*
 * The main process has ended. What it has left behind gets the stop signal, too, and is waited for.
 * -ETIME: the time that is left for the worker has not sufficed.
 */
static int wait_for_rest(struct worker *w)
{
    uint64_t begun = ait_now(NULL);
    int events = -1, left, r = 0;
    bool said = false;

    left = ait_call_on_thread_stack(ask_rest, w);
    if (left > 0 && family_has_group(&w->family))
        events = cgroup_open_events(&w->family.group);
    while (left > 0) {
        r = await_rest(events, ait_now(NULL) - begun, said);
        if (r < 0)
            break;
        left = ait_call_on_thread_stack(count_rest, w);
        if (left > 0 && !said && ait_now(NULL) - begun >= LEFT_NEWS) {
            (void)ait_call_on_thread_stack(say_rest, w);
            said = true;
        }
    }
    close_fd(&events);
    /* Without /proc nothing can be found: the group is killed later. */
    return r < 0 ? r : 0;
}

/* A scope for the stop: its deadline can be moved by notifications, and by an operator in a hurry.
 */
static int within(struct worker *w, uint64_t usec, int (*stop)(struct worker *w))
{
    AIT_SCOPE(limit);
    int r;

    r = ait_scope_enter_after(&limit, AIT_SCOPE_MOVE_ON, w->all->at_once ? 0 : usec);
    if (r < 0)
        return r;
    w->limit = limit;
    r = stop(w);
    w->limit = NULL;
    (void)ait_scope_exit(limit, r);
    return r;
}

/* ---- stopping -------------------------------------------------------------------------------- */

/*
 * The main process first: servers with processes of their own end these themselves, and some would
 * take a signal to each of them for an order to end at once.
 */
static int stop_in_order(struct worker *w)
{
    int r;

    if (!w->all->at_once) {
        w->asked = ait_now(NULL);
        log_event(w->all->log, LOG_LEVEL_INFO, (int)w->slot, w->pid, "asked to stop by %s",
                  stop_signal_name(w));
        (void)ait_child_kill(w->child, w->revision->config->stop_signal);
        /* A stopped process would not handle the signal. */
        (void)ait_child_kill(w->child, SIGCONT);
    }
    r = worker_wait(w);
    w->ended = ait_now(NULL);
    return r < 0 ? r : wait_for_rest(w);
}

static bool main_has_ended(const struct worker *w)
{
    struct pollfd p = {.fd = ait_child_pidfd(w->child), .events = POLLIN};

    return poll(&p, 1, 0) > 0;
}

/* Before they are killed: afterwards they have no names. */
static int say_killed(void *userdata)
{
    struct worker *w = userdata;
    uint64_t grace = w->revision->config->stop_timeout;
    char text[FORMAT_TIME_MAX];
    struct process_names names = {};
    ssize_t n = family_look(&w->family, workers_know_pid, w->all, &names);

    if (!w->asked_to_stop && grace > LEFT_GRACE)
        grace = LEFT_GRACE;
    (void)format_time(grace, text);
    if (main_has_ended(w) && n > 0)
        log_event(w->all->log, LOG_LEVEL_WARNING, (int)w->slot, w->pid,
                  "has ended, but %u of its processes did not within %s of %s; killed: %s", names.n,
                  text, stop_signal_name(w), process_names_text(&names));
    else if (!main_has_ended(w))
        log_event(w->all->log, LOG_LEVEL_WARNING, (int)w->slot, w->pid,
                  "did not stop within %s of %s; killed%s%s", text, stop_signal_name(w),
                  n > 0 ? ", and its processes " : "", process_names_text(&names));
    return 0;
}

static void worker_terminate(struct worker *w)
{
    int r = within(w, w->revision->config->stop_timeout, stop_in_order);

    w->killed = r < 0;
    if (r < 0 && !w->all->at_once)
        (void)ait_call_on_thread_stack(say_killed, w);
}

/* The main process has ended unasked. */
static void worker_left_behind(struct worker *w)
{
    uint64_t grace = w->revision->config->stop_timeout;
    int r = within(w, grace < LEFT_GRACE ? grace : LEFT_GRACE, wait_for_rest);

    if (r < 0 && !w->all->at_once)
        (void)ait_call_on_thread_stack(say_killed, w);
}

/* ---- the end of all -------------------------------------------------------------------------- */

static int sweep_once(void *userdata)
{
    struct worker *w = userdata;

    return (int)family_kill(&w->family, workers_know_pid, w->all);
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

/*
 * Without /proc its descendants cannot be listed. Its group is killed, if it cannot be confused
 * with a later one of that number.
 */
static void kill_group(const struct worker *w)
{
    if (getpgid(w->pid) < 0)
        (void)kill(-w->pid, SIGKILL);
}

/* Kills whatever is left, the leader included, and waits for the end of all of it. */
static void worker_sweep(struct worker *w)
{
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
        log_event(w->all->log, LOG_LEVEL_ERROR, (int)w->slot, w->pid,
                  "%d of its processes cannot be killed (in uninterruptible sleep?)", left);
}

static void say_unsupervised(const struct worker *w, int r)
{
    log_event(w->all->log, LOG_LEVEL_ERROR, (int)w->slot, w->pid,
              "cannot be supervised: %s; killed", strerror(-r));
}

static int say_never_executed(void *userdata)
{
    struct worker *w = userdata;
    char limit[FORMAT_TIME_MAX], hold[WORKER_HOLD_MAX];

    log_event(w->all->log, LOG_LEVEL_ERROR, (int)w->slot, w->pid,
              "not ready within --start-timeout=%s, since its program was not executed: %s; killed",
              format_time(w->revision->config->start_timeout, limit),
              worker_describe_hold(w, hold));
    return 0;
}

/* It has not executed its program, so that there is nobody who could stop in order. */
static void worker_over_early(struct worker *w, int r)
{
    w->start_timed_out = r == -ETIME;
    w->asked_to_stop = r == -ECANCELED;
    if (w->start_timed_out)
        (void)ait_call_on_thread_stack(say_never_executed, w);
    else if (!w->asked_to_stop)
        say_unsupervised(w, r);
    worker_abandon_exec(w);
    (void)ait_future_resolve(w->output_over, 0);
}

/*
 * Reports why the worker ends; r as in worker_run(). From now on it gets no connections, whatever
 * it notifies.
 */
static void worker_over(struct worker *w, int r)
{
    char limit[FORMAT_TIME_MAX];

    set_state(w, WORKER_DRAINING);
    if (w->spawn) {
        worker_over_early(w, r);
    } else if (r == -ETIME) {
        w->start_timed_out = true;
        log_event(w->all->log, LOG_LEVEL_ERROR, (int)w->slot, w->pid,
                  "not ready within --start-timeout=%s; killed",
                  format_time(w->revision->config->start_timeout, limit));
    } else if (r == -ECANCELED) {
        w->asked_to_stop = true;
        worker_terminate(w);
    } else if (r < 0) {
        say_unsupervised(w, r);
    } else {
        w->ended = ait_now(NULL);
        (void)ait_call_on_thread_stack(cause_background, w);
        worker_left_behind(w);
    }
}

static void say_stopped(struct worker *w)
{
    char end[WORKER_END_MAX], time[FORMAT_TIME_MAX];

    worker_describe_end(w, end, sizeof(end));
    log_event(w->all->log, LOG_LEVEL_INFO, (int)w->slot, w->pid, "%s, %s after %s", end,
              format_time(ait_now(NULL) - w->asked, time), stop_signal_name(w));
}

/*
 * From the start of the process until it and all its descendants have ended. The scope life is
 * entered.
 */
static void worker_live(struct worker *w, ait_scope *life)
{
    AIT_SCOPE(shield);
    int r;

    w->life = life;
    r = worker_run(w);
    if (ait_scope_enter(&shield, AIT_SCOPE_SHIELD) < 0)
        shield = NULL;
    if (w->spawn_status > 0)
        (void)ait_future_resolve(w->output_over, 0);
    else
        worker_over(w, r);
    worker_sweep(w);
    /* It has not become what it was started for. */
    if (w->spawn_status > 0)
        w->child = ait_child_unref(w->child);
    if (w->asked > 0 && !w->killed)
        say_stopped(w);
    if (r == 0)
        (void)ait_call_on_thread_stack(cause_kill, w);
    output_finish(w);
    w->life = NULL;
    (void)ait_scope_abort(life);
    (void)ait_scope_exit(shield, 0);
}

static void worker_forget(struct worker *w)
{
    struct worker **p = &w->all->living;

    while (*p && *p != w)
        p = &(*p)->next;
    if (*p)
        *p = w->next;
}

void worker_close_pipes(struct worker *w)
{
    (void)ait_fd_forget(w->notify.fd);
    notify_socket_close(&w->notify);
    (void)ait_fd_forget(w->former.fd);
    notify_socket_close(&w->former);
    for (unsigned i = 0; i < LOG_CHANNELS; i++)
        close_fd(&w->out_fds[i]);
    close_fd(&w->ready_fd);
}

/* Reads the rest of the pipes, and releases what belongs to the process. */
static int worker_close(void *userdata)
{
    struct worker *w = userdata;

    denials_finish(w);
    for (unsigned i = 0; i < LOG_CHANNELS; i++)
        log_stream_end(&w->streams[i]);
    worker_close_pipes(w);
    (void)family_done(&w->family);
    worker_forget(w);
    return 0;
}

static int begin(void *userdata)
{
    return worker_begin(userdata);
}

static int worker_main(void *userdata)
{
    struct worker *w = userdata;
    AIT_SCOPE(life);
    int r;

    /* Before there is a process that would be left without a supervisor. */
    r = ait_scope_enter(&life, AIT_SCOPE_SUPERVISOR);
    if (r < 0) {
        w->spawn_status = STATUS_OS;
        log_event(w->all->log, LOG_LEVEL_ERROR, (int)w->slot, 0, "cannot start: %s", strerror(-r));
    } else {
        /* Deep, and this task is going to wait for long. */
        r = ait_call_on_thread_stack(begin, w);
        if (r >= 0)
            worker_live(w, life);
    }
    (void)ait_scope_exit(life, r);
    (void)ait_call_on_thread_stack(worker_close, w);
    set_state(w, WORKER_EXITED);
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

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
    ait_task_unref(w->readiness);
    ait_task_unref(w->task);
    ait_child_unref(w->child);
    ait_explainer_free(w->explainer);
    (void)spawn_free(w->spawn);
    tail_clear(&w->tail);
    revision_unref(w->revision);
    free(w);
    return NULL;
}

/* The end of its task, which has not begun if it was cancelled at once. */
static void worker_unref_destroy(void *userdata)
{
    struct worker *w = userdata;

    if (w->state != WORKER_EXITED) {
        w->asked_to_stop = true;
        set_state(w, WORKER_EXITED);
    }
    worker_unref(w);
}

int worker_new(struct worker **ret, const struct worker_params *params)
{
    struct worker *w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return -ENOMEM;
    *w = (struct worker){
        .refs = 1,
        .all = params->all,
        .revision = revision_ref(params->revision),
        .slot = params->slot,
        .seat = params->seat,
        .changed = params->changed,
        .limits = params->limits,
        .notify = NOTIFY_SOCKET_CLOSED,
        .former = NOTIFY_SOCKET_CLOSED,
        .family = FAMILY_INIT,
        .ready_fd = -1,
        .out_fds = {-1, -1},
    };
    r = ait_future_new(&w->output_over);
    if (r >= 0)
        r = ait_scope_spawn(params->scope, &w->task, worker_main, w,
                            AIT_TASK_OPTIONS(.name = "worker", .destroy = worker_unref_destroy));
    if (r < 0) {
        worker_unref(w);
        return r;
    }
    w->refs++; /* the task's, which has not run yet */
    *ret = w;
    return 0;
}

void worker_stop(struct worker *w)
{
    if (ait_task_cancelling(w->task) == 0)
        (void)ait_task_cancel(w->task);
}

void worker_expire(struct worker *w)
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
        (void)snprintf(buf, n, "exited with status %d%s", w->info.si_status, w->end_cause ?: "");
    else
        (void)snprintf(buf, n, "was killed by %s%s%s", signal_name(w->info.si_status) ?: "a signal",
                       w->info.si_code == CLD_DUMPED ? " (core dumped)" : "", w->end_cause ?: "");
}
