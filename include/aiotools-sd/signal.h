/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_SIGNAL_H
#define AIT_SIGNAL_H

/*
 * Signals, awaited. ait_signals_open() blocks the signals in the calling thread (do it before making threads) and reads them from a
 * signalfd; none is lost between two calls of ait_signals_next(). Close puts the former mask back, except for what others that are open have in their sets.
 * A signal that waits then does what it does where nobody has taken it. Each of the same signal is told to one of those who want it.
 */

#include <signal.h>

#include <aiotools-sd/base.h>

/* sigset_t is POSIX, not C. */
#if defined(_GNU_SOURCE) || defined(__cplusplus) || (defined(_POSIX_C_SOURCE) && _POSIX_C_SOURCE >= 199309L)

#include <sys/signalfd.h>

AIT_BEGIN_DECLS

int ait_signals_open(ait_signals **ret, const sigset_t *set) AIT_MUST_CHECK;
/* Waits; returns the signal's number. ret_info may be NULL. */
int ait_signals_next(ait_signals *signals, struct signalfd_siginfo *ret_info);
ait_signals *ait_signals_close(ait_signals *signals);
AIT_DEFINE_CLEANUP_(ait_signals, ait_signals_close)

AIT_END_DECLS

#endif

#endif
