/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <aiotools-sd/io.h>
#include <aiotools-sd/loop.h>
#include <aiotools-sd/signal.h>

#include "current.h"
#include "owned.h"

struct ait_signals {
    int fd;
    sigset_t set;
    unsigned fork_generation;
};

/*
 * The number of registrations of this thread for each signal. Only the last of them may unblock it,
 * and only if the first has blocked it.
 */
static __thread struct {
    unsigned n_users;
    bool blocked_here;
} wanted[NSIG];
static __thread unsigned wanted_generation;

/* A forked child has the parent's counts, but none of its registrations. */
static void wanted_check_fork(void)
{
    if (wanted_generation != loop_fork_generation)
        memset(wanted, 0, sizeof(wanted));
    wanted_generation = loop_fork_generation;
}

static void take_signals(const sigset_t *set)
{
    sigset_t before;

    wanted_check_fork();
    (void)pthread_sigmask(SIG_BLOCK, set, &before);
    for (int signo = 1; signo < NSIG; signo++)
        if (sigismember(set, signo) == 1 && wanted[signo].n_users++ == 0)
            wanted[signo].blocked_here = sigismember(&before, signo) == 0;
    owned_leave_signals(this_loop, set);
}

static void give_signals_back(const sigset_t *set)
{
    sigset_t unwanted, unblock;

    sigemptyset(&unwanted);
    sigemptyset(&unblock);
    for (int signo = 1; signo < NSIG; signo++) {
        if (sigismember(set, signo) != 1 || --wanted[signo].n_users > 0)
            continue;
        sigaddset(&unwanted, signo);
        if (wanted[signo].blocked_here)
            sigaddset(&unblock, signo);
    }
    if (this_loop)
        owned_return_signals(this_loop, &unwanted);
    (void)pthread_sigmask(SIG_UNBLOCK, &unblock, NULL);
}

AIT_PUBLIC int ait_signals_open(ait_signals **ret, const sigset_t *set)
{
    struct ait_signals *s;
    int r;

    if (!ret || !set)
        return -EINVAL;
    if (!this_loop)
        return loop_foreign();
    s = malloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->set = *set;
    s->fork_generation = loop_fork_generation;
    s->fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->fd < 0) {
        r = -errno;
        free(s);
        return r;
    }
    take_signals(set);
    *ret = s;
    return 0;
}

AIT_PUBLIC int ait_signals_next(ait_signals *signals, struct signalfd_siginfo *ret_info)
{
    struct signalfd_siginfo info;
    ssize_t k;

    if (!signals)
        return -EINVAL;
    k = ait_read(signals->fd, &info, sizeof(info));
    if (k < 0)
        return (int)k;
    if (k != sizeof(info))
        return -EIO;
    if (ret_info)
        *ret_info = info;
    return (int)info.ssi_signo;
}

AIT_PUBLIC ait_signals *ait_signals_close(ait_signals *signals)
{
    if (!signals)
        return NULL;
    (void)ait_close(signals->fd);
    if (signals->fork_generation == loop_fork_generation)
        give_signals_back(&signals->set);
    free(signals);
    return NULL;
}
