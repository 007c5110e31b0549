/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_CLOCK_H
#define AIT_CLOCK_H

/*
 * The virtual clock: its time moves only when it is advanced. With autojump it also moves to the
 * next timer whenever the loop has nothing else to do. If no timer is left, the loop blocks on its
 * fds. It begins at 1 s. Clocks are reference counted.
 */

#include <stdbool.h>

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

int ait_vclock_new(ait_clock **ret) AIT_MUST_CHECK;
ait_clock *ait_clock_ref(ait_clock *clock);
ait_clock *ait_clock_unref(ait_clock *clock);
AIT_DEFINE_CLEANUP_(ait_clock, ait_clock_unref)

/* Moves the clock forward. */
int ait_vclock_advance(ait_clock *clock, uint64_t usec);
/* Autojump is on from the beginning. */
int ait_vclock_set_autojump(ait_clock *clock, bool on);

/* Must be called before the first timer is set (-EBUSY). NULL: the real clock. */
int ait_loop_set_clock(ait_loop *loop, ait_clock *clock);

AIT_END_DECLS

#endif
