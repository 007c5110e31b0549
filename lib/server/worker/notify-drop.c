/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "notify-drop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clone-exec.h"
#include "raw.h"

#define FDS_MAX 253 /* the kernel's SCM_MAX_FD */
#define OTHERS  8   /* descriptors that the child may have besides */

/* How long the child may take to take it, and how often it is resumed meanwhile. */
#define PATIENCE_MSEC 500
#define STEP_MSEC     20

enum { SOCKET = 3, TAKEN }; /* numbers in the child; the second is closed when it has taken it */

struct drop {
    struct exec_plan exec; /* first */
    bool all;
    uint64_t room; /* for datagrams */
};

RAW_CODE static struct drop *drop_of(struct exec_plan *plan)
{
    return (struct drop *)plan;
}

/* ---- in the child ---------------------------------------------------------------------------- */

/* What has no room is closed as it is received, while the parent waits. */
RAW_CODE static int make_room(struct exec_plan *plan)
{
    struct rlimit limit;

    drop_of(plan)->room = 1;
    if (raw_call(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) < 0)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    (void)raw_call(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
    if (drop_of(plan)->all && limit.rlim_cur > OTHERS + 2 * FDS_MAX)
        drop_of(plan)->room = (limit.rlim_cur - OTHERS) / FDS_MAX;
    return 0;
}

/* A child that hangs must not hold our log open. */
RAW_CODE static int close_stdio(struct exec_plan *plan)
{
    (void)plan;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        (void)raw_call(SYS_close, fd);
    return 0;
}

RAW_CODE static int receive(struct exec_plan *plan)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control;
    long r = 0;

    for (uint64_t i = 0; i < drop_of(plan)->room && r >= 0; i++) {
        struct msghdr h = {.msg_control = &control, .msg_controllen = sizeof control};

        r = raw_call(SYS_recvmsg, SOCKET, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (r < 0 && i == 0)
            return (int)r;
    }
    (void)raw_call(SYS_close, TAKEN);
    return 0;
}

/* ---- in the parent --------------------------------------------------------------------------- */

static bool has_ended(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};

    return poll(&p, 1, 0) > 0;
}

static void forget_ended(struct notify_drops *d)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < d->n; i++) {
        int pidfd = d->pidfds[i];

        if (!has_ended(pidfd)) {
            d->pidfds[kept++] = pidfd;
            continue;
        }
        /* Unless somebody else was faster. */
        (void)waitid(P_PIDFD, (id_t)pidfd, &(siginfo_t){0}, WEXITED | WNOHANG);
        (void)close(pidfd);
    }
    d->n = kept;
}

/* Processes of the same user might stop it. */
static int await_taken(int fd, pid_t pid)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    for (int waited = 0; poll(&p, 1, STEP_MSEC) <= 0; waited += STEP_MSEC) {
        (void)kill(pid, waited < PATIENCE_MSEC ? SIGCONT : SIGKILL);
        if (waited >= PATIENCE_MSEC)
            return -ETIMEDOUT;
    }
    return 0;
}

static int take(struct notify_drops *d, struct drop *drop, int fd)
{
    int pidfd = -1, r;
    pid_t pid = exec_fork(&drop->exec, &pidfd);

    if (pid < 0)
        return (int)pid;
    d->pidfds[d->n++] = pidfd;
    (void)close(drop->exec.fds[1].source);
    drop->exec.fds[1].source = -1;
    r = await_taken(fd, pid);
    if (r >= 0)
        r = drop->exec.report->error;
    (void)exec_report_free(drop->exec.report);
    return r;
}

int notify_drop(struct notify_drops *d, int socket, bool all)
{
    static const exec_step steps[] = {make_room, exec_arrange_fds, close_stdio, receive};
    struct exec_fd fds[] = {{.source = socket, .target = SOCKET}, {.target = TAKEN}};
    struct drop drop = {
        .exec = {.steps = steps, .n_steps = sizeof(steps) / sizeof(*steps), .fds = fds, .n_fds = 2},
        .all = all};
    int ends[2], r;

    forget_ended(d);
    if (d->n >= (unsigned)(all ? NOTIFY_DROPS_MAX + NOTIFY_DROPS_SPARE : NOTIFY_DROPS_MAX))
        return -EBUSY;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    fds[1].source = ends[1];
    r = take(d, &drop, ends[0]);
    if (fds[1].source >= 0)
        (void)close(ends[1]);
    (void)close(ends[0]);
    return r;
}

void notify_drops_done(struct notify_drops *d)
{
    forget_ended(d);
    for (unsigned i = 0; i < d->n; i++)
        (void)close(d->pidfds[i]);
    d->n = 0;
}
