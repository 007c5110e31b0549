/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Background jobs that can be started from anywhere. Each can be cancelled. */
#include <stdio.h>

#include <aiotools-sd/aiotools-sd.h>

static int job(void *userdata)
{
    printf("one of %zu\n", ait_taskset_n_tasks(ait_taskset_current()));
    return ait_sleep(AIT_USEC_PER_SEC);
}

static int cancel(ait_task *task, void *userdata)
{
    (void)ait_task_cancel(task);
    return 0;
}

static int program(void *userdata)
{
    AIT_CLEANUP(ait_taskset_unrefp) ait_taskset *jobs = NULL;
    int r;

    r = ait_taskset_new(&jobs, NULL, AIT_SCOPE_SUPERVISOR);
    for (int i = 0; i < 3 && r >= 0; i++)
        r = ait_taskset_spawn(jobs, NULL, job, NULL, NULL);
    if (r >= 0)
        r = ait_yield();
    if (r >= 0)
        r = ait_taskset_foreach(jobs, cancel, NULL); /* the set remains usable */
    return r < 0 ? r : ait_taskset_wait(jobs);
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
