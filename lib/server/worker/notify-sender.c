/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "notify.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A chain longer than this was built to be long. */
#define GENERATIONS_MAX 64

struct kin {
    pid_t parent;
    pid_t session;
};

/* -ESRCH: it does not exist, not even as a zombie. */
static int read_kin(pid_t pid, struct kin *ret)
{
    char path[32], text[512];
    const char *p;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    do
        n = read(fd, text, sizeof text - 1);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        n = -errno;
    close(fd);
    if (n < 0)
        return (int)n;
    text[n] = 0;

    /* The command may hold anything, parentheses and blanks included; behind the last one come state, parent, group
     * and session. */
    p = strrchr(text, ')');
    if (!p || sscanf(p + 1, " %*c %d %*d %d", &ret->parent, &ret->session) != 2)
        return -EBADMSG;
    return 0;
}

/* 1: pid is the worker's kin, 0: it is not. A child whose parent has exited belongs to the supervisor, but stays in
 * the session, which nobody can join from outside (a process group could be). */
static int is_kin(pid_t pid, pid_t worker)
{
    struct kin k;
    int r = read_kin(pid, &k);

    if (r < 0)
        return r;
    if (k.session == worker)
        return 1;
    for (int i = 0; i < GENERATIONS_MAX && k.parent > 1; i++) {
        if (k.parent == worker)
            return 1;
        if (k.parent == getpid() || read_kin(k.parent, &k) < 0)
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
