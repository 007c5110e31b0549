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

    for (struct worker *w = all->living; w; w = w->next)
        if (w->pid == pid)
            return true;
    return false;
}

bool workers_mark(pid_t pid, const char *instance, void *userdata)
{
    struct workers *all = userdata;

    for (struct worker *w = all->living; instance && w; w = w->next)
        if (w->family.tree.token[0] && strstr(instance, w->family.tree.token))
            return true;
    return all->groups && all->groups->all.fd >= 0 && cgroup_has(&all->groups->all, pid) > 0;
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
