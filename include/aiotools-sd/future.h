/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_FUTURE_H
#define AIT_FUTURE_H

/*
 * Futures: a result that comes later, awaited by tasks or by callbacks. The bridge between tasks and plain sd-event code.
 *
 * Counted. Dropping a reference detaches interest and never cancels anything. Callbacks always run from the scheduler, never inside the
 * call that resolved the future.
 */

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

/* A pending future of this thread's loop. */
int ait_future_new(ait_future **ret) AIT_MUST_CHECK;
ait_future *ait_future_ref(ait_future *future);
ait_future *ait_future_unref(ait_future *future);
AIT_DEFINE_CLEANUP_(ait_future, ait_future_unref)

/* Sets the result and wakes who waits. -EALREADY: it has one. -EPERM: it is a task. */
int ait_future_resolve(ait_future *future, int result);
/* 1: resolved, 0: pending. */
int ait_future_is_done(const ait_future *future);
/* -EBUSY: pending. */
int ait_future_result(const ait_future *future, int *ret_result);

/* Waits until the future is resolved. Returns 0 with the outcome in ret_result; -ECANCELED where the caller is cancelled, the future is then
 * untouched; -EDEADLK where a task awaits itself. */
int ait_await(ait_future *future, int *ret_result);

/* Calls cb once the future is resolved. The slot is a reference to the registration: where ret_slot is not NULL, unref of the slot means that cb will
 * not run; where it is NULL the registration lives until it has run, or the future goes. */
typedef void (*ait_future_cb)(ait_future *future, int result, void *userdata);
int ait_future_add_callback(ait_future *future, ait_slot **ret_slot, ait_future_cb cb, void *userdata);
ait_slot *ait_slot_unref(ait_slot *slot);
AIT_DEFINE_CLEANUP_(ait_slot, ait_slot_unref)

AIT_END_DECLS

#endif
