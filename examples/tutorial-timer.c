/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <stdio.h>

static int tick(const ait_tick *tick, void *userdata)
{
    (void)userdata;
    printf("tick %u\n", (unsigned)tick->n);
    return 0;
}

static int an_hour(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *timer = NULL;
    uint64_t begin = ait_now(NULL);
    int r;

    (void)userdata;
    r = ait_interval_start(&timer, NULL, 1200 * AIT_USEC_PER_SEC, AIT_INTERVAL_SKIP, tick, NULL);
    if (r < 0)
        return r;
    r = ait_sleep(3500 * AIT_USEC_PER_SEC);
    if (r >= 0)
        r = ait_cancel_and_wait(timer, NULL);
    printf("%u s have gone by\n", (unsigned)((ait_now(NULL) - begin) / AIT_USEC_PER_SEC));
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
        r = ait_task_spawn(NULL, an_hour, NULL, NULL);
    return r < 0 || ait_loop_run(loop) < 0;
}
