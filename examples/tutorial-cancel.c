/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <errno.h>
#include <stdio.h>

static int clean_up(void)
{
    AIT_SCOPE(shield);
    int r;

    r = ait_scope_enter_after(&shield, AIT_SCOPE_SHIELD, AIT_USEC_PER_SEC);
    if (r < 0)
        return r;
    r = ait_sleep(10 * AIT_USEC_PER_MSEC);
    puts("Gamma has cleaned up");
    return ait_scope_exit(shield, r);
}

static int gamma_main(void *userdata)
{
    int r;

    (void)userdata;
    do {
        r = ait_sleep(10 * AIT_USEC_PER_MSEC);
    } while (r >= 0);
    printf("Gamma is told %s\n", r == -ECANCELED ? "to stop" : "something else");
    (void)clean_up();
    return r;
}

static int stop_it(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *gamma = NULL;
    int r, result;

    (void)userdata;
    r = ait_task_spawn(&gamma, gamma_main, NULL, NULL);
    if (r < 0)
        return r;
    r = ait_sleep(35 * AIT_USEC_PER_MSEC);
    if (r < 0)
        return r;
    r = ait_cancel_and_wait(gamma, &result);
    printf("it is gone, the wait returned %d\n", r);
    return r;
}

static int not_in_time(void *userdata)
{
    AIT_SCOPE(limit);
    int r;

    (void)userdata;
    r = ait_scope_enter_after(&limit, AIT_SCOPE_MOVE_ON, 20 * AIT_USEC_PER_MSEC);
    if (r < 0)
        return r;
    r = ait_scope_exit(limit, ait_sleep(AIT_USEC_INFINITY));
    if (ait_scope_is_expired(limit))
        puts("for ever took too long");
    return r;
}

static int both(void *userdata)
{
    int r = stop_it(NULL);

    (void)userdata;
    return r < 0 ? r : not_in_time(NULL);
}

int main(void)
{
    return ait_run(both, NULL, 0) < 0;
}
