/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "limit.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/*
 * A binary heap of deadlines and nothing that waits: what 100 000 sleeps cost before there is a
 * task.
 */

struct entry {
    uint64_t deadline; /* nanoseconds */
    uint64_t which;
};

static struct entry *heap;
static uint64_t n_heap;
static uint64_t *fired; /* a word for each timer, which its expiry touches */

static void push(struct entry e)
{
    uint64_t i = n_heap++;

    while (i > 0 && heap[(i - 1) / 2].deadline > e.deadline) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = e;
}

static struct entry pop(void)
{
    struct entry top = heap[0], last = heap[--n_heap];
    uint64_t i = 0, child;

    while ((child = 2 * i + 1) < n_heap) {
        if (child + 1 < n_heap && heap[child + 1].deadline < heap[child].deadline)
            child++;
        if (heap[child].deadline >= last.deadline)
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return top;
}

static void sleep_until(uint64_t ns)
{
    struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000u),
                          .tv_nsec = (long)(ns % 1000000000u)};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static void run_heap(void)
{
    while (n_heap > 0) {
        uint64_t now = bench_wall_ns();

        if (heap[0].deadline > now)
            sleep_until(heap[0].deadline);
        while (n_heap > 0 && heap[0].deadline <= now)
            fired[pop().which]++;
    }
}

int limit_timers(struct bench *b)
{
    uint32_t seed = 1;

    heap = calloc(b->n, sizeof(*heap));
    fired = calloc(b->n, sizeof(*fired));
    if (!heap || !fired)
        return -ENOMEM;
    for (unsigned s = 0; s < b->samples; s++) {
        bench_begin(b);
        for (uint64_t i = 0; i < b->n; i++)
            push((struct entry){bench_wall_ns() + 1000u * (1000 + bench_random(&seed) % 99000), i});
        run_heap();
        bench_end_as(b, b->n, s == 0 ? "cold_" : "");
    }
    return 0;
}
