/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <errno.h>
#include <stdio.h>

static int enter(void *userdata, void **ret_value)
{
    printf("open %s\n", (const char *)userdata);
    *ret_value = userdata;
    return ait_sleep(1000);
}

static int leave(void *userdata, int r)
{
    printf("close %s: %d\n", (const char *)userdata, r < 0);
    return ait_sleep(1000); /* it may wait, even if its task is cancelled */
}

static int steps(void *userdata)
{
    AIT_EXITSTACK(stack);
    int r;

    r = ait_exitstack_open(&stack);
    for (char **name = userdata; r >= 0 && *name; name++) {
        const ait_ctx ctx = {enter, leave, *name};

        r = ait_exitstack_enter(stack, &ctx, NULL);
    }
    if (r >= 0)
        r = -EIO; /* the next step fails */
    return ait_exitstack_exit(stack, r);
}

int main(void)
{
    char *names[] = {"database", "journal", "socket", NULL};

    return ait_run(steps, names, 0) != -EIO;
}
