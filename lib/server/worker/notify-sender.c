/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "notify.h"

#include <unistd.h>

#include "proc.h"

/* A chain longer than this was built to be long. */
#define GENERATIONS_MAX 64

/*
 * 1: pid is related to the worker; 0: it is not. A child whose parent has exited belongs to the
 * supervisor, but stays in the session, which no process can join from outside (unlike a process
 * group).
 */
static int is_kin(pid_t pid, pid_t worker)
{
    struct proc_stat k;
    int r = proc_read_stat(pid, &k);

    if (r < 0)
        return r;
    if (k.session == worker)
        return 1;
    for (int i = 0; i < GENERATIONS_MAX && k.parent > 1; i++) {
        if (k.parent == worker)
            return 1;
        if (k.parent == getpid() || proc_read_stat(k.parent, &k) < 0)
            return 0;
    }
    return 0;
}

int notify_sender_check(const struct notify_message *m, pid_t worker, uid_t worker_uid)
{
    int r;

    if (m->pid <= 0)
        return -EPERM;
    if (m->pid == worker)
        return NOTIFY_FROM_WORKER;
    r = is_kin(m->pid, worker);
    if (r == 1)
        return NOTIFY_FROM_HELPER;
    if (r == -ESRCH && m->uid == worker_uid)
        return NOTIFY_FROM_GONE;
    return -EPERM;
}
