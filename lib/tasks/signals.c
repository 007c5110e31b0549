/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <aiotools-sd/io.h>
#include <aiotools-sd/loop.h>
#include <aiotools-sd/signal.h>

#include "loop.h"
#include "owned.h"

struct ait_signals {
    int fd;
    sigset_t blocked; /* by us: others may have blocked the rest */
};

AIT_PUBLIC int ait_signals_open(ait_signals **ret, const sigset_t *set)
{
    struct ait_signals *s;
    sigset_t before;
    int r;

    if (!ret || !set)
        return -EINVAL;
    if (!this_loop)
        return loop_foreign();
    s = malloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->fd < 0) {
        r = -errno;
        free(s);
        return r;
    }
    (void)pthread_sigmask(SIG_BLOCK, set, &before);
    sigemptyset(&s->blocked);
    for (int signo = 1; signo < NSIG; signo++)
        if (sigismember(set, signo) == 1 && sigismember(&before, signo) == 0)
            sigaddset(&s->blocked, signo);
    owned_leave_signals(this_loop, set);
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
    (void)pthread_sigmask(SIG_UNBLOCK, &signals->blocked, NULL);
    free(signals);
    return NULL;
}

AIT_PUBLIC void ait_signals_closep(ait_signals **p)
{
    *p = ait_signals_close(*p);
}
