/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <aiotools-sd/io.h>
#include <aiotools-sd/process.h>
#include <aiotools-sd/task.h>

#include "macros.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

struct ait_child {
    uint32_t refs;
    pid_t pid;
    int pidfd;
    bool reaped;
    siginfo_t info; /* once reaped */
};

AIT_PUBLIC int ait_child_adopt(ait_child **ret, pid_t pid, int pidfd)
{
    struct ait_child *c;
    int r;

    if (!ret || pid <= 0)
        return -EINVAL;
    c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    if (pidfd < 0) {
        pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (pidfd < 0) {
            r = -errno;
            free(c);
            return r;
        }
    }
    c->refs = 1;
    c->pid = pid;
    c->pidfd = pidfd;
    *ret = c;
    return 0;
}

AIT_PUBLIC ait_child *ait_child_ref(ait_child *child)
{
    if (child)
        child->refs++;
    return child;
}

AIT_PUBLIC ait_child *ait_child_unref(ait_child *child)
{
    if (!child || --child->refs > 0)
        return NULL;
    (void)ait_close(child->pidfd);
    free(child);
    return NULL;
}

AIT_PUBLIC void ait_child_unrefp(ait_child **p)
{
    *p = ait_child_unref(*p);
}

AIT_PUBLIC pid_t ait_child_pid(ait_child *child)
{
    return child ? child->pid : -EINVAL;
}

AIT_PUBLIC int ait_child_pidfd(ait_child *child)
{
    return child ? child->pidfd : -EINVAL;
}

/* 1: it has ended and is reaped, 0: it runs. */
static int child_reap(struct ait_child *c)
{
    siginfo_t info = {};

    if (c->reaped)
        return 1;
    if (waitid((idtype_t)P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG) < 0)
        return -errno;
    if (info.si_pid == 0)
        return 0;
    c->info = info;
    c->reaped = true;
    return 1;
}

AIT_PUBLIC int ait_child_wait(ait_child *child, siginfo_t *ret_info)
{
    int r;

    if (!child)
        return -EINVAL;
    ait_child_ref(child);
    for (;;) {
        /* Readable from the end of the process on, for every waiter, so that it does not matter who reaps. */
        r = child->reaped ? ait_check_cancel() : ait_poll(child->pidfd, POLLIN);
        if (r < 0)
            break;
        r = child_reap(child);
        if (r != 0)
            break;
    }
    if (r > 0 && ret_info)
        *ret_info = child->info;
    ait_child_unref(child);
    return r < 0 ? r : 0;
}

AIT_PUBLIC int ait_child_kill(ait_child *child, int signo)
{
    if (!child)
        return -EINVAL;
    if (child->reaped)
        return -ESRCH;
    return syscall(SYS_pidfd_send_signal, child->pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}
