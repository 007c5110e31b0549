/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Producers, consumers, and a queue between them that slows down the faster side:
 * producer-consumer [ITEMS]. No task polls, and no item is lost: the queue is closed when all
 * producers have ended, and the consumers end when it is empty. If one task fails, all others end.
 */
#include <aiotools-sd/aiotools-sd.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRODUCERS 2
#define CONSUMERS 3
#define CAPACITY  4

struct item {
    unsigned long n;
};

struct work {
    ait_queue *queue;
    unsigned long items; /* of each producer */
    unsigned long consumed, sum;
};

static int produce(void *userdata)
{
    struct work *w = userdata;

    for (unsigned long i = 1; i <= w->items; i++) {
        struct item *item = malloc(sizeof(*item));

        if (!item)
            return -ENOMEM;
        item->n = i;
        int r = ait_queue_put(w->queue, item); /* waits while the queue is full */
        if (r < 0) {
            free(item); /* still ours, since put failed */
            return r;
        }
    }
    return 0;
}

static int consume(void *userdata)
{
    struct work *w = userdata;
    void *item;
    int r;

    while ((r = ait_queue_get(w->queue, &item)) > 0) {
        w->sum += ((struct item *)item)->n;
        w->consumed++;
        free(item);
        r = ait_yield(); /* stands for slow work */
        if (r < 0)
            break;
    }
    return r;
}

static int produce_all(struct work *w)
{
    AIT_SCOPE(producers);

    int r = ait_scope_enter(&producers, AIT_SCOPE_FAIL_FAST);
    for (int i = 0; i < PRODUCERS && r >= 0; i++)
        r = ait_scope_spawn(producers, NULL, produce, w, AIT_TASK_OPTIONS(.name = "producer"));
    return ait_scope_exit(producers, r); /* all producers have put their last item */
}

static int run(void *userdata)
{
    AIT_CLEANUP(ait_queue_unrefp) ait_queue *queue = NULL;
    struct work *w = userdata;
    AIT_SCOPE(consumers);

    int r = ait_queue_new(&queue, CAPACITY, AIT_QUEUE_BLOCK, free);
    if (r < 0)
        return r;
    w->queue = queue;
    r = ait_scope_enter(&consumers, AIT_SCOPE_FAIL_FAST);
    for (int i = 0; i < CONSUMERS && r >= 0; i++)
        r = ait_scope_spawn(consumers, NULL, consume, w, AIT_TASK_OPTIONS(.name = "consumer"));
    if (r >= 0)
        r = produce_all(w);
    (void)ait_queue_close(queue);
    return ait_scope_exit(consumers, r);
}

int main(int argc, char **argv)
{
    struct work w = {.items = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000};

    int r = ait_run(run, &w, 0);
    if (r < 0)
        fprintf(stderr, "producer-consumer: %s\n", strerror(-r));
    else
        printf("%lu items, sum %lu\n", w.consumed, w.sum);
    return r < 0;
}
