/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "priority.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "slurp.h"

#define NICE_MIN (-20)

static bool write_number(const char *path, int number)
{
    char text[16];
    int n = snprintf(text, sizeof(text), "%d", number), fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, (size_t)n) == n;

    if (fd >= 0)
        (void)close(fd);
    return written;
}

bool priority_lower_oom(const char *path, char ret[static 8])
{
    char text[16];

    if (read_text(path, text, sizeof(text)) <= 0)
        return false;
    text[strcspn(text, "\n")] = '\0';
    if (strlen(text) >= 8 || atoi(text) <= PRIORITY_OOM || !write_number(path, PRIORITY_OOM))
        return false;
    (void)strcpy(ret, text);
    return true;
}

/* Other policies than the ordinary one were chosen by somebody who knows why. */
static bool raise_nice(int *ret_before)
{
    int before;

    if (sched_getscheduler(0) != SCHED_OTHER)
        return false;
    errno = 0;
    before = getpriority(PRIO_PROCESS, 0);
    if (errno != 0)
        return false;
    *ret_before = before;
    before += PRIORITY_NICE;
    return setpriority(PRIO_PROCESS, 0, before > NICE_MIN ? before : NICE_MIN) >= 0;
}

void priority_raise(struct priority *ret)
{
    *ret = (struct priority){0};
    ret->raised = raise_nice(&ret->nice);
    /* Who is not root may be able to lower it, but the workers could not open the file again. */
    if (geteuid() == 0)
        (void)priority_lower_oom("/proc/self/oom_score_adj", ret->oom_score_adj);
}

/* The nice value counts only within an autogroup, and workers have groups of their own. */
void priority_raise_session(void)
{
    if (getsid(0) == getpid())
        (void)write_number("/proc/self/autogroup", PRIORITY_NICE);
}
