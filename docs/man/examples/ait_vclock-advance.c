/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Time that moves only when the test says so. */
#include <stdio.h>

#include <aiotools-sd/aiotools-sd.h>

static ait_clock *virtual;

static int ring(void *userdata)
{
    int r = ait_sleep(3600 * AIT_USEC_PER_SEC);

    if (r >= 0)
        puts("it rings");
    return r;
}

static int test(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *alarm = NULL;
    int r;

    r = ait_task_spawn(&alarm, ring, NULL, NULL);
    if (r >= 0)
        r = ait_yield();
    if (r >= 0)
        r = ait_vclock_advance(virtual, 3600 * AIT_USEC_PER_SEC);
    return r < 0 ? r : ait_task_wait(alarm, NULL);
}

int main(void)
{
    AIT_CLEANUP(ait_loop_unrefp) ait_loop *loop = NULL;
    int r;

    r = ait_loop_new(&loop);
    if (r >= 0)
        r = ait_vclock_new(&virtual);
    if (r >= 0)
        r = ait_vclock_set_autojump(virtual, false);
    if (r >= 0)
        r = ait_loop_set_clock(loop, virtual);
    if (r >= 0)
        r = ait_task_spawn(NULL, test, NULL, NULL);
    if (r >= 0)
        r = ait_loop_run(loop);
    loop = ait_loop_unref(loop);
    virtual = ait_clock_unref(virtual);
    return r < 0;
}
