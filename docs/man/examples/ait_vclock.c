/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <stdio.h>

static int sleep_an_hour(void *userdata)
{
    uint64_t begin = ait_now(NULL);
    int r = ait_sleep(3600 * AIT_USEC_PER_SEC);

    if (r >= 0)
        printf("%.0f s\n", (double)(ait_now(NULL) - begin) / 1e6);
    return r;
}

int main(void)
{
    AIT_CLEANUP(ait_clock_unrefp) ait_clock *clock = NULL;
    AIT_CLEANUP(ait_loop_unrefp) ait_loop *loop = NULL;
    int r;

    r = ait_loop_new(&loop);
    if (r >= 0)
        r = ait_vclock_new(&clock);
    if (r >= 0)
        r = ait_loop_set_clock(loop, clock);
    if (r >= 0)
        r = ait_task_spawn(NULL, sleep_an_hour, NULL, NULL);
    if (r >= 0)
        r = ait_loop_run(loop);
    return r < 0;
}
