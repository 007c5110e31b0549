/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <aiotools-sd/io.h>
#include <aiotools-sd/scope.h>

#include "process.h"
#include "scheduler.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define STOP_USEC    (10 * AIT_USEC_PER_SEC)
#define TRACED_PAUSE (20 * AIT_USEC_PER_MSEC)

/* ---- life ------------------------------------------------------------------------------------ */

struct ait_child *child_new(int stop_signal, uint64_t stop_usec)
{
    struct ait_child *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->refs = 1;
    c->pidfd = -1;
    c->stdio[0] = c->stdio[1] = c->stdio[2] = -1;
    c->stop_signal = stop_signal ? stop_signal : SIGTERM;
    c->stop_usec = stop_usec ? stop_usec : STOP_USEC;
    return c;
}

void child_init(struct ait_child *c, pid_t pid, int pidfd, bool group)
{
    c->pid = pid;
    c->pidfd = pidfd;
    c->group = group;
    c->parent = getpid();
}

void child_discard(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

AIT_PUBLIC int ait_child_adopt(ait_child **ret, pid_t pid, int pidfd)
{
    struct ait_child *c;
    int r;

    if (!ret || pid <= 0)
        return -EINVAL;
    c = child_new(0, 0);
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
    child_init(c, pid, pidfd, false);
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
    for (int i = 0; i < 3; i++)
        (void)ait_close(child->stdio[i]);
    (void)ait_close(child->pidfd);
    free(child);
    return NULL;
}

AIT_PUBLIC pid_t ait_child_pid(const ait_child *child)
{
    return child ? child->pid : -EINVAL;
}

AIT_PUBLIC int ait_child_pidfd(const ait_child *child)
{
    return child ? child->pidfd : -EINVAL;
}

/* ---- stdio ----------------------------------------------------------------------------------- */

AIT_PUBLIC int ait_child_stdio(const ait_child *child, int fd)
{
    if (!child || fd < 0 || fd > 2)
        return -EINVAL;
    return child->stdio[fd] >= 0 ? child->stdio[fd] : -EBADF;
}

AIT_PUBLIC int ait_child_take_stdio(ait_child *child, int fd)
{
    int r;

    r = ait_child_stdio(child, fd);
    if (r >= 0)
        child->stdio[fd] = -1;
    return r;
}

AIT_PUBLIC int ait_child_close_stdio(ait_child *child, int fd)
{
    int r;

    r = ait_child_take_stdio(child, fd);
    return r < 0 ? r : ait_close(r);
}

/* ---- waiting and signalling ------------------------------------------------------------------ */

static bool is_ours(const struct ait_child *c)
{
    return c->parent == getpid();
}

static bool is_refusal(int error)
{
    return error == EPERM || error == ENOSYS;
}

/* As waitid() tells it. */
static int reap_by_waitpid(pid_t pid, siginfo_t *ret)
{
    int status;
    pid_t r = waitpid(pid, &status, WNOHANG);

    if (r <= 0)
        return r < 0 ? -errno : 0;
    ret->si_pid = pid;
    if (WIFEXITED(status)) {
        ret->si_code = CLD_EXITED;
        ret->si_status = WEXITSTATUS(status);
    } else {
        ret->si_code = WCOREDUMP(status) ? CLD_DUMPED : CLD_KILLED;
        ret->si_status = WTERMSIG(status);
    }
    return 0;
}

/*
 * waitid() by the pidfd; where an outer sandbox refuses it, or the kernel is older than 5.4, by the
 * pid, which the process keeps until it is reaped; and where waitid() is refused altogether, with
 * older calls. si_pid is 0 if it runs.
 */
static int look_at(const struct ait_child *c, siginfo_t *ret, int flags)
{
    struct pollfd p = {.fd = c->pidfd, .events = POLLIN};

    if (waitid((idtype_t)P_PIDFD, (id_t)c->pidfd, ret, WEXITED | WNOHANG | flags) >= 0)
        return 0;
    if (!is_refusal(errno) && errno != EINVAL)
        return -errno;
    if (waitid(P_PID, (id_t)c->pid, ret, WEXITED | WNOHANG | flags) >= 0)
        return 0;
    if (!is_refusal(errno))
        return -errno;
    if (!(flags & WNOWAIT))
        return reap_by_waitpid(c->pid, ret);
    ret->si_pid = poll(&p, 1, 0) > 0 ? c->pid : 0;
    return 0;
}

/* Linux 6.15 keeps it with the pidfd. */
struct pidfd_exit_info {
    uint64_t mask, cgroup;
    uint32_t ids[11];
    int32_t exit_code;
};

#define PIDFD_GET_EXIT_INFO _IOWR(0xff, 11, struct pidfd_exit_info)
#define PIDFD_EXIT          (UINT64_C(1) << 3)

/*
 * There is nothing to reap: SIGCHLD is ignored, as it may be inherited from the parent, or other
 * code has waited. -ECHILD: how the process has ended is not known.
 */
static int child_reaped_by_others(struct ait_child *c)
{
    struct pidfd_exit_info info = {.mask = PIDFD_EXIT};

    if (ioctl(c->pidfd, PIDFD_GET_EXIT_INFO, &info) < 0 || !(info.mask & PIDFD_EXIT))
        return -ECHILD;
    c->info = (siginfo_t){};
    c->info.si_signo = SIGCHLD;
    c->info.si_pid = c->pid;
    c->info.si_code = WIFEXITED(info.exit_code)   ? CLD_EXITED
                      : WCOREDUMP(info.exit_code) ? CLD_DUMPED
                                                  : CLD_KILLED;
    c->info.si_status =
        WIFEXITED(info.exit_code) ? WEXITSTATUS(info.exit_code) : WTERMSIG(info.exit_code);
    c->reaped = true;
    return 1;
}

/* 1: it has ended and is reaped, 0: it runs. */
static int child_reap(struct ait_child *c)
{
    siginfo_t info = {};
    int r;

    if (c->reaped)
        return 1;
    r = look_at(c, &info, WNOWAIT);
    if (r == -ECHILD)
        return child_reaped_by_others(c);
    if (r < 0 || info.si_pid == 0)
        return r;
    /* It must be now: once the process is reaped, its group's number may be reused. */
    if (c->group)
        (void)kill(-c->pid, SIGKILL);
    info.si_pid = 0;
    r = look_at(c, &info, 0);
    if (r == -ECHILD)
        return child_reaped_by_others(c);
    if (r < 0 || info.si_pid == 0)
        return r;
    c->info = info;
    c->reaped = true;
    return 1;
}

AIT_PUBLIC int ait_child_wait(ait_child *child, siginfo_t *ret_info)
{
    int r;

    if (!child)
        return -EINVAL;
    if (!is_ours(child))
        return -ECHILD;
    ait_child_ref(child);
    for (;;) {
        /*
         * Readable from the end of the process on, for every waiter, so it does not matter which
         * one reaps.
         */
        r = child->reaped ? ait_check_cancel() : ait_poll(child->pidfd, POLLIN);
        if (r < 0)
            break;
        r = child_reap(child);
        if (r != 0)
            break;
        /*
         * The process has ended, but its tracer must see that first; there is no notification of
         * that.
         */
        r = ait_sleep(TRACED_PAUSE);
        if (r < 0)
            break;
    }
    if (r > 0 && ret_info)
        *ret_info = child->info;
    ait_child_unref(child);
    return r < 0 ? r : 0;
}

AIT_PUBLIC int ait_child_exit_code(const ait_child *child)
{
    if (!child)
        return -EINVAL;
    if (!child->reaped)
        return -EBUSY;
    return child->info.si_code == CLD_EXITED ? child->info.si_status : 128 + child->info.si_status;
}

AIT_PUBLIC int ait_child_kill(ait_child *child, int signo)
{
    if (!child)
        return -EINVAL;
    if (!is_ours(child))
        return -ECHILD;
    if (child->reaped)
        return -ESRCH;
    return syscall(SYS_pidfd_send_signal, child->pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}

/* ---- ending in order ------------------------------------------------------------------------- */

/* To the group, too, as long as the unreaped leader keeps its number. */
static void signal_all(struct ait_child *c, int signo)
{
    if (c->reaped)
        return;
    if (c->group)
        (void)kill(-c->pid, signo);
    (void)ait_child_kill(c, signo);
}

/*
 * Waits up to usec, cancelled or not. Returns whether the process has ended; false also if there
 * was no memory to wait with.
 */
static bool wait_shielded(struct ait_child *c, uint64_t usec)
{
    AIT_SCOPE(scope);
    int r;

    r = ait_scope_enter_after(&scope, AIT_SCOPE_SHIELD | AIT_SCOPE_MOVE_ON, usec);
    if (r < 0)
        return false;
    r = ait_child_wait(c, NULL);
    (void)ait_scope_exit(scope, r);
    return c->reaped || r == -ECHILD;
}

/*
 * The process was sent SIGKILL. Waits by its pid, which it keeps until it is reaped: ait_poll() may
 * have made the pidfd non-blocking, which makes waitid() on it non-blocking, too.
 */
static void wait_blocking(struct ait_child *c)
{
    struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
    siginfo_t info = {};
    int r;

    while ((r = waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOWAIT)) < 0 && errno == EINTR)
        ;
    if (r < 0 && is_refusal(errno))
        (void)poll(&p, 1, -1);
    (void)child_reap(c);
}

static int stop(struct ait_child *c, int signo, uint64_t usec)
{
    if (child_reap(c) != 0)
        return 0;
    signal_all(c, signo);
    signal_all(c, SIGCONT);
    if (wait_shielded(c, usec))
        return 0;
    signal_all(c, SIGKILL);
    if (!wait_shielded(c, AIT_USEC_INFINITY))
        wait_blocking(c);
    return 1;
}

int child_stop(struct ait_child *c)
{
    return stop(c, c->stop_signal, c->stop_usec);
}

AIT_PUBLIC int ait_child_terminate(ait_child *child, int signo, uint64_t usec)
{
    struct ait_loop *loop;
    struct ait_task *t;
    int r;

    if (!child || signo <= 0 || signo >= NSIG)
        return -EINVAL;
    if (!is_ours(child))
        return -ECHILD;
    r = op_enter_structural(&loop, &t);
    if (r < 0)
        return r;
    ait_child_ref(child);
    r = stop(child, signo, usec);
    ait_child_unref(child);
    return t->scope->effective ? -ECANCELED : r;
}

AIT_PUBLIC int ait_child_supervise(ait_child *child, siginfo_t *ret_info)
{
    int r;

    if (!child)
        return -EINVAL;
    r = ait_child_wait(child, ret_info);
    if (r < 0 && r != -ECHILD && ait_task_current()) {
        ait_child_ref(child);
        (void)child_stop(child);
        ait_child_unref(child);
    }
    return r;
}

AIT_PUBLIC int ait_child_set_stop(ait_child *child, int signo, uint64_t usec)
{
    if (!child || signo <= 0 || signo >= NSIG)
        return -EINVAL;
    child->stop_signal = signo;
    child->stop_usec = usec;
    return 0;
}

AIT_PUBLIC ait_child *ait_child_end(ait_child *child)
{
    if (!child)
        return NULL;
    if (is_ours(child) && ait_task_current()) {
        (void)child_stop(child);
    } else if (is_ours(child)) {
        if (child_reap(child) == 0) {
            signal_all(child, SIGKILL);
            wait_blocking(child);
        }
    }
    return ait_child_unref(child);
}
