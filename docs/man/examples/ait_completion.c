/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include <aiotools-sd/aiotools-sd.h>

static int fetch(void *userdata)
{
    int ms = *(int *)userdata, r;

    r = ait_sleep((uint64_t)ms * AIT_USEC_PER_MSEC);
    return r < 0 ? r : ms;
}

static int program(void *userdata)
{
    int ms[] = {30, 10, 20}, result, r;
    const ait_call calls[] = {{fetch, ms, NULL}, {fetch, ms + 1, NULL}, {fetch, ms + 2, NULL}};
    size_t index;
    AIT_COMPLETION(c);

    r = ait_completion_open(&c, calls, 3, AIT_GATHER_OPTIONS(.limit = 8));
    while (r >= 0 && (r = ait_completion_next(c, &index, &result)) > 0) {
        printf("call %zu returned %d\n", index, result);
        if (result == 20)
            return 0; /* the remaining call is cancelled */
    }
    return r;
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
