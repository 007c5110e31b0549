/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reaper.h"

#include <errno.h>
#include <signal.h>

#include "process/reap.h"
#include "worker/worker.h"

/* Before others get their turn. */
#define BATCH 64u

struct reaper {
    struct workers *workers;
    uint64_t pause; /* until the next look */
};

/* The dead have to go before they fill the table of processes: `more` are waiting. */
static uint64_t pause_after(uint64_t spent, bool more)
{
    if (more)
        return spent * REAPER_SHARE_BUSY;
    return spent < REAPER_PAUSE / REAPER_SHARE ? REAPER_PAUSE : spent * REAPER_SHARE;
}

/* 1: look again; 0: after the next SIGCHLD. */
static int look(void *userdata)
{
    struct reaper *reaper = userdata;
    uint64_t begun = ait_now(NULL);
    unsigned n;
    int r = reap_dead(workers_know_pid, reaper->workers, BATCH, &n);

    if (r == -EBUSY)
        r = reap_behind(workers_know_pid, reaper->workers);
    reaper->pause = pause_after(ait_now(NULL) - begun, n == BATCH);
    return r > 0;
}

static void make_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGCHLD);
}

void reaper_block(void)
{
    sigset_t set;

    make_set(&set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

static int reap_now(struct reaper *reaper)
{
    int r, more;

    do {
        more = ait_call_on_thread_stack(look, reaper);
        r = ait_sleep(reaper->pause);
    } while (r >= 0 && more > 0);
    return r;
}

int reaper_watch(void *userdata)
{
    ait_signals *signals AIT_CLEANUP(ait_signals_closep) = NULL;
    struct reaper reaper = {.workers = userdata};
    sigset_t set;
    int r;

    make_set(&set);
    r = ait_signals_open(&signals, &set);
    /* What has died before. */
    if (r >= 0)
        r = reap_now(&reaper);
    while (r >= 0 && (r = ait_signals_next(signals, NULL)) >= 0)
        r = reap_now(&reaper);
    return r;
}
