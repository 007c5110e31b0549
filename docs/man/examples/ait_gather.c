/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include <aiotools-sd/aiotools-sd.h>

/* Work that takes this many milliseconds. */
static int fetch(void *userdata)
{
    int ms = *(int *)userdata, r;

    r = ait_sleep((uint64_t)ms * AIT_USEC_PER_MSEC);
    return r < 0 ? r : ms;
}

static int program(void *userdata)
{
    int ms[] = {30, 10, 20}, results[3], r;
    const ait_call calls[] = {{fetch, ms, NULL}, {fetch, ms + 1, NULL}, {fetch, ms + 2, NULL}};
    size_t winner;

    r = ait_gather(calls, 3, AIT_GATHER_OPTIONS(.limit = 2), results);
    if (r < 0)
        return r;
    printf("%d %d %d\n", results[0], results[1], results[2]);

    r = ait_race(calls, 3, NULL, &winner, NULL);
    if (r >= 0)
        printf("%zu was first\n", winner);
    return r;
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
