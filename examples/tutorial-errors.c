/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int alpha(void *userdata)
{
    int r = ait_sleep(30 * AIT_USEC_PER_MSEC);

    (void)userdata;
    puts(r == -ECANCELED ? "Alpha is cancelled" : "Alpha ends");
    return r;
}

static int beta(void *userdata)
{
    int r = ait_sleep(10 * AIT_USEC_PER_MSEC);

    (void)userdata;
    return r < 0 ? r : -EHOSTUNREACH;
}

static int together(unsigned flags)
{
    const ait_error_info *error;
    AIT_SCOPE(scope);
    int r;

    r = ait_scope_enter(&scope, flags);
    if (r < 0)
        return r;
    r = ait_scope_spawn(scope, NULL, alpha, NULL, AIT_TASK_OPTIONS(.name = "Alpha"));
    if (r >= 0)
        r = ait_scope_spawn(scope, NULL, beta, NULL, AIT_TASK_OPTIONS(.name = "Beta"));
    r = ait_scope_exit(scope, r);
    printf("the scope returns %s\n", r < 0 ? strerror(-r) : "success");
    for (size_t i = 0; (error = ait_scope_error(scope, i)); i++)
        printf("%s failed: %s\n", error->name, strerror(-error->error));
    return 0;
}

static int both_ways(void *userdata)
{
    int r = together(AIT_SCOPE_SUPERVISOR);

    (void)userdata;
    return r < 0 ? r : together(AIT_SCOPE_FAIL_FAST);
}

int main(void)
{
    return ait_run(both_ways, NULL, 0) < 0;
}
