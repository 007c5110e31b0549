/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <stdio.h>

struct worker {
    const char *name;
    unsigned ms;
};

static int work(void *userdata)
{
    const struct worker *worker = userdata;
    int r;

    printf("%s begins\n", worker->name);
    r = ait_sleep(worker->ms * AIT_USEC_PER_MSEC);
    if (r < 0)
        return r;
    printf("%s ends\n", worker->name);
    return 0;
}

static int three(void *userdata)
{
    static struct worker workers[] = {{"Alpha", 30}, {"Beta", 10}, {"Gamma", 20}};
    AIT_SCOPE(scope);
    int r;

    (void)userdata;
    r = ait_scope_enter(&scope, 0);
    if (r < 0)
        return r;
    for (size_t i = 0; i < 3 && r >= 0; i++)
        r = ait_scope_spawn(scope, NULL, work, &workers[i], NULL);
    puts("all are spawned");
    r = ait_scope_exit(scope, r);
    puts("all have ended");
    return r;
}

int main(void)
{
    return ait_run(three, NULL, 0) < 0;
}
