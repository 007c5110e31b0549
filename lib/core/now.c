/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <time.h>

#include "now.h"

uint64_t clock_now_real(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * AIT_USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

void clock_jump(struct clock_state *c, uint64_t when)
{
    if (when > c->virtual->now)
        c->virtual->now = when;
}
