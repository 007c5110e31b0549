/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "now.h"
#include "scheduler.h"

/*
 * A time of 0 means "at once" to sd-event and "never" to many callers, so a virtual clock does not
 * start at 0.
 */
#define VIRTUAL_START AIT_USEC_PER_SEC

AIT_PUBLIC int ait_vclock_new(ait_clock **ret)
{
    struct ait_clock *c;

    if (!ret)
        return -EINVAL;
    c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->refs = 1;
    c->autojump = true;
    c->now = VIRTUAL_START;
    *ret = c;
    return 0;
}

AIT_PUBLIC ait_clock *ait_clock_ref(ait_clock *clock)
{
    if (clock)
        clock->refs++;
    return clock;
}

AIT_PUBLIC ait_clock *ait_clock_unref(ait_clock *clock)
{
    if (clock && --clock->refs == 0)
        free(clock);
    return NULL;
}

AIT_PUBLIC int ait_vclock_advance(ait_clock *clock, uint64_t usec)
{
    if (!clock || usec > UINT64_MAX - 1 - clock->now)
        return -EINVAL;
    clock->now += usec;
    if (clock->loop && clock->loop->kick)
        loop_kick(clock->loop);
    return 0;
}

AIT_PUBLIC int ait_vclock_set_autojump(ait_clock *clock, bool on)
{
    if (!clock)
        return -EINVAL;
    clock->autojump = on;
    if (clock->loop && clock->loop->kick)
        loop_kick(clock->loop);
    return 0;
}

AIT_PUBLIC int ait_loop_set_clock(ait_loop *loop, ait_clock *clock)
{
    if (!loop || (clock && clock->loop && clock->loop != loop))
        return -EINVAL;
    LOOP_CHECK(loop);
    if (timers_next(&loop->timers) != UINT64_MAX)
        return -EBUSY;
    if (clock) {
        ait_clock_ref(clock);
        clock->loop = loop;
    }
    if (loop->clock.virtual) {
        if (loop->clock.virtual != clock)
            loop->clock.virtual->loop = NULL;
        ait_clock_unref(loop->clock.virtual);
    }
    loop->clock.virtual = clock;
    return 0;
}

AIT_PUBLIC uint64_t ait_now(const ait_loop *loop)
{
    if (!loop)
        loop = this_loop;
    return loop ? loop_now(loop) : 0;
}
