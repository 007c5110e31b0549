/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_CLOCK_H
#define AIT_CLOCK_H

/*
 * The virtual clock: time that moves only when told, or, with autojump, to the next timer whenever the loop has nothing else to
 * do. With no timer left the loop blocks on its fds. It begins at 1 s. Counted.
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
/* On from the beginning. */
int ait_vclock_set_autojump(ait_clock *clock, bool on);

/* Before the first timer only: -EBUSY. NULL: the real clock. */
int ait_loop_set_clock(ait_loop *loop, ait_clock *clock);

AIT_END_DECLS

#endif
