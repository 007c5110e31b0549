/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <errno.h>
#include <stdio.h>

static int worker(void *userdata)
{
    int r = ait_task_started(0);

    if (r >= 0)
        r = ait_sleep(AIT_USEC_INFINITY);
    return r == -ECANCELED ? 0 : r; /* SIGTERM */
}

static int supervise(void *userdata)
{
    AIT_CHILD(child);
    int r;

    r = ait_fork_start(&child, worker, NULL, NULL);
    if (r < 0)
        return r;
    printf("ready: %d\n", (int)ait_child_pid(child));
    r = ait_child_terminate(child, SIGTERM, AIT_USEC_PER_SEC);
    return r < 0 ? r : ait_child_exit_code(child);
}

int main(void)
{
    return ait_run(supervise, NULL, 0) != 0;
}
