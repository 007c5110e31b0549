/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "predecessor.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "process/cgroup.h"
#include "process/guardian.h"

#define PAUSE_NSEC  5000000
#define MOMENT_USEC 300000   /* from SIGKILL until the process is gone */
#define LIMIT_USEC  15000000 /* a guardian gives up earlier */

#define GROUP_LIMIT_USEC 5000000
#define GROUP_PAUSE_NSEC 1000000

static uint64_t now_usec(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* They are blocked, and mean that we are to stop. */
static bool signal_waits(void)
{
    sigset_t set;

    return sigpending(&set) == 0 &&
           (sigismember(&set, SIGTERM) > 0 || sigismember(&set, SIGINT) > 0 ||
            sigismember(&set, SIGQUIT) > 0);
}

bool predecessor_may_end(struct predecessor *p, bool is_lock)
{
    enum guardians guardians = guardians_of_others();
    uint64_t now = now_usec(), end;
    bool first = p->since == 0;

    if (first)
        p->since = now;
    p->any |= guardians != GUARDIANS_NONE;
    if (guardians == GUARDIANS_KILL)
        p->seen = now;
    if (guardians == GUARDIANS_KILL)
        end = p->since + LIMIT_USEC;
    else if (p->seen > 0)
        end = p->seen + MOMENT_USEC;
    else
        end = p->since + (is_lock || p->any ? MOMENT_USEC : 0);
    if ((now >= end && !first) || signal_waits())
        return false;
    (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NSEC}, NULL);
    return true;
}

int predecessor_end_group(struct predecessor *p, const char *mark)
{
    uint64_t end = now_usec() + GROUP_LIMIT_USEC;
    struct cgroup group;
    int parent, left;

    if (p->stuck || cgroup_open_marked(&group, &parent, mark) < 0)
        return 0;
    ssize_t n = cgroup_look(&group, 0, &p->left);
    while ((left = cgroup_kill(&group)) > 0 && now_usec() < end)
        (void)nanosleep(&(struct timespec){.tv_nsec = GROUP_PAUSE_NSEC}, NULL);
    p->stuck = left > 0;
    (void)cgroup_remove(&group);
    (void)close(parent);
    return n > 0;
}
