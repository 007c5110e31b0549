/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "config/parse.h"
#include "output.h"

void workers_expire_all(struct workers *all)
{
    all->at_once = true;
    for (struct worker *w = all->living; w; w = w->next)
        worker_expire(w);
}

bool workers_know_pid(pid_t pid, void *userdata)
{
    struct workers *all = userdata;

    if (pid == all->guardian->pid)
        return true;
    for (struct worker *w = all->living; w; w = w->next)
        if (w->pid == pid)
            return true;
    return false;
}

/* ---- their notification sockets -------------------------------------------------------------- */

bool workers_own_file(const struct workers *all, const char *name)
{
    for (struct worker *w = all->living; w; w = w->next)
        if (w->notify.fd >= 0 && strcmp(strrchr(w->notify.path, '/') + 1, name) == 0)
            return true;
    return false;
}

static bool renew_notify(struct worker *w)
{
    struct notify_socket fresh;
    int r = notify_socket_renew(&fresh, &w->notify, revision_uid(w->revision),
                                revision_gid(w->revision), NULL);

    if (r < 0)
        return false;
    r = output_renew_notify(w, &fresh);
    if (r < 0)
        notify_socket_close(&fresh);
    return r >= 0;
}

/* Only there is it certain that the directory is ours. */
static bool is_in_directory(const struct worker *w)
{
    size_t n = strlen(w->all->directory);

    return strncmp(w->notify.path, w->all->directory, n) == 0 &&
           strrchr(w->notify.path, '/') == w->notify.path + n;
}

unsigned workers_renew_notify(struct workers *all)
{
    unsigned n = 0;

    for (struct worker *w = all->living; w; w = w->next)
        if (w->life && w->notify.fd >= 0 && is_in_directory(w) &&
            !notify_socket_is_there(&w->notify))
            n += renew_notify(w);
    return n;
}

/* ---- the guardian ---------------------------------------------------------------------------- */

/*
 * A guardian that dies soon may do so again. The next ones come later and later, and nothing is
 * started meanwhile.
 */
#define GUARDIAN_STABLE      (10 * AIT_USEC_PER_SEC)
#define GUARDIAN_PAUSE_FIRST (100 * AIT_USEC_PER_MSEC)
#define GUARDIAN_PAUSE_MAX   (5 * AIT_USEC_PER_SEC)

bool workers_guardian_is_dead(const struct workers *all)
{
    struct pollfd p = {.fd = all->guardian->pidfd, .events = POLLIN};

    return all->guardian->pidfd < 0 || poll(&p, 1, 0) > 0;
}

static const char *describe_end(pid_t pid, char *buffer, size_t size)
{
    siginfo_t info = {0};

    (void)waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
    if (info.si_code == CLD_EXITED)
        (void)snprintf(buffer, size, "has exited with status %d", info.si_status);
    else
        (void)snprintf(buffer, size, "was killed by %s", signal_name(info.si_status) ?: "a signal");
    return buffer;
}

static void bury_guardian(struct workers *all, uint64_t pause)
{
    char end[64], time[FORMAT_TIME_MAX];

    (void)ait_event_clear(all->guarded);
    (void)describe_end(all->guardian->pid, end, sizeof(end));
    if (pause == 0)
        log_event(all->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, all->guardian->pid,
                  "the guardian %s; starting another", end);
    else
        log_event(all->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, all->guardian->pid,
                  "the guardian %s; starting another in %s, and no worker before that", end,
                  format_time(pause, time));
    (void)ait_fd_forget(all->guardian->pidfd);
    guardian_done(all->guardian);
}

static int renew_guardian(void *userdata)
{
    struct workers *all = userdata;
    int r = guardian_start(all->guardian, all->name, &all->problem);

    if (r < 0)
        return r;
    (void)guardian_hold(all->guardian, all->guardian_lock);
    for (struct worker *w = all->living; w; w = w->next)
        if (w->child)
            (void)guardian_add(all->guardian, &w->family.tree, ait_child_pidfd(w->child));
    (void)ait_event_set(all->guarded);
    if (all->guarded_again)
        all->guarded_again(all->userdata);
    return 0;
}

/* The first follows at once. */
static uint64_t pause_after(unsigned n_brief)
{
    uint64_t pause = GUARDIAN_PAUSE_FIRST;

    for (unsigned i = 2; i < n_brief && pause < GUARDIAN_PAUSE_MAX; i++)
        pause *= 2;
    return n_brief < 2 ? 0 : pause < GUARDIAN_PAUSE_MAX ? pause : GUARDIAN_PAUSE_MAX;
}

/* Until there is one. The failure is reported once. */
static int replace_guardian(struct workers *all, unsigned *n_brief)
{
    bool reported = false;
    int r = ait_sleep(pause_after(*n_brief));

    while (r >= 0 && ait_call_on_thread_stack(renew_guardian, all) < 0) {
        if (!reported)
            log_event(all->log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0,
                      "%s; until there is one no worker is started, and workers would survive a "
                      "kill -9 of the supervisor",
                      all->problem.text);
        reported = true;
        *n_brief += *n_brief < 2 ? 2 : 1;
        r = ait_sleep(pause_after(*n_brief));
    }
    if (r >= 0 && reported)
        log_event(all->log, LOG_LEVEL_INFO, LOG_NO_SLOT, all->guardian->pid,
                  "there is a guardian again");
    return r < 0 ? r : 0;
}

int workers_watch_guardian(void *userdata)
{
    struct workers *all = userdata;
    unsigned n_brief = 0;
    int r = 0;

    while (r >= 0) {
        uint64_t begun = ait_now(NULL);

        r = ait_poll(all->guardian->pidfd, POLLIN);
        if (r < 0)
            break;
        n_brief = ait_now(NULL) - begun >= GUARDIAN_STABLE ? 1 : n_brief + 1;
        bury_guardian(all, pause_after(n_brief));
        r = replace_guardian(all, &n_brief);
    }
    return r;
}
