/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <stdio.h>

static int count(void *userdata)
{
    unsigned *n = userdata;
    int r;

    while ((r = ait_sleep(10 * AIT_USEC_PER_MSEC)) >= 0)
        ++*n;
    return r;
}

static int watch(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    unsigned n = 0;
    int r, result;

    r = ait_task_spawn(&task, count, &n, AIT_TASK_OPTIONS(.name = "counter"));
    if (r < 0)
        return r;
    r = ait_sleep(55 * AIT_USEC_PER_MSEC);
    if (r < 0)
        return r; /* we are cancelled, and so is the counter; ait_run() waits for it */
    r = ait_cancel_and_wait(task, &result);
    printf("%s counted to %u\n", ait_task_name(task), n);
    return r;
}

int main(void)
{
    return ait_run(watch, NULL, 0) < 0;
}
