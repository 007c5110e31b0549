/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

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

/* ---- the guardian ---------------------------------------------------------------------------- */

int workers_renew_guardian(struct workers *all)
{
    int r;

    log_event(all->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, all->guardian->pid,
              "the guardian was killed; starting another");
    /* Tasks that wait for its end are woken. */
    (void)ait_fd_forget(all->guardian->pidfd);
    guardian_done(all->guardian);
    r = guardian_start(all->guardian);
    if (r < 0)
        return r;
    for (struct worker *w = all->living; w; w = w->next)
        if (w->child)
            (void)guardian_add(all->guardian, &w->tree, ait_child_pidfd(w->child));
    return 0;
}

int workers_watch_guardian(void *userdata)
{
    struct workers *all = userdata;
    int r;

    for (;;) {
        r = all->guardian->pidfd < 0 ? 0 : ait_poll(all->guardian->pidfd, POLLIN);
        if (r == -EBADF) /* a start has met with its death before us */
            continue;
        if (r < 0)
            return r;
        while ((r = workers_renew_guardian(all)) < 0) {
            log_event(all->log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0,
                      "cannot start a guardian: %s; until one runs, workers would survive a kill "
                      "-9 of the "
                      "supervisor",
                      strerror(-r));
            r = ait_sleep(AIT_USEC_PER_SEC);
            if (r < 0)
                return r;
        }
    }
}
