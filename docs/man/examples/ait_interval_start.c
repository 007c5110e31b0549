/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>

#include <aiotools-sd/aiotools-sd.h>

static int report(const ait_tick *tick, void *userdata)
{
    printf("tick %" PRIu64 ", %" PRIu64 " missed\n", tick->n, tick->missed);
    return 0;
}

static int program(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *timer = NULL;
    int r;

    r = ait_interval_start(&timer, NULL, 10 * AIT_USEC_PER_MSEC, AIT_INTERVAL_SKIP, report, NULL);
    if (r >= 0)
        r = ait_sleep(35 * AIT_USEC_PER_MSEC);
    if (timer)
        (void)ait_cancel_and_wait(timer, NULL);
    return r;
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
