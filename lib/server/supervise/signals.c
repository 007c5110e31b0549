/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "signals.h"

#include <signal.h>
#include <sys/signalfd.h>

static void make_set(const struct signals *s, sigset_t *set)
{
    sigemptyset(set);
    for (const struct signal_action *a = s->actions; a->act; a++)
        sigaddset(set, a->signo);
}

void signals_block(const struct signals *s)
{
    sigset_t set;

    make_set(s, &set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

struct arrival {
    struct signals *signals;
    int signo;
};

static int act(void *userdata)
{
    const struct arrival *arrival = userdata;

    for (const struct signal_action *a = arrival->signals->actions; a->act; a++)
        if (a->signo == arrival->signo)
            a->act(arrival->signals->userdata);
    return 0;
}

int signals_receive(void *userdata)
{
    ait_signals *signals AIT_CLEANUP(ait_signals_closep) = NULL;
    struct arrival arrival = {.signals = userdata};
    struct signalfd_siginfo info;
    sigset_t set;
    int r;

    make_set(arrival.signals, &set);
    r = ait_signals_open(&signals, &set);
    while (r >= 0 && (r = arrival.signo = ait_signals_next(signals, &info)) >= 0) {
        arrival.signals->sender = (int)info.ssi_pid;
        (void)ait_call_on_thread_stack(act, &arrival);
    }
    return r;
}
