/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A callback is called when a task ends. */
#include <stdio.h>

#include <aiotools-sd/aiotools-sd.h>

static int work(void *userdata)
{
    int r = ait_sleep(1000);

    return r < 0 ? r : 7;
}

static void on_end(ait_future *future, int result, void *userdata)
{
    printf("it ended with %d\n", result);
}

static int program(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    AIT_CLEANUP(ait_slot_unrefp) ait_slot *slot = NULL;
    ait_future *end;
    int r, result = 0;

    r = ait_task_spawn(&task, work, NULL, NULL);
    if (r < 0)
        return r;
    end = ait_task_future(task);
    r = ait_future_add_callback(end, &slot, on_end, NULL);
    while (r >= 0 && !ait_future_is_done(end))
        r = ait_sleep(500); /* other work */
    return r < 0 ? r : ait_future_result(end, &result);
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
