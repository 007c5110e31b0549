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

void hand_over_close_far(struct hand_over *h)
{
    close_fd(&h->socket[1]);
}

int hand_over_look(struct hand_over *h)
{
    struct pollfd p = {.fd = h->socket[0], .events = POLLIN};

    (void)poll(&p, 1, 0);
    if ((p.revents & POLLIN) && h->sandbox && !h->explainer && h->error == 0) {
        int r = ait_explainer_new(&h->explainer, h->sandbox, h->socket[0], h->cb, h->userdata);
        h->error = r == -ECONNRESET || r >= 0 ? 0 : r;
    }
    return p.revents & POLLHUP ? 1 : h->error;
}

/*
 * Waits until something has changed for the child. If the kernel does not protect it from processes
 * of its new user, they may stop it. It is resumed, and given up if that does not help.
 */
static void wait_for_child(const struct hand_over *h, pid_t pid, unsigned *rounds)
{
    struct pollfd fds[] = {
        {.fd = h->socket[0], .events = h->explainer || h->error < 0 ? 0 : POLLIN},
        {.fd = h->explainer ? ait_explainer_fd(h->explainer) : -1, .events = POLLIN}};

    while (poll(fds, 2, RESUME_MS) <= 0)
        (void)kill(pid, ++*rounds < RESUME_ROUNDS ? SIGCONT : SIGKILL);
}

int hand_over_take(struct hand_over *h, const struct exec_plan *plan, pid_t pid)
{
    unsigned rounds = 0;
    int r;

    hand_over_close_far(h);
    while ((r = hand_over_look(h)) <= 0) {
        /* The child lives in our memory. If it could not exec and cannot even exit, it is killed.
         */
        if (r < 0 || plan->report->error < 0)
            (void)kill(pid, SIGKILL);
        wait_for_child(h, pid, &rounds);
    }
    return h->error;
}
