/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/prctl.h>
#include <signal.h>

#include "config/parse.h"
#include "raw.h"
#include "spawn-child.h"

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

RAW_CODE static int start_session(struct spawn_plan *plan)
{
    long r = raw_call(SYS_setsid);
    return r < 0 ? (int)r : 0;
}

/* Before any signal is unblocked: a handler would run in the parent's memory. */
RAW_CODE static int reset_signals(struct spawn_plan *plan)
{
    struct kernel_sigaction action = {.handler = SIG_DFL};

    for (int signo = 1; signo <= 64; signo++) {
        if (!(plan->changed_signals >> (signo - 1) & 1))
            continue;
        long r = raw_call(SYS_rt_sigaction, signo, &action, NULL, sizeof(action.mask));
        if (r < 0)
            return (int)r;
    }
    return 0;
}

RAW_CODE static int register_with_guardian(struct spawn_plan *plan)
{
    return plan->registration ? guardian_register_self(plan->registration, plan->params->guardian_fd) : 0;
}

/* Landlock needs its descriptor, which is closed to the worker; the bounding set a privilege that a change of user takes. */
RAW_CODE static int prepare_sandbox(struct spawn_plan *plan)
{
    if (!plan->params->sandbox)
        return 0;
    return ait_sandbox_prepare_child(plan->params->sandbox, &plan->report->sandbox_step);
}

RAW_CODE static bool is_target(const struct spawn_plan *plan, int fd)
{
    for (size_t i = 0; i < plan->n_fds; i++)
        if (plan->fds[i].target == fd)
            return true;
    return false;
}

/* -1: no number. */
RAW_CODE static int parse_fd(const char *s)
{
    int fd = 0;
    if (*s < '0' || *s > '9')
        return -1;
    for (; *s >= '0' && *s <= '9'; s++)
        fd = fd * 10 + (*s - '0');
    return fd;
}

