/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Some contexts suffice: those that could not be entered are named. Leaving takes at most a second.
 */
#include <errno.h>
#include <stdio.h>

#include <aiotools-sd/aiotools-sd.h>

static int enter(void *userdata, void **ret_value)
{
    return userdata ? 0 : -ECONNREFUSED;
}

static int program(void *userdata)
{
    const ait_ctx up = {enter, NULL, "up"}, down = {enter, NULL, NULL};
    AIT_CTXGROUP(group);
    int r;

    r = ait_ctxgroup_open(&group, AIT_CTXGROUP_PARTIAL);
    if (r >= 0)
        r = ait_ctxgroup_set_grace(group, AIT_USEC_PER_SEC);
    if (r >= 0)
        r = ait_ctxgroup_add(group, &up);
    if (r >= 0)
        r = ait_ctxgroup_add(group, &down);
    if (r >= 0)
        r = ait_ctxgroup_enter(group);
    for (size_t i = 0; r >= 0 && i < ait_ctxgroup_size(group); i++)
        printf("%zu: %s\n", i, ait_ctxgroup_enter_result(group, i) < 0 ? "refused" : "entered");
    r = ait_ctxgroup_exit(group, r < 0 ? r : 0);
    for (size_t i = 0; r >= 0 && i < ait_ctxgroup_size(group); i++)
        if (ait_ctxgroup_exit_result(group, i) == -ETIME)
            printf("%zu: not in time\n", i);
    return r;
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
