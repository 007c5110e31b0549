/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <aiotools-sd/aiotools-sd.h>

static int consumer(void *userdata)
{
    ait_queue *queue = userdata;
    void *item;
    int r;

    while ((r = ait_queue_get(queue, &item)) > 0) {
        printf("%d\n", *(int *)item);
        free(item);
    }
    return r;
}

static int produce(ait_queue *queue, int n)
{
    int *item = malloc(sizeof(*item)), r;

    if (!item)
        return -ENOMEM;
    *item = n;
    r = ait_queue_put(queue, item);
    if (r < 0)
        free(item);
    return r;
}

static int program(void *userdata)
{
    AIT_CLEANUP(ait_queue_unrefp) ait_queue *queue = NULL;
    AIT_SCOPE(scope);
    int r;

    r = ait_queue_new(&queue, 4, AIT_QUEUE_BLOCK, free);
    if (r >= 0)
        r = ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST);
    if (r < 0)
        return r;
    r = ait_scope_spawn(scope, NULL, consumer, queue, NULL);
    for (int i = 0; i < 10 && r >= 0; i++)
        r = produce(queue, i);
    (void)ait_queue_close(queue);
    return ait_scope_exit(scope, r);
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
