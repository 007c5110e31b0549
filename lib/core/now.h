/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The time of a loop: CLOCK_MONOTONIC, or a virtual clock's. A virtual clock only holds a number;
 * the loop's drivers call clock_jump() before they would sleep.
 */

#include "state.h"

uint64_t clock_now_real(void);

static inline uint64_t clock_now(const struct clock_state *c)
{
    return unlikely(c->virtual != NULL) ? c->virtual->now : clock_now_real();
}

/* Whether the clock moves to the next timer by itself when the loop is idle. */
static inline bool clock_jumps(const struct clock_state *c)
{
    return unlikely(c->virtual != NULL) && c->virtual->autojump && c->n_held == 0;
}

/* Moves a virtual clock forward to when. */
void clock_jump(struct clock_state *c, uint64_t when);

static always_inline uint64_t loop_now(const struct ait_loop *loop)
{
    return clock_now(&loop->clock);
}

static inline uint64_t usec_add(uint64_t now, uint64_t usec)
{
    return usec >= AIT_USEC_INFINITY - now ? AIT_USEC_INFINITY : now + usec;
}
