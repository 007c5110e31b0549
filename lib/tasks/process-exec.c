/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process-exec.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

/* Sanitizers would leave their marks on a stack that is never returned from. */
#define CHILD_CODE __attribute__((no_sanitize("address", "undefined", "thread")))

#define N_SIGNALS 64

/* Past libc's wrappers, which sanitizers replace by their own. */
#define SYS(...)                                                                                             \
    ({                                                                                                       \
        long r_ = syscall(__VA_ARGS__);                                                                      \
        r_ < 0 ? -errno : (int)r_;                                                                           \
    })

/* What rt_sigaction(2) takes; libc's struct is another. */
struct kernel_sigaction {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

/* What getdents64(2) returns. */
struct kernel_dirent {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

CHILD_CODE static int start_group(struct exec_plan *plan)
{
    if (plan->session)
        return SYS(SYS_setsid);
    return plan->process_group ? SYS(SYS_setpgid, 0, 0) : 0;
}

/* Handlers would run in the parent's memory as soon as signals are unblocked. SIGPIPE is ignored by ait_run(), which is its own affair. */
CHILD_CODE static int reset_signals(struct exec_plan *plan)
{
    const struct kernel_sigaction reset = {.handler = SIG_DFL};

    for (int signo = 1; signo <= N_SIGNALS; signo++) {
        struct kernel_sigaction action;
        int r;

        if (SYS(SYS_rt_sigaction, signo, NULL, &action, sizeof(action.mask)) < 0 || action.handler == SIG_DFL)
            continue;
        if (action.handler == SIG_IGN && signo != SIGPIPE)
            continue;
        r = SYS(SYS_rt_sigaction, signo, &reset, NULL, sizeof(action.mask));
        if (r < 0)
            return r;
    }
    return 0;
}

/* Copies above all targets first: no target can then hit a source that is still needed, whatever the order. */
CHILD_CODE static int copy_fds(struct exec_plan *plan)
{
    int floor = 3;

    for (size_t i = 0; i < plan->n_fds; i++)
        if (plan->fds[i].target >= floor)
            floor = plan->fds[i].target + 1;
    for (size_t i = 0; i < plan->n_fds; i++) {
        int r = SYS(SYS_fcntl, plan->fds[i].source, F_DUPFD_CLOEXEC, floor);

        if (r < 0)
            return r;
        plan->fds[i].copy = r;
    }
    return 0;
}

/* -1: no number. */
CHILD_CODE static int parse_fd(const char *s)
{
    int fd = 0;

    if (*s < '0' || *s > '9')
        return -1;
    for (; *s >= '0' && *s <= '9'; s++)
        fd = fd * 10 + (*s - '0');
    return fd;
}

/* Before Linux 5.11, and under sandboxes that do not know the call. */
CHILD_CODE static int mark_by_listing(void)
{
    _Alignas(struct kernel_dirent) char buffer[2048];
    int n, dir = SYS(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

    if (dir < 0)
        return dir;
    while ((n = SYS(SYS_getdents64, dir, buffer, sizeof(buffer))) > 0)
        for (int at = 0; at < n;) {
            const struct kernel_dirent *entry = (const struct kernel_dirent *)(void *)(buffer + at);
            int fd = parse_fd(entry->name);

            if (fd >= 3)
                (void)SYS(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
            at += entry->length;
        }
    return n;
}

CHILD_CODE static int mark_others(struct exec_plan *plan)
{
    if (plan->inherit_fds)
        return 0;
#ifdef SYS_close_range
    if (SYS(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return 0;
#endif
    return mark_by_listing();
}

CHILD_CODE static int place_fds(struct exec_plan *plan)
{
    for (size_t i = 0; i < plan->n_fds; i++) {
        int r = SYS(SYS_dup3, plan->fds[i].copy, plan->fds[i].target, 0);

        if (r < 0)
            return r;
    }
    return plan->stderr_to_stdout ? SYS(SYS_dup3, STDOUT_FILENO, STDERR_FILENO, 0) : 0;
}

CHILD_CODE static int change_directory(struct exec_plan *plan)
{
    return plan->cwd ? SYS(SYS_chdir, plan->cwd) : 0;
}

CHILD_CODE static int set_death_signal(struct exec_plan *plan)
{
    int r;

    if (plan->death_signal == 0)
        return 0;
    r = SYS(SYS_prctl, PR_SET_PDEATHSIG, plan->death_signal, 0, 0, 0);
    if (r < 0)
        return r;
    /* It may be dead already. */
    return SYS(SYS_getppid) == plan->parent ? 0 : -ESRCH;
}

CHILD_CODE static int unblock_signals(struct exec_plan *plan)
{
    uint64_t none = 0;

    return SYS(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
}

CHILD_CODE static int execute(struct exec_plan *plan)
{
    return SYS(SYS_execve, plan->path, plan->argv, plan->envp);
}

static int (*const steps[])(struct exec_plan *plan) = {
    start_group,      reset_signals,    copy_fds,        mark_others, place_fds,
    change_directory, set_death_signal, unblock_signals, execute,
};

CHILD_CODE int exec_child(void *userdata)
{
    struct exec_plan *plan = userdata;

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int r = steps[i](plan);

        if (r < 0) {
            *plan->report = r;
            break;
        }
    }
    for (;;)
        (void)SYS(SYS_exit_group, 127);
}
