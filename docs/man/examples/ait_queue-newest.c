/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Only the newest readings count. The producer waits until all have been processed. */
#include <errno.h>
#include <stdio.h>

#include <aiotools-sd/aiotools-sd.h>

static int readings[8];

static int reader(void *userdata)
{
    ait_queue *queue = userdata;
    void *item;
    int r;

    while (!ait_queue_is_closed(queue) || ait_queue_size(queue) > 0) {
        r = ait_queue_try_get(queue, &item);
        if (r == -EAGAIN)
            r = ait_queue_get(queue, &item);
        if (r <= 0)
            return r;
        printf("%d\n", *(int *)item);
        (void)ait_queue_complete_one(queue);
    }
    return 0;
}

static int program(void *userdata)
{
    AIT_CLEANUP(ait_queue_unrefp) ait_queue *queue = NULL;
    int r;

    r = ait_queue_new(&queue, 3, AIT_QUEUE_DROP_OLDEST, NULL);
    for (int i = 0; i < 8 && r >= 0; i++) {
        readings[i] = i;
        r = ait_queue_put(queue, readings + i);
    }
    if (r >= 0)
        r = ait_task_spawn(NULL, reader, queue, NULL);
    if (r >= 0)
        r = ait_queue_join(queue);
    if (r < 0)
        return r;
    printf("%u of 8 were dropped: there was room for %zu\n", (unsigned)ait_queue_n_dropped(queue),
           ait_queue_capacity(queue));
    return ait_queue_close(queue);
}

int main(void)
{
    return ait_run(program, NULL, 0) < 0;
}
