/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hand-over.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/* How often a child that has not exec'ed yet is checked, and when the start is given up. */
#define RESUME_MS     20
#define RESUME_ROUNDS 500u

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

int hand_over_open(struct hand_over *h)
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, h->socket) < 0 ? -errno : 0;
}

void hand_over_done(struct hand_over *h)
{
    ait_explainer_free(h->explainer);
    close_fd(&h->socket[0]);
    close_fd(&h->socket[1]);
}

/*
 * Waits until the child sends something or ends. If the kernel does not protect it from processes
 * of its new user, they may stop it. It is resumed, and given up if that does not help.
 */
static void wait_for_child(struct pollfd *fds, nfds_t n, pid_t pid, unsigned *rounds)
{
    while (poll(fds, n, RESUME_MS) <= 0)
        (void)kill(pid, ++*rounds < RESUME_ROUNDS ? SIGCONT : SIGKILL);
}

/*
 * The child lives in our memory, on our stack. If it could not exec and cannot even exit, it is
 * killed.
 */
static void wait_for_exec(struct hand_over *h, const struct exec_plan *plan, pid_t pid,
                          unsigned *rounds)
{
    struct pollfd fds[] = {
        {.fd = h->socket[0], .events = POLLIN},
        {.fd = h->explainer ? ait_explainer_fd(h->explainer) : -1, .events = POLLIN}};

    for (;;) {
        wait_for_child(fds, 2, pid, rounds);
        if (fds[0].revents)
            return;
        if (fds[1].revents && plan->report->error < 0)
            (void)kill(pid, SIGKILL);
        if (fds[1].revents)
            fds[1].fd = -1;
    }
}

int hand_over_take(struct hand_over *h, const struct exec_plan *plan, pid_t pid)
{
    struct pollfd listener = {.fd = h->socket[0], .events = POLLIN};
    unsigned rounds = 0;
    int r = 0;

    close_fd(&h->socket[1]);
    wait_for_child(&listener, 1, pid, &rounds);
    if (h->sandbox)
        r = ait_explainer_new(&h->explainer, h->sandbox, h->socket[0], h->cb, h->userdata);
    h->error = r == -ECONNRESET ? 0 : r;
    if (h->error < 0)
        (void)kill(pid, SIGKILL);
    wait_for_exec(h, plan, pid, &rounds);
    return h->error;
}
