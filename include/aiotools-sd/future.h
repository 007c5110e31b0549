/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_FUTURE_H
#define AIT_FUTURE_H

/*
 * Futures: a result that comes later, awaited by tasks or by callbacks. They connect tasks with
 * plain sd-event code.
 *
 * Futures are reference counted. Dropping a reference never cancels anything. Callbacks always run
 * from the scheduler, never inside the call that resolved the future.
 */

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

/* Makes a pending future of this thread's loop. */
int ait_future_new(ait_future **ret) AIT_MUST_CHECK;
ait_future *ait_future_ref(ait_future *future);
ait_future *ait_future_unref(ait_future *future);
AIT_DEFINE_CLEANUP_(ait_future, ait_future_unref)

/*
 * Sets the result and wakes the waiters. -EALREADY: the future already has a result. -EPERM: the
 * future is a task.
 */
int ait_future_resolve(ait_future *future, int result);
/* 1: resolved, 0: pending. */
int ait_future_is_done(const ait_future *future);
/* -EBUSY: the future is pending. */
int ait_future_result(const ait_future *future, int *ret_result);

/*
 * Waits until the future is resolved. Returns 0 and the outcome in ret_result. -ECANCELED: the
 * caller is cancelled; the future is untouched. -EDEADLK: a task awaits itself.
 */
int ait_await(ait_future *future, int *ret_result);

/*
 * Calls cb once the future is resolved. The slot is a reference to the registration: if ret_slot is
 * not NULL, dropping the slot means that cb will not run. If ret_slot is NULL, the registration
 * lives until cb has run or the future is freed.
 */
typedef void (*ait_future_cb)(ait_future *future, int result, void *userdata);
int ait_future_add_callback(ait_future *future, ait_slot **ret_slot, ait_future_cb cb,
                            void *userdata);
ait_slot *ait_slot_unref(ait_slot *slot);
AIT_DEFINE_CLEANUP_(ait_slot, ait_slot_unref)

AIT_END_DECLS

#endif
