/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elsewhere.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clone-exec.h"
#include "raw.h"

#define MOMENT_MSEC 100
#define STEP_MSEC   20

/* ---- closing --------------------------------------------------------------------------------- */

enum { GIVEN = 3, CLOSED };

/* Until the parent has closed its own. The end of a process closes what it has. */
RAW_CODE static int await_parent(struct exec_plan *plan)
{
    char byte;

    (void)plan;
    /* A child that hangs must not hold these open. */
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        (void)raw_call(SYS_close, fd);
    return (int)raw_call(SYS_read, CLOSED, &byte, 1);
}

int close_elsewhere(int fd)
{
    static const exec_step steps[] = {exec_arrange_fds, await_parent};
    struct exec_fd fds[] = {{.source = fd, .target = GIVEN}, {.target = CLOSED}};
    struct exec_plan plan = {
        .steps = steps, .n_steps = sizeof(steps) / sizeof(*steps), .fds = fds, .n_fds = 2};
    int ends[2], pidfd;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    fds[1].source = ends[0];
    pid = exec_fork(&plan, &pidfd);
    if (pid >= 0)
        (void)close(fd);
    (void)close(ends[0]);
    (void)close(ends[1]);
    if (pid < 0)
        return (int)pid;
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    (void)poll(&p, 1, MOMENT_MSEC);
    (void)waitid(P_PIDFD, (id_t)pidfd, &(siginfo_t){0}, WEXITED | WNOHANG);
    (void)close(pidfd);
    (void)exec_report_free(plan.report);
    return 0;
}

/* ---- questions ------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void answer(ask_fn fn, void *userdata, size_t size, int to)
{
    char buffer[PIPE_BUF];

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (dup2(to, STDERR_FILENO) == STDERR_FILENO) {
        (void)close_range(STDERR_FILENO + 1, UINT_MAX, 0);
        (void)close(STDIN_FILENO);
        (void)close(STDOUT_FILENO);
        size = fn(userdata, buffer, size);
        _exit(write(STDERR_FILENO, buffer, size) == (ssize_t)size ? 0 : 1);
    }
    _exit(1);
}

int ask_begin(struct question *ret, ask_fn fn, void *userdata, size_t size)
{
    int ends[2], r = 0;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0)
        answer(fn, userdata, size, ends[1]);
    if (pid < 0)
        r = -errno;
    (void)close(ends[1]);
    if (r < 0)
        (void)close(ends[0]);
    else
        *ret = (struct question){.fd = ends[0], .pid = pid};
    return r;
}

ssize_t ask_end(struct question *q, void *buffer, size_t size)
{
    struct pollfd p = {.fd = q->fd, .events = POLLIN};
    ssize_t n = -ETIMEDOUT;

    if (poll(&p, 1, 0) > 0) {
        n = read(q->fd, buffer, size);
        n = n < 0 ? -errno : n;
    }
    /* Unless somebody else has reaped it: then its number is another's. */
    if (waitpid(q->pid, NULL, WNOHANG) == 0) {
        (void)kill(q->pid, SIGKILL);
        /* One that has answered has nothing left to wait for. */
        (void)waitpid(q->pid, NULL, n > 0 ? 0 : WNOHANG);
    }
    (void)close(q->fd);
    return n;
}

ssize_t ask_elsewhere(ask_fn fn, void *userdata, void *buffer, size_t size, int msec)
{
    struct question q;
    int r = ask_begin(&q, fn, userdata, size);

    if (r < 0)
        return r;
    struct pollfd p = {.fd = q.fd, .events = POLLIN};
    for (int waited = 0; waited < msec && poll(&p, 1, STEP_MSEC) <= 0; waited += STEP_MSEC)
        (void)kill(q.pid, SIGCONT);
    return ask_end(&q, buffer, size);
}
