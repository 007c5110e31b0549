/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "readiness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/parse.h"

#define NEWLINE_WITHIN 65536u /* bytes, of --ready=fd:N */

/* While descriptors that it has passed cannot be closed. */
#define BUSY_PAUSE (100 * AIT_USEC_PER_MSEC)

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

/*
 * One line that a notification causes; a worker cannot fill the log with our words. `what` is a
 * format with one string.
 */
static void say(struct worker *w, enum log_level level, const char *what, const char *rest)
{
    char more[48] = "";
    unsigned unsaid;

    if (!flood_may_say(&w->words, ait_now(NULL), &unsaid))
        return;
    if (unsaid > 0)
        (void)snprintf(more, sizeof(more), " (%u more were not logged)", unsaid);
    log_event(w->all->log, level, (int)w->slot, w->pid, "%s%s%s", what, rest, more);
}

/* Without a sandbox, a process that could forge a notification could also kill the other worker. */
static bool could_be_another_slot(const struct worker *w)
{
    return w->revision->sandbox.sandbox && w->all->n_slots > 1;
}

static bool is_believed(struct worker *w, const struct notify_message *m)
{
    int sender =
        notify_sender_check(m, &w->family, revision_uid(w->revision), workers_know_pid, w->all);
    const char *why;
    char what[64];

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
    (void)snprintf(what, sizeof(what), "notification of process %d dropped: ", (int)m->pid);
    say(w, LOG_LEVEL_WARNING, what, why);
    return false;
}

/* What is done something about. */
#define HEEDED (NOTIFY_EXTEND_TIMEOUT | NOTIFY_STATUS | NOTIFY_READY | NOTIFY_STOPPING)

static void take_message(struct worker *w, const struct notify_message *m)
{
    enum ready_mode mode = w->revision->config->ready;

    /* Who has sent it is looked up in /proc. */
    if (!(m->fields & HEEDED) || !is_believed(w, m))
        return;
    if (m->fields & NOTIFY_EXTEND_TIMEOUT)
        extend_timeout(w, m->extend_usec);
    if (m->fields & NOTIFY_STATUS)
        say(w, LOG_LEVEL_INFO, "status: ", m->status);
    if ((m->fields & NOTIFY_READY) && (mode == READY_AUTO || mode == READY_NOTIFY)) {
        w->all->seen_notify = true;
        worker_is_ready(w);
    }
    if ((m->fields & NOTIFY_STOPPING) && w->state == WORKER_READY)
        say(w, LOG_LEVEL_INFO, "is stopping on its own", "");
}

static void say_flood(struct worker *w)
{
    char time[FORMAT_TIME_MAX];
    uint64_t n, usec;

    if (flood_report(&w->flood, ait_now(NULL), &n, &usec))
        log_event(w->all->log, LOG_LEVEL_WARNING, (int)w->slot, w->pid,
                  "floods its notification socket: %llu notifications in %s; the socket is read "
                  "more slowly, so that whoever sends them waits",
                  (unsigned long long)n, format_time(usec, time));
}

static void say_busy(struct worker *w)
{
    log_event(w->all->log, LOG_LEVEL_WARNING, (int)w->slot, w->pid,
              "its notifications wait: descriptors that it has passed with some cannot be closed, "
              "or no process can be started to close them; let it pass none but BARRIER=1");
    w->told_busy = true;
}

/* A batch. *ret_pause is how long no other one should be read. */
static int receive_some(struct worker *w, struct notify_socket *s, uint64_t *ret_pause)
{
    struct notify_message m;
    unsigned n = 0;
    int r = 1;

    while (n < FLOOD_BATCH && (r = notify_receive(s, &m)) > 0) {
        n++;
        take_message(w, &m);
    }
    *ret_pause = flood_account(&w->flood, n, r > 0, ait_now(NULL));
    if (*ret_pause > 0)
        say_flood(w);
    if (r != -EBUSY)
        return r;
    if (!w->told_busy)
        say_busy(w);
    if (*ret_pause < BUSY_PAUSE)
        *ret_pause = BUSY_PAUSE;
    r = 0;
    return r;
}

int readiness_receive(struct worker *w, uint64_t *ret_pause)
{
    return receive_some(w, &w->notify, ret_pause);
}

int readiness_receive_former(struct worker *w, uint64_t *ret_pause)
{
    return receive_some(w, &w->former, ret_pause);
}

/* --ready=fd:N: a newline, as in s6. Whoever writes a book is not waited for. */
static int await_newline(void *userdata)
{
    struct worker *w = userdata;
    char buffer[256];
    ssize_t n = 1;

    for (size_t sum = 0; n > 0 && sum < NEWLINE_WITHIN; sum += (size_t)n) {
        n = ait_read(w->ready_fd, buffer, sizeof(buffer));
        if (n > 0 && memchr(buffer, '\n', (size_t)n)) {
            worker_is_ready(w);
            return 0;
        }
    }
    if (n > 0)
        log_event(w->all->log, LOG_LEVEL_WARNING, (int)w->slot, w->pid,
                  "--ready=fd:%d: %u bytes have come, and no newline; it is not read any further",
                  w->revision->config->ready_fd, NEWLINE_WITHIN);
    if (n < 0 && n != -ECANCELED)
        log_event(w->all->log, LOG_LEVEL_ERROR, (int)w->slot, w->pid,
                  "--ready=fd:%d: cannot read what comes: %s", w->revision->config->ready_fd,
                  strerror((int)-n));
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
