/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

/*
 * What time it is for a loop: CLOCK_MONOTONIC, or a virtual clock's. The virtual one only holds a number; the loop's drivers ask
 * clock_jump() before they would sleep.
 */

#include <aiotools-sd/clock.h>

#include "macros.h"

struct ait_clock {
    uint32_t refs;
    bool autojump;
    uint64_t now;
    struct ait_loop *loop; /* that it drives, NULL where none */
};

struct clock_state {
    struct ait_clock *virtual; /* NULL: the real one */
    uint32_t n_held; /* by work outside the loop that is certain to come back: an idle loop waits for it */
};

uint64_t clock_now_real(void);

static inline uint64_t clock_now(const struct clock_state *c)
{
    return unlikely(c->virtual != NULL) ? c->virtual->now : clock_now_real();
}

/* Whether the time moves to the next timer by itself when the loop is idle. */
static inline bool clock_jumps(const struct clock_state *c)
{
    return unlikely(c->virtual != NULL) && c->virtual->autojump && c->n_held == 0;
}

/* Moves a virtual clock to when, never back. */
void clock_jump(struct clock_state *c, uint64_t when);

#endif
