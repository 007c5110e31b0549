/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection made of parts. They are released if one of them fails, and kept if all succeed. */
#include <stdlib.h>

#include <aiotools-sd/aiotools-sd.h>

static int say_goodbye(void *userdata)
{
    return ait_sleep(1000);
}

static int forgive(void *userdata, int r)
{
    return r < 0 ? AIT_CTX_HANDLED : 0;
}

static int part(ait_exitstack *stack)
{
    void *buffer = malloc(100);
    int r;

    r = ait_exitstack_push_destroy(stack, free, buffer);
    if (r < 0) {
        free(buffer);
        return r;
    }
    r = ait_exitstack_push(stack, forgive, NULL);
    return r < 0 ? r : ait_defer_push(stack, say_goodbye, NULL);
}

static int make(ait_exitstack **ret)
{
    AIT_EXITSTACK(stack);
    int r;

    r = ait_exitstack_open(&stack);
    if (r >= 0)
        r = ait_exitstack_set_grace(stack, AIT_USEC_PER_SEC);
    if (r >= 0)
        r = part(stack);
    return r < 0 ? r : ait_exitstack_pop_all(stack, ret);
}

static int body(void *value, void *userdata)
{
    AIT_EXITSTACK(connection);
    int r = make(&connection);

    return r < 0 ? r : ait_exitstack_exit(connection, 0);
}

static int program(void *userdata)
{
    const ait_ctx ctx = {NULL, forgive, NULL};

    return ait_ctx_run(&ctx, body, NULL);
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
