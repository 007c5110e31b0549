/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filters.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bpf.h"

#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif
#define STOP_SECONDS 5
#define FILTERS_MAX  256

/* ---- stopping and going on ------------------------------------------------------------------- */

/* 1: it has stopped; 0: not yet. */
static int look(pid_t pid, int *ret_status)
{
    pid_t r = waitpid(pid, ret_status, WNOHANG | __WALL);

    if (r < 0)
        return -errno;
    if (r == 0)
        return 0;
    return WIFSTOPPED(*ret_status) ? 1 : -ESRCH;
}

/* A process in the middle of something that cannot be interrupted is not waited for without end. */
static int wait_for_stop(pid_t pid, int *ret_status)
{
    struct timespec end, now, left = {.tv_sec = STOP_SECONDS};
    sigset_t set;
    int r;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += STOP_SECONDS;
    while ((r = look(pid, ret_status)) == 0) {
        if (sigtimedwait(&set, NULL, &left) < 0 && errno == EAGAIN)
            return -ETIMEDOUT;
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec >= end.tv_sec)
            return -ETIMEDOUT;
        left = (struct timespec){.tv_sec = end.tv_sec - now.tv_sec};
    }
    return r < 0 ? r : 0;
}

/* Why it has stopped: for a signal that is still to be delivered, or for us. */
static long signal_of(int status)
{
    return status >> 16 == 0 ? WSTOPSIG(status) : 0;
}

/* ---- fetching -------------------------------------------------------------------------------- */

static int add(struct filters *filters, pid_t pid, long n)
{
    struct filter *list = reallocarray(filters->list, filters->n + 1, sizeof(*list));

    if (!list)
        return -ENOMEM;
    filters->list = list;
    struct sock_filter *program = calloc((size_t)n, sizeof(*program));
    if (!program)
        return -ENOMEM;
    if (ptrace(PTRACE_SECCOMP_GET_FILTER, pid, filters->n, program) != n) {
        int r = errno > 0 ? -errno : -EIO;
        free(program);
        return r;
    }
    list[filters->n++] = (struct filter){program, (size_t)n};
    return 0;
}

static int fetch_all(struct filters *filters, pid_t pid)
{
    while (filters->n < FILTERS_MAX) {
        errno = 0;
        long n = ptrace(PTRACE_SECCOMP_GET_FILTER, pid, filters->n, NULL);
        if (n < 0 && errno == ENOENT)
            return 0;
        int r = n <= 0 ? (errno > 0 ? -errno : -EIO) : add(filters, pid, n);
        if (r < 0)
            return r;
    }
    return 0;
}

static int fetch_stopped(struct filters *filters, pid_t pid)
{
    int status = 0;

    if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0)
        return -errno;
    int r = wait_for_stop(pid, &status);
    if (r < 0)
        return r; /* our end lets it go */
    r = fetch_all(filters, pid);
    (void)ptrace(PTRACE_DETACH, pid, 0, signal_of(status));
    return r;
}

static const char *why(int error, bool seized)
{
    switch (error) {
    case -ESRCH:
        return "the process has ended";
    case -EPERM:
        return seized ? "this needs root (CAP_SYS_ADMIN)"
                      : "this needs root (CAP_SYS_ADMIN, CAP_SYS_PTRACE), and that nobody else "
                        "traces it";
    case -EACCES:
        return "this needs root outside of every sandbox (CAP_SYS_ADMIN, no filter on aiotools-sd "
               "itself)";
    case -EINVAL:
    case -EIO:
        return "this kernel cannot tell (CONFIG_CHECKPOINT_RESTORE)";
    case -EMEDIUMTYPE:
        return "there is a filter that was not made as a classic program";
    case -ETIMEDOUT:
        return "it does not stop: it is in uninterruptible sleep";
    default:
        return strerrordesc_np(-error);
    }
}

static int check_programs(const struct filters *filters)
{
    for (size_t i = 0; i < filters->n; i++)
        if (bpf_check(filters->list[i].program, filters->list[i].n, NULL) < 0)
            return -EMEDIUMTYPE;
    return 0;
}

int filters_fetch(struct filters *ret, pid_t pid, const char **ret_why)
{
    struct filters filters = {0};
    sigset_t set, before;
    bool seized = false;

    /* Nothing may come between stopping it and letting it go. */
    (void)sigfillset(&set);
    (void)sigprocmask(SIG_BLOCK, &set, &before);
    int r = ptrace(PTRACE_SEIZE, pid, 0, 0) < 0 ? -errno : 0;
    if (r >= 0) {
        seized = true;
        r = fetch_stopped(&filters, pid);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (r >= 0)
        r = check_programs(&filters);
    if (r < 0) {
        *ret_why = why(r, seized);
        filters_done(&filters);
        return r;
    }
    *ret = filters;
    return 0;
}

void filters_done(struct filters *filters)
{
    for (size_t i = 0; i < filters->n; i++)
        free(filters->list[i].program);
    free(filters->list);
    *filters = (struct filters){0};
}

/* The most severe answer counts; of equal ones the newest filter's. */
uint32_t filters_run(const struct filters *filters, uint32_t architecture, int number)
{
    struct seccomp_data data = {.nr = number, .arch = architecture};
    uint32_t answer = SECCOMP_RET_ALLOW;

    for (size_t i = 0; i < filters->n; i++) {
        uint32_t one = bpf_run(filters->list[i].program, filters->list[i].n, &data);

        if ((int32_t)(one & SECCOMP_RET_ACTION_FULL) < (int32_t)(answer & SECCOMP_RET_ACTION_FULL))
            answer = one;
    }
    return answer;
}
