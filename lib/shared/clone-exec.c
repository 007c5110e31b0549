/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clone-exec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "raw.h"

/*
 * ThreadSanitizer's clone() takes the child for a fork, and stops checking what it believes to be
 * the child: here that is us.
 */
#if defined(__SANITIZE_THREAD__)
#define CLONE_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CLONE_TSAN
#endif
#endif
#ifdef CLONE_TSAN
extern int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
#define shared_clone __clone
#else
#define shared_clone clone
#endif

#define STACK_SIZE ((size_t)64 * 1024)
#define GUARD_SIZE ((size_t)64 * 1024) /* the largest page size there is */
#define N_SIGNALS  64

/* The struct that rt_sigaction(2) takes; libc's is another one. */
struct kernel_sigaction {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

/* The struct that getdents64(2) returns. */
struct kernel_dirent {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

/* The struct that clone3(2) takes since Linux 5.7. */
struct kernel_clone_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
        set_tid_size, cgroup;
};
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

/* ---- steps ----------------------------------------------------------------------------------- */

RAW_CODE int exec_start_session(struct exec_plan *plan)
{
    long r = 0;

    if (plan->session)
        r = raw_call(SYS_setsid);
    else if (plan->process_group)
        r = raw_call(SYS_setpgid, 0, 0);
    return r < 0 ? (int)r : 0;
}

RAW_CODE int exec_reset_signals(struct exec_plan *plan)
{
    const struct kernel_sigaction reset = {.handler = SIG_DFL};

    for (int signo = 1; signo <= N_SIGNALS; signo++) {
        struct kernel_sigaction action;

        if (raw_call(SYS_rt_sigaction, signo, NULL, &action, sizeof(action.mask)) < 0 ||
            action.handler == SIG_DFL)
            continue;
        if (action.handler == SIG_IGN && plan->keep_ignored >> (signo - 1) & 1)
            continue;
        long r = raw_call(SYS_rt_sigaction, signo, &reset, NULL, sizeof(action.mask));
        if (r < 0)
            return (int)r;
    }
    return 0;
}

RAW_CODE static bool is_kept(const struct exec_plan *plan, int fd)
{
    for (size_t i = 0; i < plan->n_fds; i++)
        if (plan->fds[i].target == fd)
            return true;
    return fd <= STDERR_FILENO;
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

/*
 * For kernels and outer sandboxes without close_range(2). The directory's own descriptor is closed
 * last.
 */
RAW_CODE static int close_by_listing(const struct exec_plan *plan)
{
    _Alignas(struct kernel_dirent) char buffer[2048];
    long n, dir = raw_call(SYS_openat, AT_FDCWD, "/proc/self/fd",
                           O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

    if (dir < 0)
        return (int)dir;
    while ((n = raw_call(SYS_getdents64, dir, buffer, sizeof(buffer))) > 0)
        for (long at = 0; at < n;) {
            const struct kernel_dirent *entry = (const struct kernel_dirent *)(void *)(buffer + at);
            int fd = parse_fd(entry->name);

            if (fd >= 0 && fd != dir && !is_kept(plan, fd))
                (void)raw_call(SYS_close, fd);
            at += entry->length;
        }
    (void)raw_call(SYS_close, dir);
    return (int)n;
}

RAW_CODE static long close_between(int after, int before)
{
    if (before - after <= 1)
        return 0;
    return raw_call(SYS_close_range, (unsigned)after + 1, (unsigned)before - 1, 0);
}

RAW_CODE static int close_others(const struct exec_plan *plan)
{
    int last = STDERR_FILENO;

    for (size_t i = 0; i < plan->n_fds; i++) {
        int target = plan->fds[i].target;

        if (close_between(last, target) < 0)
            return close_by_listing(plan);
        if (target > last)
            last = target;
    }
    return close_between(last, INT_MAX) < 0 ? close_by_listing(plan) : 0;
}

/*
 * First copies all above the highest target: then no target can overwrite a source that is still
 * needed, whatever the order.
 */
RAW_CODE int exec_arrange_fds(struct exec_plan *plan)
{
    int last = plan->n_fds > 0 ? plan->fds[plan->n_fds - 1].target : 0;
    int floor = last > STDERR_FILENO ? last + 1 : STDERR_FILENO + 1;

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
    return plan->inherit_fds ? 0 : close_others(plan);
}

RAW_CODE int exec_change_directory(struct exec_plan *plan)
{
    return plan->directory ? (int)raw_call(SYS_chdir, plan->directory) : 0;
}

RAW_CODE int exec_set_death_signal(struct exec_plan *plan)
{
    if (plan->death_signal == 0)
        return 0;
    return (int)raw_call(SYS_prctl, PR_SET_PDEATHSIG, plan->death_signal, 0, 0, 0);
}

RAW_CODE int exec_check_parent(struct exec_plan *plan)
{
    return plan->death_signal == 0 || raw_call(SYS_getppid) == plan->parent ? 0 : -ESRCH;
}

RAW_CODE int exec_unblock_signals(struct exec_plan *plan)
{
    return (int)raw_call(SYS_rt_sigprocmask, SIG_SETMASK, &plan->blocked, NULL,
                         sizeof(plan->blocked));
}

RAW_CODE int exec_execute(struct exec_plan *plan)
{
    return (int)raw_call(SYS_execve, plan->path, plan->argv, plan->envp);
}

/* ---- the child ------------------------------------------------------------------------------- */

__attribute__((noreturn)) RAW_CODE static int child_main(void *userdata)
{
    struct exec_plan *plan = userdata;

    for (unsigned i = 0; i < plan->n_steps; i++) {
        int r = plan->steps[i](plan);

        if (r < 0) {
            plan->report->step = i;
            plan->report->error = r;
            break;
        }
    }
    for (;;)
        (void)raw_call(SYS_exit_group, 127);
}

/* ---- the parent ------------------------------------------------------------------------------ */

/*
 * libc's wrapper is plain assembly that calls the function on the new stack. clone3 would offer no
 * more here, and older sandboxes refuse it.
 */
static pid_t clone_child(struct exec_plan *plan, char *stack_top, int *ret_pidfd)
{
    int flags = CLONE_VM | CLONE_PIDFD | SIGCHLD | (plan->meanwhile ? 0 : CLONE_VFORK);
    pid_t pid = shared_clone(child_main, stack_top, flags, plan, ret_pidfd);

    return pid < 0 ? -errno : pid;
}

/* The child has ended, or is about to: this waits for nothing else. */
static void bury(pid_t pid, int pidfd)
{
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    (void)close(pidfd);
}

static pid_t clone_and_wait(struct exec_plan *plan, char *stack_top, int *ret_pidfd)
{
    int pidfd = -1, r = 0;
    pid_t pid = clone_child(plan, stack_top, &pidfd);

    if (pid < 0)
        return pid;
    plan->pid = pid;
    if (plan->meanwhile)
        r = plan->meanwhile(plan, pid);
    plan->failed = *plan->report;
    if (plan->failed.error < 0)
        r = plan->failed.error;
    if (r < 0) {
        bury(pid, pidfd);
        return r;
    }
    *ret_pidfd = pidfd;
    return pid;
}

/* With the kernel's own mask: libc's functions keep its internal signals unblocked. */
static pid_t clone_masked(struct exec_plan *plan, char *stack_top, int *ret_pidfd)
{
    uint64_t all = UINT64_MAX, before;
    int dumpable = plan->changes_credentials ? prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) : -1;

    if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof(all)) < 0)
        return -errno;
    pid_t pid = clone_and_wait(plan, stack_top, ret_pidfd);
    /*
     * If a process that shares our memory changes its credentials, we become undumpable: this
     * restores it.
     */
    if ((dumpable == 0 || dumpable == 1) && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != dumpable)
        (void)prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0);
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof(before));
    return pid;
}

