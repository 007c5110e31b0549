/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>

static ait_mutex *mutex;
static ait_condition *changed;
static int n_idle;

static int take_idle(void *userdata)
{
    AIT_CLEANUP(ait_mutex_unlockp) ait_mutex *locked = NULL;
    int r;

    r = ait_mutex_lock(mutex);
    if (r < 0)
        return r;
    locked = mutex;
    while (r >= 0 && n_idle == 0)
        r = ait_condition_wait(changed, mutex);
    if (r >= 0)
        n_idle--;
    return r;
}

static int program(void *userdata)
{
    AIT_SCOPE(scope);
    int r;

    r = ait_mutex_new(&mutex);
    if (r >= 0)
        r = ait_condition_new(&changed);
    if (r >= 0)
        r = ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST);
    if (r >= 0)
        r = ait_scope_spawn(scope, NULL, take_idle, NULL, NULL);
    if (r >= 0)
        r = ait_yield();
    n_idle++;
    (void)ait_condition_notify(changed, 1);
    if (scope)
        r = ait_scope_exit(scope, r);
    changed = ait_condition_unref(changed);
    mutex = ait_mutex_unref(mutex);
    return r;
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
