/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <errno.h>
#include <stdio.h>

static int work(void *userdata)
{
    const uint64_t *usec = userdata;

    return ait_sleep(*usec);
}

static int both(void *userdata)
{
    static uint64_t quick = 1 * AIT_USEC_PER_SEC, slow = 3 * AIT_USEC_PER_SEC;
    AIT_SCOPE(s);
    int r;

    r = ait_scope_enter_after(&s, AIT_SCOPE_FAIL_FAST, 2 * AIT_USEC_PER_SEC);
    if (r < 0)
        return r;
    r = ait_scope_spawn(s, NULL, work, &quick, NULL);
    if (r >= 0)
        r = ait_scope_spawn(s, NULL, work, &slow, NULL);
    r = ait_scope_exit(s, r); /* waits for both */
    if (r == -ETIME)
        puts("not in time");
    return r;
}

int main(void)
{
    return ait_run(both, NULL, 0) != -ETIME;
}
