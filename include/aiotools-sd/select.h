/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_SELECT_H
#define AIT_SELECT_H

/*
 * Waiting for one of several things: file descriptors, futures, events, queues, semaphores, times.
 *
 *     ait_select_case cases[] = {
 *             AIT_CASE_GET(jobs, &job),
 *             AIT_CASE_EVENT(stop),
 *             AIT_CASE_AFTER(5 * AIT_USEC_PER_SEC),
 *     };
 *
 *     r = ait_select(cases, 3);
 *     if (r == 0 && cases[0].result > 0)
 *             work(job);
 *
 * Exactly one case takes effect, as if its call had been made alone; the others take nothing: no
 * item, no token, no byte. If several could, each has its turn. Nothing is allocated.
 */

#include <aiotools-sd/base.h>
#include <aiotools-sd/queue.h>
#include <aiotools-sd/sync.h>

AIT_BEGIN_DECLS

typedef enum ait_case_kind {
    AIT_CASE_KIND_POLL,
    AIT_CASE_KIND_AWAIT,
    AIT_CASE_KIND_EVENT,
    AIT_CASE_KIND_GET,
    AIT_CASE_KIND_PUT,
    AIT_CASE_KIND_ACQUIRE,
    AIT_CASE_KIND_AFTER,
    AIT_CASE_KIND_UNTIL,
    AIT_CASE_KIND_DEFAULT,
} ait_case_kind;

/* Made by the macros below. Frozen: arrays are made of it. */
typedef struct ait_select_case {
    ait_case_kind kind;
    int result; /* of the case that took effect: what its call would have returned */
    __extension__ union {
        __extension__ struct {
            int fd;
            short events;
        };
        ait_future *future;
        ait_event *event;
        ait_queue *queue;
        ait_semaphore *semaphore;
        uint64_t usec;
    };
    __extension__ union {
        void *item;
        void **ret_item;
    };
} ait_select_case;

/* clang-format off */
/* ait_poll(): result is the events that are ready. */
#define AIT_CASE_POLL(fd_, events_)  {.kind = AIT_CASE_KIND_POLL, .fd = (fd_), .events = (events_)}
/* ait_await(): result is the future's outcome. */
#define AIT_CASE_AWAIT(future_)      {.kind = AIT_CASE_KIND_AWAIT, .future = (future_)}
/* ait_event_wait() */
#define AIT_CASE_EVENT(event_)       {.kind = AIT_CASE_KIND_EVENT, .event = (event_)}
/* ait_queue_get(): result is 1, or 0 if the queue is closed and empty. ret is a void **. */
#define AIT_CASE_GET(queue_, ret)    {.kind = AIT_CASE_KIND_GET, .queue = (queue_), .ret_item = (ret)}
/* ait_queue_put(): result may be an error, such as -EPIPE. */
#define AIT_CASE_PUT(queue_, item_)  {.kind = AIT_CASE_KIND_PUT, .queue = (queue_), .item = (item_)}
/* ait_semaphore_acquire() */
#define AIT_CASE_ACQUIRE(semaphore_) {.kind = AIT_CASE_KIND_ACQUIRE, .semaphore = (semaphore_)}
/* ait_sleep() and ait_sleep_until() */
#define AIT_CASE_AFTER(usec_)        {.kind = AIT_CASE_KIND_AFTER, .usec = (usec_)}
#define AIT_CASE_UNTIL(usec_)        {.kind = AIT_CASE_KIND_UNTIL, .usec = (usec_)}
/* Takes effect if no other case can at once: the call does not wait. */
#define AIT_CASE_DEFAULT             {.kind = AIT_CASE_KIND_DEFAULT}
/* clang-format on */

/*
 * Waits until one of n cases can take effect, at most AIT_SELECT_MAX. Returns its index. A case
 * whose object is NULL, or whose fd is negative, never does. -ECANCELED: the caller is cancelled,
 * and no case has taken effect. -EINVAL: n is 0 or too large, or a case is invalid. -EBADF: an fd
 * is not open, or was closed by ait_close() meanwhile. -EDEADLK: a case awaits the caller's own
 * task.
 */
#define AIT_SELECT_MAX 16
int ait_select(ait_select_case *cases, size_t n);

AIT_END_DECLS

#endif
