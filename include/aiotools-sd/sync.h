/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_SYNC_H
#define AIT_SYNC_H

/*
 * Synchronisation between tasks of one loop: event, mutex, semaphore, condition, barrier.
 *
 * Data needs no lock between two suspension points; these objects protect what must hold across
 * them. They are reference counted, and a waiting task holds a reference. Waiters are served
 * strictly in order of arrival. What is granted to a waiter is handed over directly: no later
 * caller can take it. Waiting allocates no memory.
 *
 * A wait fails at once if the caller is cancelled, even if it would not have waited. If a waiter
 * was served before its cancellation, the call succeeds and the next call reports the cancellation.
 * So nothing that was handed over is lost.
 *
 * These are not locks between threads, and not async-signal-safe. Calls that cannot wait may be
 * made from callbacks, outside tasks.
 */

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

/* ---- event: a flag that can be waited for ---------------------------------------------------- */

typedef struct ait_event ait_event;

/* The event is not set. */
int ait_event_new(ait_event **ret) AIT_MUST_CHECK;
ait_event *ait_event_ref(ait_event *event);
ait_event *ait_event_unref(ait_event *event);
AIT_DEFINE_CLEANUP_(ait_event, ait_event_unref)

/*
 * Sets the event and wakes all waiters, even if it is cleared again before they run. Returns 1 if
 * it was not set before.
 */
int ait_event_set(ait_event *event);
/* Returns 1 if the event was set before. */
int ait_event_clear(ait_event *event);
/* 1 or 0. */
int ait_event_is_set(const ait_event *event);
/* Waits until the event is set. */
int ait_event_wait(ait_event *event);

/* ---- mutex: one task at a time --------------------------------------------------------------- */

typedef struct ait_mutex ait_mutex;

int ait_mutex_new(ait_mutex **ret) AIT_MUST_CHECK;
ait_mutex *ait_mutex_ref(ait_mutex *mutex);
ait_mutex *ait_mutex_unref(ait_mutex *mutex);
AIT_DEFINE_CLEANUP_(ait_mutex, ait_mutex_unref)

/*
 * Waits for the mutex. -EDEADLK: the caller holds it. -EOWNERDEAD: the task that holds it has
 * ended, before the call or during it; the mutex will never be free.
 */
int ait_mutex_lock(ait_mutex *mutex) AIT_MUST_CHECK;
/* The same without waiting: -EBUSY if another task holds it. */
int ait_mutex_try_lock(ait_mutex *mutex);
/* Hands the mutex to the task that has waited longest. -EPERM: the caller does not hold it. */
int ait_mutex_unlock(ait_mutex *mutex);
/* For AIT_CLEANUP(): unlocks *p unless it is NULL. */
static inline void ait_mutex_unlockp(ait_mutex **p)
{
    if (*p)
        (void)ait_mutex_unlock(*p);
    *p = NULL;
}
/* 1: a task holds the mutex. */
int ait_mutex_is_locked(const ait_mutex *mutex);

/* ---- semaphore: so many at a time ------------------------------------------------------------ */

typedef struct ait_semaphore ait_semaphore;

/* max is the highest value that the semaphore can have, at least value (-EINVAL); 0: no limit. */
int ait_semaphore_new(ait_semaphore **ret, unsigned value, unsigned max) AIT_MUST_CHECK;
ait_semaphore *ait_semaphore_ref(ait_semaphore *semaphore);
ait_semaphore *ait_semaphore_unref(ait_semaphore *semaphore);
AIT_DEFINE_CLEANUP_(ait_semaphore, ait_semaphore_unref)

/* Takes one unit, and waits for one if there is none. */
int ait_semaphore_acquire(ait_semaphore *semaphore) AIT_MUST_CHECK;
/* The same without waiting: -EAGAIN if there is none. */
int ait_semaphore_try_acquire(ait_semaphore *semaphore);
/* Returns one unit. Any task and any callback may do so. -EOVERFLOW: the value is already max. */
int ait_semaphore_release(ait_semaphore *semaphore);
/* For AIT_CLEANUP(): releases *p unless it is NULL. */
static inline void ait_semaphore_releasep(ait_semaphore **p)
{
    if (*p)
        (void)ait_semaphore_release(*p);
    *p = NULL;
}
/* The number of units that could be taken now, at most INT_MAX. */
int ait_semaphore_value(const ait_semaphore *semaphore);

/* ---- condition: waiting, with a mutex, for something to be true ------------------------------ */

typedef struct ait_condition ait_condition;

int ait_condition_new(ait_condition **ret) AIT_MUST_CHECK;
ait_condition *ait_condition_ref(ait_condition *condition);
ait_condition *ait_condition_unref(ait_condition *condition);
AIT_DEFINE_CLEANUP_(ait_condition, ait_condition_unref)

/*
 * Unlocks the mutex, waits for a notification, and locks the mutex again. Call it in a loop that
 * tests the condition. The caller holds the mutex afterwards even if it is cancelled: locking again
 * is not interrupted. -ECANCELED: the caller is cancelled; a notification by ait_condition_notify()
 * that it had received has been passed on to the next waiter. -EPERM: the caller does not hold the
 * mutex. -EOWNERDEAD: the caller does not hold it now either, since a task ended with the mutex
 * locked.
 */
int ait_condition_wait(ait_condition *condition, ait_mutex *mutex) AIT_MUST_CHECK;
/*
 * Wakes the n tasks that have waited longest, and returns how many there were. They run one after
 * another, as each gets the mutex. The caller need not hold it.
 */
int ait_condition_notify(ait_condition *condition, unsigned n);
int ait_condition_notify_all(ait_condition *condition);

/* ---- barrier: continuing together ------------------------------------------------------------ */

typedef struct ait_barrier ait_barrier;

/* parties is the number of tasks that must arrive, at least 1. */
int ait_barrier_new(ait_barrier **ret, unsigned parties) AIT_MUST_CHECK;
ait_barrier *ait_barrier_ref(ait_barrier *barrier);
ait_barrier *ait_barrier_unref(ait_barrier *barrier);
AIT_DEFINE_CLEANUP_(ait_barrier, ait_barrier_unref)

/*
 * Waits until all parties have arrived. Returns 1 to the last of them and 0 to the others; then the
 * barrier is ready for the next round. A party that is cancelled while it waits breaks the barrier:
 * it returns -ECANCELED, and all others return -ECONNABORTED, now and later.
 */
int ait_barrier_wait(ait_barrier *barrier);
/* Wakes all waiters with -ECONNABORTED, and repairs a broken barrier. */
int ait_barrier_reset(ait_barrier *barrier);
/* Breaks the barrier. */
int ait_barrier_abort(ait_barrier *barrier);
/* 1: the barrier is broken. */
int ait_barrier_is_broken(const ait_barrier *barrier);

AIT_END_DECLS

#endif
