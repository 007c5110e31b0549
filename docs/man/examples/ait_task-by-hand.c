/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tasks inspected from outside. One must be cut short, and some are ended together. */
#include <errno.h>
#include <stdio.h>

#include <aiotools-sd/aiotools-sd.h>

static int clean_up_first(void *userdata)
{
    int r;

    (void)ait_task_set_name(ait_task_current(), "tidy");
    r = ait_sleep(AIT_USEC_INFINITY);
    if (r == -ECANCELED) {
        (void)ait_task_uncancel(ait_task_current()); /* from now on it may wait again */
        r = ait_sleep_until(ait_now(NULL) + 1000);
    }
    return r;
}

static int program(void *userdata)
{
    ait_task *tasks[3] = {NULL};
    int r = 0, result = 0;

    for (int i = 0; i < 3 && r >= 0; i++)
        r = ait_task_spawn(tasks + i, clean_up_first, NULL, NULL);
    if (r >= 0)
        r = ait_yield();
    if (r >= 0) {
        r = ait_cancel_and_wait_full(tasks[0], AIT_CANCEL_STRICT, &result);
        printf("%s %s\n", ait_task_name(tasks[0]),
               r == -EPROTO ? "went on to succeed" : "was cut short");
    }
    (void)ait_cancel_and_wait_many(tasks, 3);
    for (int i = 0; i < 3; i++) {
        if (ait_task_is_done(tasks[i]) > 0 && ait_task_result(tasks[i], &result) >= 0)
            printf("task %d: %d\n", i, result);
        ait_task_unref(tasks[i]);
    }
    return 0;
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
