/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "close-elsewhere.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clone-exec.h"
#include "raw.h"

#define MOMENT_MSEC 100

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
