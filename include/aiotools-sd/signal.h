/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_SIGNAL_H
#define AIT_SIGNAL_H

/*
 * Signals, awaited.
 *
 * ait_signals_open() blocks the signals in the calling thread and reads them from a signalfd. Call
 * it before making threads. No signal is lost between two calls of ait_signals_next(). Close
 * restores the former mask, except for signals that are in other open sets. A pending signal then
 * takes its usual effect. If several sets contain a signal, one of them receives it.
 */

#include <signal.h>

#include <aiotools-sd/base.h>

/* sigset_t is POSIX, not C. */
#if defined(_GNU_SOURCE) || defined(__cplusplus) ||                                                \
    (defined(_POSIX_C_SOURCE) && _POSIX_C_SOURCE >= 199309L)

#include <sys/signalfd.h>

AIT_BEGIN_DECLS

int ait_signals_open(ait_signals **ret, const sigset_t *set) AIT_MUST_CHECK;
/* Waits for a signal and returns its number. ret_info may be NULL. */
int ait_signals_next(ait_signals *signals, struct signalfd_siginfo *ret_info);
ait_signals *ait_signals_close(ait_signals *signals);
AIT_DEFINE_CLEANUP_(ait_signals, ait_signals_close)

AIT_END_DECLS

#endif

#endif
