/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "readiness.h"

#include <errno.h>
#include <unistd.h>

#include "config/parse.h"

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
    if (w->readiness)
        (void)ait_task_cancel(w->readiness);
    w->readiness = ait_task_unref(w->readiness);
    log_event(w->all->log, LOG_LEVEL_INFO, (int)w->slot, w->pid, "ready after %s",
              format_time(w->became_ready - w->started, time));
    (void)ait_event_set(w->changed);
}

/* At least usec from now, for the timeout that runs. */
static void extend_timeout(struct worker *w, uint64_t usec)
{
    uint64_t now = ait_now(NULL),
             until = usec >= AIT_USEC_INFINITY - now ? AIT_USEC_INFINITY : now + usec;

    if (w->limit && w->state != WORKER_READY && until > ait_scope_deadline(w->limit))
        (void)ait_scope_set_deadline(w->limit, until);
}

/* Without a sandbox, a process that could forge a notification could also kill the other worker. */
static bool could_be_another_slot(const struct worker *w)
{
    return w->revision->sandbox.sandbox && w->all->n_slots > 1;
}

static bool is_believed(const struct worker *w, const struct notify_message *m)
{
    int sender =
        notify_sender_check(m, &w->tree, revision_uid(w->revision), workers_know_pid, w->all);
    const char *why;

    if (sender == NOTIFY_FROM_WORKER || sender == NOTIFY_FROM_HELPER)
        return true;
    if (sender >= 0 && !could_be_another_slot(w))
        return true;
    if (sender == NOTIFY_FROM_GONE)
        why = "it has already ended, so its worker is unknown; let the sender wait for the reply "
              "(sd_notify_barrier(), systemd-notify without --no-block)";
    else if (sender == NOTIFY_FROM_DAEMON)
        why = "it is a daemon that has overwritten its environment, so its worker is unknown; let "
              "the program stay in the foreground";
    else
        why = "it does not belong to this worker";
    log_event(w->all->log, LOG_LEVEL_WARNING, (int)w->slot, w->pid,
              "notification of process %d dropped: %s", (int)m->pid, why);
    return false;
}

static void take_message(struct worker *w, const struct notify_message *m)
{
    struct log *log = w->all->log;
    enum ready_mode mode = w->revision->config->ready;

    if (!is_believed(w, m))
        return;
    if (m->fields & NOTIFY_EXTEND_TIMEOUT)
        extend_timeout(w, m->extend_usec);
    if (m->fields & NOTIFY_STATUS)
        log_event(log, LOG_LEVEL_INFO, (int)w->slot, w->pid, "status: %s", m->status);
    if ((m->fields & NOTIFY_READY) && (mode == READY_AUTO || mode == READY_NOTIFY)) {
        w->all->seen_notify = true;
        worker_is_ready(w);
    }
    if ((m->fields & NOTIFY_STOPPING) && w->state == WORKER_READY)
        log_event(log, LOG_LEVEL_INFO, (int)w->slot, w->pid, "is stopping on its own");
}

static int receive_all(struct worker *w, struct notify_socket *s)
{
    struct notify_message m;
    int r;

    while ((r = notify_receive(s, &m)) > 0)
        take_message(w, &m);
    return r;
}

int readiness_receive(struct worker *w)
{
    return receive_all(w, &w->notify);
}

int readiness_receive_former(struct worker *w)
{
    return receive_all(w, &w->former);
}

/* --ready=fd:N: a newline, as in s6. */
static int await_newline(void *userdata)
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

static void say_auto(struct worker *w)
{
    char time[FORMAT_TIME_MAX];

    w->all->told_auto = true;
    log_event(w->all->log, LOG_LEVEL_INFO, (int)w->slot, w->pid,
              "it has not sent READY=1, so --ready=auto waited for %s; --ready=delay:TIME waits as "
              "long as the program needs, --ready=exec not at all",
              format_time(w->revision->config->ready_auto_usec, time));
}

/* For --ready=delay:TIME, and for auto with programs that do not notify. */
static int await_time(void *userdata)
{
    struct worker *w = userdata;
    const struct server_config *config = w->revision->config;
    int r;

    r = ait_sleep(config->ready == READY_DELAY ? config->ready_delay : config->ready_auto_usec);
    if (r < 0)
        return r;
    if (config->ready == READY_AUTO && w->all->seen_notify)
        return 0;
    w->ready_by_age = true;
    worker_is_ready(w);
    if (config->ready == READY_AUTO && !w->all->told_auto)
        say_auto(w);
    return 0;
}

int readiness_start(struct worker *w, ait_scope *scope)
{
    static const ait_task_fn tasks[] = {
        [READY_AUTO] = await_time,
        [READY_FD] = await_newline,
        [READY_DELAY] = await_time,
    };
    enum ready_mode mode = w->revision->config->ready;

    if (mode >= sizeof(tasks) / sizeof(*tasks) || !tasks[mode])
        return 0;
    return ait_scope_spawn(scope, &w->readiness, tasks[mode], w,
                           AIT_TASK_OPTIONS(.name = "readiness"));
}
