/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>

static ait_event *configured;

static int worker(void *userdata)
{
    int r = ait_event_wait(configured);

    return r < 0 ? r : ait_sleep(1000);
}

static int program(void *userdata)
{
    AIT_SCOPE(scope);
    int r;

    r = ait_event_new(&configured);
    if (r < 0)
        return r;
    r = ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST);
    for (int i = 0; i < 10 && r >= 0; i++)
        r = ait_scope_spawn(scope, NULL, worker, NULL, NULL);
    (void)ait_event_set(configured);
    r = ait_scope_exit(scope, r);
    configured = ait_event_unref(configured);
    return r;
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
