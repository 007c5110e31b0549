/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <stdio.h>

static int enter(void *userdata, void **ret_value)
{
    *ret_value = userdata;
    return ait_sleep(10000);
}

static int leave(void *userdata, int r)
{
    return ait_sleep(10000);
}

static int use_all(void *userdata)
{
    char *names[] = {"one", "two", "three"};
    AIT_CTXGROUP(group);
    int r;

    r = ait_ctxgroup_open(&group, 0);
    for (int i = 0; i < 3 && r >= 0; i++) {
        const ait_ctx ctx = {enter, leave, names[i]};

        r = ait_ctxgroup_add(group, &ctx);
    }
    if (r >= 0)
        r = ait_ctxgroup_enter(group);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ait_ctxgroup_size(group); i++)
        printf("%s\n", (const char *)ait_ctxgroup_value(group, i));
    return ait_ctxgroup_exit(group, 0);
}

int main(void)
{
    return ait_run(use_all, NULL, 0) < 0;
}
