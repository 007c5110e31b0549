/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "children.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proc.h"

uint64_t children_now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* ---- who they are ---------------------------------------------------------------------------- */

/* If the kernel does not list children. */
static int each_by_parent(void (*fn)(pid_t pid, void *userdata), void *userdata)
{
    DIR *dir = opendir("/proc");
    pid_t self = getpid();
    struct proc_stat stat;
    struct dirent *entry;

    if (!dir)
        return -errno;
    while ((entry = readdir(dir))) {
        pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;

        if (pid > 0 && proc_read_stat(pid, &stat) >= 0 && stat.parent == self)
            fn(pid, userdata);
    }
    (void)closedir(dir);
    return 0;
}

static int open_list(void)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int children_each(void (*fn)(pid_t pid, void *userdata), void *userdata)
{
    char text[4096];
    pid_t pid = 0;
    ssize_t n;
    int fd = open_list();

    if (fd < 0)
        return each_by_parent(fn, userdata);
    while ((n = read(fd, text, sizeof(text))) > 0)
        for (ssize_t i = 0; i < n; i++)
            if (isdigit((unsigned char)text[i])) {
                pid = pid * 10 + (text[i] - '0');
            } else if (pid > 0) {
                fn(pid, userdata);
                pid = 0;
            }
    int r = n < 0 ? -errno : 0;
    (void)close(fd);
    return r;
}

/* ---- their end ------------------------------------------------------------------------------- */

struct end {
    children_spare_fn spare;
    void *userdata;
    unsigned n_left;
    uint64_t n_reaped;
};

static void end_one(pid_t pid, void *userdata)
{
    struct end *end = userdata;

    if (end->spare && end->spare(pid, end->userdata))
        return;
    (void)kill(pid, SIGKILL);
    if (waitpid(pid, NULL, WNOHANG) == pid)
        end->n_reaped++;
    else
        end->n_left++;
}

/* Those that have ended since they were killed, and those that came meanwhile. */
static bool is_any_left(struct end *end)
{
    pid_t pid;

    if (end->spare)
        return end->n_left > 0;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
        end->n_reaped++;
    return pid == 0 || errno != ECHILD;
}

/* 1: some are left. */
static int end_each(struct end *end)
{
    uint64_t before = end->n_reaped;

    end->n_left = 0;
    int r = children_each(end_one, end);
    bool any = is_any_left(end);

    if (any && end->n_reaped == before)
        (void)sched_yield();
    if (r < 0 && (any || end->spare))
        return r;
    if (any)
        return 1;
    /* If some are spared, it was the list that said so, which is not made in one moment. */
    return end->spare && end->n_reaped != before ? 1 : 0;
}

int children_end(children_spare_fn spare, void *userdata, uint64_t usec, uint64_t *ret_reaped)
{
    struct end end = {.spare = spare, .userdata = userdata};
    uint64_t until = children_now() + usec;
    int r;

    do
        r = end_each(&end);
    while (r > 0 && children_now() < until);
    if (ret_reaped)
        *ret_reaped = end.n_reaped;
    return r;
}
