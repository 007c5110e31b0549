/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <stdio.h>

static int run_for_a_second(void *userdata)
{
    AIT_CHILD(child); /* ended at the end of the block, however it is left */
    AIT_SCOPE(limit);
    int r;

    r = ait_spawn(&child, AIT_ARGV("sleep", "60"), NULL);
    if (r < 0)
        return r;
    r = ait_scope_enter_after(&limit, AIT_SCOPE_MOVE_ON, AIT_USEC_PER_SEC);
    if (r < 0)
        return r;
    r = ait_scope_exit(limit, ait_child_wait(child, NULL));
    if (r >= 0 && ait_scope_is_expired(limit)) {
        puts("it takes too long");
        r = ait_child_terminate(child, SIGTERM, 5 * AIT_USEC_PER_SEC);
    }
    return r;
}

int main(void)
{
    return ait_run(run_for_a_second, NULL, 0) < 0;
}