/* For kernels and outer sandboxes without close_range(2). The directory's own descriptor is closed last. */
RAW_CODE static int close_by_listing(const struct spawn_plan *plan)
{
    _Alignas(struct kernel_dirent) char buffer[2048];
    long n, dir = raw_call(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

    if (dir < 0)
        return (int)dir;
    while ((n = raw_call(SYS_getdents64, dir, buffer, sizeof(buffer))) > 0)
        for (long at = 0; at < n;) {
            const struct kernel_dirent *entry = (const struct kernel_dirent *)(void *)(buffer + at);
            int fd = parse_fd(entry->name);
            if (fd >= 0 && fd != dir && !is_target(plan, fd))
                (void)raw_call(SYS_close, fd);
            at += entry->length;
        }
    (void)raw_call(SYS_close, dir);
    return (int)n;
}

RAW_CODE static int close_range_between(int after, int before)
{
    if (before - after <= 1)
        return 0;
    return (int)raw_call(SYS_close_range, (unsigned)after + 1, (unsigned)before - 1, 0);
}

RAW_CODE static int close_others(const struct spawn_plan *plan)
{
    int last = -1;

    for (size_t i = 0; i < plan->n_fds; i++) {
        int r = close_range_between(last, plan->fds[i].target);
        if (r < 0)
            return close_by_listing(plan);
        last = plan->fds[i].target;
    }
    return close_range_between(last, INT_MAX) < 0 ? close_by_listing(plan) : 0;
}

/* Copies above all targets first: no target can then hit a source that is still needed, whatever the order. */
RAW_CODE static int arrange_fds(struct spawn_plan *plan)
{
    int floor = plan->fds[plan->n_fds - 1].target + 1;

    for (size_t i = 0; i < plan->n_fds; i++) {
        long r = raw_call(SYS_fcntl, plan->fds[i].source, F_DUPFD_CLOEXEC, floor);
        if (r < 0)
            return (int)r;
        plan->fds[i].copy = (int)r;
    }
    for (size_t i = 0; i < plan->n_fds; i++) {
        long r = raw_call(SYS_dup3, plan->fds[i].copy, plan->fds[i].target, plan->fds[i].flags);
        if (r < 0)
            return (int)r;
    }
    return close_others(plan);
}

RAW_CODE static int set_rlimits(struct spawn_plan *plan)
{
    if (plan->params->umask >= 0)
        (void)raw_call(SYS_umask, plan->params->umask);
    for (size_t i = 0; i < plan->params->n_rlimits; i++) {
        const struct spawn_rlimit *limit = &plan->params->rlimits[i];
        const uint64_t values[] = {limit->limit.rlim_cur, limit->limit.rlim_max};
        long r = raw_call(SYS_prlimit64, 0, limit->resource, values, NULL);
        if (r < 0)
            return (int)r;
    }
    return 0;
}

RAW_CODE static int set_nice(struct spawn_plan *plan)
{
    if (!plan->params->set_nice)
        return 0;
    return (int)raw_call(SYS_setpriority, PRIO_PROCESS, 0, plan->params->nice);
}

RAW_CODE static int set_groups(struct spawn_plan *plan)
{
    const struct account *a = plan->params->account;
    return plan->change_account ? (int)raw_call(SYS_setgroups, a->n_groups, a->groups) : 0;
}

RAW_CODE static int set_gid(struct spawn_plan *plan)
{
    gid_t gid = plan->change_account ? plan->params->account->gid : 0;
    return plan->change_account ? (int)raw_call(SYS_setresgid, gid, gid, gid) : 0;
}

RAW_CODE static int set_uid(struct spawn_plan *plan)
{
    uid_t uid = plan->change_account ? plan->params->account->uid : 0;
    return plan->change_account ? (int)raw_call(SYS_setresuid, uid, uid, uid) : 0;
}

/* As the worker's user, so that it sees what the worker would. */
RAW_CODE static int change_directory(struct spawn_plan *plan)
{
    const char *directory = plan->params->working_directory;
    return directory ? (int)raw_call(SYS_chdir, directory) : 0;
}

/* A change of credentials would clear it: after the last one. */
RAW_CODE static int set_death_signal(struct spawn_plan *plan)
{
    return (int)raw_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

/* Dead already, before the signal was asked for: we then belong to init or to another subreaper. */
RAW_CODE static int check_parent(struct spawn_plan *plan)
{
    return raw_call(SYS_getppid) == plan->parent ? 0 : -ESRCH;
}

RAW_CODE static void write_number(char *place, pid_t number)
{
    char digits[12];
    int n = 0;

    for (; number > 0; number /= 10)
        digits[n++] = (char)('0' + number % 10);
    while (n > 0)
        *place++ = digits[--n];
    *place = '\0';
}

RAW_CODE static int finish_environment(struct spawn_plan *plan)
{
    const struct spawn_environment *environment = plan->params->environment;
    uint64_t none = 0;
    pid_t self = (pid_t)raw_call(SYS_getpid);

    if (environment->listen_pid)
        write_number(environment->listen_pid, self);
    if (environment->watchdog_pid)
        write_number(environment->watchdog_pid, self);
    return (int)raw_call(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
}

RAW_CODE static int enter_sandbox(struct spawn_plan *plan)
{
    if (!plan->params->sandbox)
        return 0;
    return ait_sandbox_enter_child(plan->params->sandbox, plan->socket, &plan->report->sandbox_step);
}

RAW_CODE static int execute(struct spawn_plan *plan)
{
    const struct spawn_params *p = plan->params;
    if (p->sandbox)
        return ait_sandbox_execve(p->sandbox, p->path, p->argv, p->environment->envp);
    return (int)raw_call(SYS_execve, p->path, p->argv, p->environment->envp);
}

/* The order is the design: the guardian before anything can go on alone, descriptors while all are still ours,
 * the sandbox's first half before they are closed, limits while we have the privilege, the sandbox's second half last. */
static const struct {
    enum spawn_step step;
    int (*run)(struct spawn_plan *plan);
} steps[] = {
    {SPAWN_STEP_SESSION, start_session},
    {SPAWN_STEP_SIGNALS, reset_signals},
    {SPAWN_STEP_GUARDIAN, register_with_guardian},
    {SPAWN_STEP_SANDBOX, prepare_sandbox},
    {SPAWN_STEP_FDS, arrange_fds},
    {SPAWN_STEP_RLIMIT, set_rlimits},
    {SPAWN_STEP_NICE, set_nice},
    {SPAWN_STEP_GROUPS, set_groups},
    {SPAWN_STEP_GID, set_gid},
    {SPAWN_STEP_UID, set_uid},
    {SPAWN_STEP_DIRECTORY, change_directory},
    {SPAWN_STEP_DEATH_SIGNAL, set_death_signal},
    {SPAWN_STEP_PARENT, check_parent},
    {SPAWN_STEP_SIGNALS, finish_environment},
    {SPAWN_STEP_SANDBOX, enter_sandbox},
    {SPAWN_STEP_EXEC, execute},
};

RAW_CODE int spawn_child(void *userdata)
{
    struct spawn_plan *plan = userdata;

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int r = steps[i].run(plan);
        if (r < 0) {
            plan->report->error = r;
            plan->report->step = steps[i].step;
            break;
        }
    }
    for (;;)
        (void)raw_call(SYS_exit_group, 127);
}