pid_t exec_start(struct exec_plan *plan, int *ret_pidfd)
{
    size_t size = GUARD_SIZE + STACK_SIZE + sizeof(struct exec_report);
    char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid;

    plan->parent = getpid();
    plan->failed = (struct exec_report){0};
    if (map == MAP_FAILED)
        return -errno;
    plan->report = (struct exec_report *)(void *)(map + GUARD_SIZE + STACK_SIZE);
    pid = mprotect(map, GUARD_SIZE, PROT_NONE) < 0
              ? -errno
              : clone_masked(plan, map + GUARD_SIZE + STACK_SIZE, ret_pidfd);
    (void)munmap(map, size);
    plan->report = NULL;
    return pid;
}

/* ---- without waiting ------------------------------------------------------------------------- */

RAW_CODE static pid_t fork_into_group(int group, int *ret_pidfd)
{
#ifdef SYS_clone3
    const struct kernel_clone_args args = {.flags = CLONE_PIDFD | CLONE_INTO_CGROUP,
                                           .pidfd = (uint64_t)(uintptr_t)ret_pidfd,
                                           .exit_signal = SIGCHLD,
                                           .cgroup = (uint64_t)group};

    return (pid_t)raw_call(SYS_clone3, &args, sizeof(args));
#else
    return -ENOSYS;
#endif
}

RAW_CODE static void enter_group(int group)
{
    long fd = raw_call(SYS_openat, group, "cgroup.procs", O_WRONLY | O_CLOEXEC, 0);

    if (fd < 0)
        return;
    (void)raw_call(SYS_write, fd, "0", 1);
    (void)raw_call(SYS_close, fd);
}

/* As fork(), but without libc's handlers, which the child has no use for. */
RAW_CODE static pid_t fork_child(struct exec_plan *plan, int *ret_pidfd)
{
    pid_t pid = plan->has_group ? fork_into_group(plan->group, ret_pidfd) : -ENOSYS;
    bool enter = pid < 0 && plan->has_group;

    /* Kernels and outer sandboxes refuse clone3 in many ways, and not what can do without it. */
    if (pid < 0)
        pid = (pid_t)raw_call(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, ret_pidfd, 0, 0);
    if (pid != 0)
        return pid;
    if (enter)
        enter_group(plan->group);
    (void)child_main(plan);
    return 0;
}

pid_t exec_fork(struct exec_plan *plan, int *ret_pidfd)
{
    uint64_t all = UINT64_MAX, before;
    int pidfd = -1;
    pid_t pid;

    plan->parent = getpid();
    plan->failed = (struct exec_report){0};
    plan->report = mmap(NULL, sizeof(*plan->report), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (plan->report == MAP_FAILED) {
        plan->report = NULL;
        return -errno;
    }
    /* A handler is the parent's business. */
    if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof(all)) < 0)
        pid = -errno;
    else {
        pid = fork_child(plan, &pidfd);
        (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof(before));
    }
    if (pid < 0) {
        plan->report = exec_report_free(plan->report);
        return pid;
    }
    plan->pid = pid;
    *ret_pidfd = pidfd;
    return pid;
}

struct exec_report *exec_report_free(struct exec_report *report)
{
    if (report)
        (void)munmap(report, sizeof(*report));
    return NULL;
}
