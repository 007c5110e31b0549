/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Timers of a loop: a 4-ary heap of 16-byte entries over generation slots.
 *
 * A struct timer is embedded in whatever waits (a task, a scope) and knows its slot; the slot knows
 * the timer and a generation. Disarming frees the slot and leaves the entry in the heap, where its
 * old generation gives it away: no position is tracked while entries move, which costs more than
 * the stale entries do. When half of the heap is stale it is compacted.
 *
 * Arming never allocates: whoever may arm a timer reserves one beforehand.
 */

#include "macros.h"

struct timer {
    uint32_t slot; /* 0: not armed */
};

struct timer_entry {
    uint64_t when;
    uint32_t slot;
    uint32_t generation;
};

struct timer_slot {
    struct timer *timer;
    void (*fire)(struct timer *timer);
    uint32_t generation;
    uint32_t next_free;
};

struct timers {
    struct timer_entry *heap; /* from [0] */
    struct timer_slot *slots; /* from [1] */
    uint32_t n, n_stale;
    uint32_t capacity; /* of heap; slots has half of it, and one */
    uint32_t first_free;
    uint32_t n_reserved;
};

void timers_done(struct timers *ts);
int timers_reserve_slow(struct timers *ts);

static inline int timers_reserve(struct timers *ts)
{
    if (unlikely(ts->n_reserved >= ts->capacity / 2)) {
        int r = timers_reserve_slow(ts);

        if (r < 0)
            return r;
    }
    ts->n_reserved++;
    return 0;
}

static inline void timers_unreserve(struct timers *ts)
{
    ts->n_reserved--;
}

static inline bool timer_armed(const struct timer *t)
{
    return t->slot != 0;
}

/* t must not be armed. fire is called with t disarmed. */
void timer_arm(struct timers *ts, struct timer *t, uint64_t when,
               void (*fire)(struct timer *timer));
/* Has no effect if t is not armed. */
void timer_disarm(struct timers *ts, struct timer *t);

/* When the next timer is due; UINT64_MAX if there is none. */
uint64_t timers_next(struct timers *ts);
/* Fires all timers that are due at now, in the order of their times. */
void timers_fire(struct timers *ts, uint64_t now);
