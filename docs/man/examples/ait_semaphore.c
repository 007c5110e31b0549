/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>

static ait_semaphore *connections;

static int use_one(void *userdata)
{
    AIT_CLEANUP(ait_semaphore_releasep) ait_semaphore *held = NULL;
    int r;

    r = ait_semaphore_acquire(connections);
    if (r < 0)
        return r;
    held = connections;
    return ait_sleep(1000);
}

static int program(void *userdata)
{
    AIT_SCOPE(scope);
    int r;

    r = ait_semaphore_new(&connections, 4, 4);
    if (r < 0)
        return r;
    r = ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST);
    for (int i = 0; i < 20 && r >= 0; i++)
        r = ait_scope_spawn(scope, NULL, use_one, NULL, NULL);
    r = ait_scope_exit(scope, r);
    connections = ait_semaphore_unref(connections);
    return r;
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
