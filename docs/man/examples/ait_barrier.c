/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include <aiotools-sd/aiotools-sd.h>

#define PARTIES 3

static ait_barrier *barrier;

static int party(void *userdata)
{
    int r = 0;

    for (int round = 0; round < 3 && r >= 0; round++) {
        r = ait_barrier_wait(barrier);
        if (r > 0)
            printf("round %d is over\n", round);
    }
    return r;
}

static int program(void *userdata)
{
    AIT_SCOPE(scope);
    int r;

    r = ait_barrier_new(&barrier, PARTIES);
    if (r < 0)
        return r;
    r = ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST);
    for (int i = 0; i < PARTIES && r >= 0; i++)
        r = ait_scope_spawn(scope, NULL, party, NULL, NULL);
    r = ait_scope_exit(scope, r);
    barrier = ait_barrier_unref(barrier);
    return r;
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
