/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_SYNC_H
#define AIT_SYNC_H

/*
 * Synchronisation between tasks of one loop: event, mutex, semaphore, condition, barrier.
 *
 * Data needs no lock between two suspensions; these are for what has to hold across them. They are counted; a task that waits for one holds a
 * reference to it. Waiters are served strictly in the order of their coming, and what is given to a waiter is given directly: nobody who comes
 * later can take it. A wait allocates nothing.
 *
 * Cancellation: a wait refuses at once where the caller is cancelled, even where it would not have waited. A waiter that had been served when its
 * cancellation came has been served: the call succeeds, and the next one reports the cancellation. So nothing that was handed over is lost.
 *
 * They are not locks between threads, and not async-signal-safe. Calls that cannot wait may be made from callbacks, outside tasks.
 */

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

/* ---- event: a flag that can be waited for -------------------------------------------------------- */

typedef struct ait_event ait_event;

/* Not set. */
int ait_event_new(ait_event **ret) AIT_MUST_CHECK;
ait_event *ait_event_ref(ait_event *event);
ait_event *ait_event_unref(ait_event *event);
AIT_DEFINE_CLEANUP_(ait_event, ait_event_unref)

/* Sets the flag and wakes all who wait, even where it is cleared again before they run. 1: it was not set before. */
int ait_event_set(ait_event *event);
/* 1: it was set before. */
int ait_event_clear(ait_event *event);
/* 1 or 0. */
int ait_event_is_set(const ait_event *event);
/* Waits until it is set. */
int ait_event_wait(ait_event *event);

/* ---- mutex: one task at a time ------------------------------------------------------------------- */

typedef struct ait_mutex ait_mutex;

int ait_mutex_new(ait_mutex **ret) AIT_MUST_CHECK;
ait_mutex *ait_mutex_ref(ait_mutex *mutex);
ait_mutex *ait_mutex_unref(ait_mutex *mutex);
AIT_DEFINE_CLEANUP_(ait_mutex, ait_mutex_unref)

/* Waits for the mutex. -EDEADLK: the caller holds it. -EOWNERDEAD: the task that holds it has ended, before or
 * meanwhile; it will never be free. */
int ait_mutex_lock(ait_mutex *mutex) AIT_MUST_CHECK;
/* The same without waiting: -EBUSY where another task holds it. */
int ait_mutex_try_lock(ait_mutex *mutex);
/* Gives it to who has waited longest. -EPERM: the caller does not hold it. */
int ait_mutex_unlock(ait_mutex *mutex);
/* For AIT_CLEANUP(): unlocks *p unless it is NULL. */
static inline void ait_mutex_unlockp(ait_mutex **p)
{
    if (*p)
        (void)ait_mutex_unlock(*p);
    *p = NULL;
}
/* 1: somebody holds it. */
int ait_mutex_is_locked(const ait_mutex *mutex);

/* ---- semaphore: so many at a time ---------------------------------------------------------------- */

typedef struct ait_semaphore ait_semaphore;

/* max: what the value never exceeds, at least value (-EINVAL); 0 for no bound. */
int ait_semaphore_new(ait_semaphore **ret, unsigned value, unsigned max) AIT_MUST_CHECK;
ait_semaphore *ait_semaphore_ref(ait_semaphore *semaphore);
ait_semaphore *ait_semaphore_unref(ait_semaphore *semaphore);
AIT_DEFINE_CLEANUP_(ait_semaphore, ait_semaphore_unref)

/* Takes one, waiting for it where there is none. */
int ait_semaphore_acquire(ait_semaphore *semaphore) AIT_MUST_CHECK;
/* The same without waiting: -EAGAIN. */
int ait_semaphore_try_acquire(ait_semaphore *semaphore);
/* Gives one back; any task and any callback may. -EOVERFLOW: the value is max already. */
int ait_semaphore_release(ait_semaphore *semaphore);
/* For AIT_CLEANUP(): releases *p unless it is NULL. */
static inline void ait_semaphore_releasep(ait_semaphore **p)
{
    if (*p)
        (void)ait_semaphore_release(*p);
    *p = NULL;
}
/* How many could be taken now, at most INT_MAX. */
int ait_semaphore_value(const ait_semaphore *semaphore);

/* ---- condition: waiting, with a mutex, for something to be true ---------------------------------- */

typedef struct ait_condition ait_condition;

int ait_condition_new(ait_condition **ret) AIT_MUST_CHECK;
ait_condition *ait_condition_ref(ait_condition *condition);
ait_condition *ait_condition_unref(ait_condition *condition);
AIT_DEFINE_CLEANUP_(ait_condition, ait_condition_unref)

/*
 * Unlocks the mutex, waits to be notified, and locks it again; in a loop that tests what is waited for. The caller holds the mutex
 * afterwards in any case, also where it is cancelled: locking again is not interrupted. -ECANCELED: the caller is cancelled; where it had been notified
 * by ait_condition_notify(), the notification has been passed on to the next. -EPERM: the caller does not hold the mutex.
 * -EOWNERDEAD: nor does it now, for a task has ended with it locked.
 */
int ait_condition_wait(ait_condition *condition, ait_mutex *mutex) AIT_MUST_CHECK;
/* Wakes the n that have waited longest, and returns how many there were. They run one after the other, as the mutex comes to them. The
 * caller need not hold it. */
int ait_condition_notify(ait_condition *condition, unsigned n);
int ait_condition_notify_all(ait_condition *condition);

/* ---- barrier: going on together ------------------------------------------------------------------ */

typedef struct ait_barrier ait_barrier;

/* parties: how many have to come, at least 1. */
int ait_barrier_new(ait_barrier **ret, unsigned parties) AIT_MUST_CHECK;
ait_barrier *ait_barrier_ref(ait_barrier *barrier);
ait_barrier *ait_barrier_unref(ait_barrier *barrier);
AIT_DEFINE_CLEANUP_(ait_barrier, ait_barrier_unref)

/*
 * Waits until all parties have come. Returns 1 to the last of them, 0 to the others; then the barrier is ready for the next round. A party that is
 * cancelled while it waits breaks the barrier: it returns -ECANCELED, and all others, now and later, -ECONNABORTED.
 */
int ait_barrier_wait(ait_barrier *barrier);
/* Sends away who waits, with -ECONNABORTED, and mends a broken barrier. */
int ait_barrier_reset(ait_barrier *barrier);
/* Breaks the barrier. */
int ait_barrier_abort(ait_barrier *barrier);
/* 1: it is broken. */
int ait_barrier_is_broken(const ait_barrier *barrier);

AIT_END_DECLS

#endif
