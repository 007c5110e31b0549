/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_INTERVAL_H
#define AIT_INTERVAL_H

/*
 * Periodic timers: a callback that runs at a fixed interval, as a task.
 *
 * The schedule is absolute: tick n is due at start + n * usec on the loop's clock, however long
 * callbacks take and however late the loop is. It does not drift. The first tick is due at once.
 * The policy says what happens if a callback takes longer than the interval.
 *
 * The timer is a task in the scope that it was started in, and its ticks are tasks inside that one.
 * It never ends by itself: cancel it with ait_cancel_and_wait(), or let its scope end it. Either
 * way running callbacks are cancelled and waited for. A callback that fails does not stop the
 * timer; its error goes to the scope's error handler.
 */

#include <aiotools-sd/base.h>
#include <aiotools-sd/task.h>

AIT_BEGIN_DECLS

typedef enum ait_interval_policy {
    AIT_INTERVAL_QUEUE,  /* each tick runs when it is due, beside those that still run: slow ones
                            accumulate */
    AIT_INTERVAL_CANCEL, /* a callback that still runs is cancelled and waited for before the next
                            tick */
    AIT_INTERVAL_SKIP,   /* one at a time; ticks that become due meanwhile are skipped */
    AIT_INTERVAL_BURST,  /* one at a time; ticks that become due meanwhile run afterwards, without a
                            pause */
} ait_interval_policy;

typedef struct ait_tick {
    size_t size;     /* sizeof(ait_tick) as the library knows it */
    uint64_t n;      /* its place in the schedule, from 0 */
    uint64_t due;    /* when it was due, on the loop's clock */
    uint64_t missed; /* ticks that were skipped since the last one that ran */
} ait_tick;

/* tick is valid until the callback returns. */
typedef int (*ait_interval_cb)(const ait_tick *tick, void *userdata);

/*
 * Starts a timer in scope. NULL: the current scope; outside tasks, the loop's root. usec is at
 * least 1. ret_task (may be NULL) receives a reference to the timer's task. The task's result is
 * -ECANCELED, or the error that stopped the timer. A name set by ait_task_set_name() applies to the
 * callbacks' tasks, too. userdata stays the caller's. Errors are those of ait_scope_spawn().
 */
int ait_interval_start(ait_task **ret_task, ait_scope *scope, uint64_t usec,
                       ait_interval_policy policy, ait_interval_cb cb,
                       void *userdata) AIT_MUST_CHECK;

AIT_END_DECLS

#endif
