/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "timer.h"

#define ARITY 4
#define GROUP 16 /* due timers whose owners are prefetched together */

void timers_done(struct timers *ts)
{
    free(ts->heap);
    free(ts->slots);
    *ts = (struct timers){};
}

int timers_reserve_slow(struct timers *ts)
{
    uint32_t capacity = ts->capacity ? ts->capacity * 2 : 64, old = ts->capacity / 2;
    struct timer_entry *heap;
    struct timer_slot *slots;

    if (capacity >= UINT32_MAX / 2)
        return -ENOMEM;
    heap = realloc(ts->heap, capacity * sizeof(*heap));
    if (!heap)
        return -ENOMEM;
    ts->heap = heap;
    slots = realloc(ts->slots, (capacity / 2 + 1) * sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    ts->slots = slots;
    for (uint32_t i = capacity / 2; i > old; i--) {
        slots[i] = (struct timer_slot){.next_free = ts->first_free};
        ts->first_free = i;
    }
    ts->capacity = capacity;
    return 0;
}

static bool stale(const struct timers *ts, const struct timer_entry *e)
{
    return ts->slots[e->slot].generation != e->generation;
}

static void sift_up(struct timers *ts, uint32_t i, struct timer_entry e)
{
    while (i > 0) {
        uint32_t parent = (i - 1) / ARITY;

        if (ts->heap[parent].when <= e.when)
            break;
        ts->heap[i] = ts->heap[parent];
        i = parent;
    }
    ts->heap[i] = e;
}

static void sift_down(struct timers *ts, uint32_t i, struct timer_entry e)
{
    for (;;) {
        uint32_t first = i * ARITY + 1, least = first, last = first + ARITY;

        if (first >= ts->n)
            break;
        if (last > ts->n)
            last = ts->n;
        for (uint32_t k = first + 1; k < last; k++)
            if (ts->heap[k].when < ts->heap[least].when)
                least = k;
        if (ts->heap[least].when >= e.when)
            break;
        ts->heap[i] = ts->heap[least];
        i = least;
    }
    ts->heap[i] = e;
}

static void compact(struct timers *ts)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < ts->n; i++)
        if (!stale(ts, ts->heap + i))
            ts->heap[n++] = ts->heap[i];
    ts->n = n;
    ts->n_stale = 0;
    for (uint32_t i = n > 1 ? (n - 2) / ARITY + 1 : 0; i-- > 0;)
        sift_down(ts, i, ts->heap[i]);
}

void timer_arm(struct timers *ts, struct timer *t, uint64_t when, void (*fire)(struct timer *timer))
{
    uint32_t i = ts->first_free;
    struct timer_slot *slot = ts->slots + i;

    assert(i != 0 && t->slot == 0);
    ts->first_free = slot->next_free;
    slot->timer = t;
    slot->fire = fire;
    t->slot = i;
    if (unlikely(ts->n == ts->capacity))
        compact(ts);
    sift_up(ts, ts->n++, (struct timer_entry){when, i, slot->generation});
}

static void slot_release(struct timers *ts, uint32_t i)
{
    struct timer_slot *slot = ts->slots + i;

    slot->generation++;
    slot->timer->slot = 0;
    slot->next_free = ts->first_free;
    ts->first_free = i;
}

void timer_disarm(struct timers *ts, struct timer *t)
{
    uint32_t i = t->slot;

    if (i == 0)
        return;
    slot_release(ts, i);
    /* A timeout that was set last and not needed, the common case, leaves no trace. */
    if (ts->n > 0 && ts->heap[ts->n - 1].slot == i && stale(ts, ts->heap + ts->n - 1)) {
        ts->n--;
        return;
    }
    if (++ts->n_stale > ts->n / 2 && ts->n > 64)
        compact(ts);
}

static void pop(struct timers *ts)
{
    struct timer_entry e = ts->heap[--ts->n];

    if (ts->n > 0)
        sift_down(ts, 0, e);
}

uint64_t timers_next(struct timers *ts)
{
    while (ts->n > 0 && unlikely(stale(ts, ts->heap))) {
        pop(ts);
        ts->n_stale--;
    }
    return ts->n > 0 ? ts->heap[0].when : UINT64_MAX;
}

/*
 * Takes up to GROUP due entries off the heap, so that the cache misses of their slots, and then of
 * their owners, overlap.
 */
static unsigned take_due(struct timers *ts, uint64_t now, struct timer_entry *due)
{
    unsigned n = 0;

    while (n < GROUP && ts->n > 0 && ts->heap[0].when <= now) {
        due[n] = ts->heap[0];
        __builtin_prefetch(ts->slots + due[n].slot);
        n++;
        pop(ts);
    }
    return n;
}

static unsigned drop_stale(struct timers *ts, struct timer_entry *due, unsigned n)
{
    unsigned live = 0;

    for (unsigned i = 0; i < n; i++) {
        const char *timer = (const char *)ts->slots[due[i].slot].timer;

        if (stale(ts, due + i)) {
            if (ts->n_stale > 0)
                ts->n_stale--;
            continue;
        }
        __builtin_prefetch(timer, 1);
        __builtin_prefetch(timer - 64, 1); /* a task's state lies before its timer */
        due[live++] = due[i];
    }
    return live;
}

void timers_fire(struct timers *ts, uint64_t now)
{
    struct timer_entry due[GROUP];
    unsigned n;

    while ((n = take_due(ts, now, due)) > 0) {
        n = drop_stale(ts, due, n);
        for (unsigned i = 0; i < n; i++) {
            struct timer_slot *slot = ts->slots + due[i].slot;
            struct timer *t = slot->timer;

            /*
             * An earlier timer of the group may have disarmed it. It was then counted as stale,
             * although it had left the heap.
             */
            if (stale(ts, due + i)) {
                if (ts->n_stale > 0)
                    ts->n_stale--;
                continue;
            }
            slot_release(ts, due[i].slot);
            slot->fire(t);
        }
    }
}
