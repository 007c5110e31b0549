/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <systemd/sd-event.h>

static int work(void *userdata)
{
    int r = ait_sleep(100 * AIT_USEC_PER_MSEC);

    (void)sd_event_exit(userdata, 0);
    return r;
}

int main(void)
{
    AIT_CLEANUP(ait_loop_unrefp) ait_loop *loop = NULL;
    sd_event *event = NULL;
    int r;

    r = sd_event_default(&event);
    if (r >= 0)
        r = ait_loop_attach(&loop, event);
    if (r >= 0)
        r = ait_task_spawn(NULL, work, event, AIT_TASK_OPTIONS(.name = "work"));
    if (r >= 0)
        r = sd_event_loop(event);
    loop = ait_loop_unref(loop);
    sd_event_unref(event);
    return r < 0;
}
