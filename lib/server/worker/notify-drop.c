/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "notify-drop.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clone-exec.h"
#include "raw.h"

#define FDS_MAX 253 /* the kernel's SCM_MAX_FD */
#define SOCKET  3   /* its number in the child */
#define OTHERS  8   /* descriptors that the child may have besides */

struct drop {
    struct exec_plan exec; /* first */
    int all;
};

/* ---- in the child ---------------------------------------------------------------------------- */

/* A child that hangs must not hold our log open. */
RAW_CODE static int close_stdio(struct exec_plan *plan)
{
    (void)plan;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        (void)raw_call(SYS_close, fd);
    return 0;
}

/* How many datagrams have room: what has none is closed at once, while the parent waits. */
RAW_CODE static uint64_t make_room(void)
{
    struct rlimit limit;

    if (raw_call(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) < 0)
        return 1;
    limit.rlim_cur = limit.rlim_max;
    (void)raw_call(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
    return limit.rlim_cur < OTHERS + 2 * FDS_MAX ? 1 : (limit.rlim_cur - OTHERS) / FDS_MAX;
}

RAW_CODE static int receive(struct exec_plan *plan)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control;
    uint64_t n = make_room();
    long r = 0;

    if (!((struct drop *)plan)->all)
        n = 1;
    for (uint64_t i = 0; i < n && r >= 0; i++) {
        struct msghdr h = {.msg_control = &control, .msg_controllen = sizeof control};

        r = raw_call(SYS_recvmsg, SOCKET, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (r < 0 && i == 0)
            return (int)r;
    }
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

int notify_drop(struct notify_drops *d, int socket, int all)
{
    static const exec_step steps[] = {exec_arrange_fds, close_stdio, receive};
    struct exec_fd fd = {.source = socket, .target = SOCKET};
    struct drop drop = {.exec = {.steps = steps,
                                 .n_steps = sizeof(steps) / sizeof(*steps),
                                 .fds = &fd,
                                 .n_fds = 1,
                                 .until_gone = true},
                        .all = all};
    int pidfd = -1, r;

    forget_ended(d);
    if (d->n >= (unsigned)(all ? NOTIFY_DROPS_MAX + NOTIFY_DROPS_SPARE : NOTIFY_DROPS_MAX))
        return -EBUSY;
    pid_t pid = exec_fork(&drop.exec, &pidfd);
    if (pid < 0)
        return (int)pid;
    r = drop.exec.report->error;
    (void)exec_report_free(drop.exec.report);
    d->pidfds[d->n++] = pidfd;
    return r;
}

void notify_drops_done(struct notify_drops *d)
{
    forget_ended(d);
    for (unsigned i = 0; i < d->n; i++)
        (void)close(d->pidfds[i]);
    d->n = 0;
}
