/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One of two tasks does not arrive. The other gets an error, and the barrier is reset for the next
 * round. */
#include <errno.h>

#include <aiotools-sd/aiotools-sd.h>

static int wait_for_other(void *userdata)
{
    int r = ait_barrier_wait(userdata);

    return r == -ECONNABORTED ? 2 : r;
}

static int program(void *userdata)
{
    AIT_CLEANUP(ait_barrier_unrefp) ait_barrier *barrier = NULL;
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    int r, result = 0;

    r = ait_barrier_new(&barrier, 2);
    if (r >= 0)
        r = ait_task_spawn(&task, wait_for_other, barrier, NULL);
    if (r >= 0)
        r = ait_yield();
    if (r < 0)
        return r;
    (void)ait_barrier_abort(barrier);
    r = ait_task_wait(task, &result);
    if (r >= 0 && result == 2 && ait_barrier_is_broken(barrier))
        r = ait_barrier_reset(barrier);
    return r;
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
