/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_QUEUE_H
#define AIT_QUEUE_H

/*
 * A bounded queue of pointers between tasks of one loop, with a policy for what happens when it is full.
 *
 *     while ((r = ait_queue_get(q, &item)) > 0)
 *             use(item);
 *
 * An item belongs to the queue from the moment that put returns >= 0 until get has returned it; where put fails it stays the caller's. What the queue
 * itself drops (by its policy, or with its last reference) goes to the destroy function. Getters and putters are each served in the order of their
 * coming. All memory is allocated with the queue: no call on it can fail for want of memory. Cancellation as in sync.h: an item is never lost
 * between a putter and a getter.
 *
 * Closing: nothing more can be put; getters receive what is still in the queue, and then 0.
 *
 * It is not a queue between threads: ait_loop_post() a function that calls ait_queue_try_put().
 */

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

typedef struct ait_queue ait_queue;

/* What put does when the queue is full */
typedef enum ait_queue_policy {
    AIT_QUEUE_BLOCK,       /* waits for room */
    AIT_QUEUE_DROP_NEWEST, /* drops the item that was to be put */
    AIT_QUEUE_DROP_OLDEST, /* drops the one at the other end */
    AIT_QUEUE_FAIL,        /* returns -ENOBUFS */
} ait_queue_policy;

/*
 * capacity 0: nothing is kept, an item goes from hand to hand; put and get wait for each other (and with the other policies an item is
 * dropped, or refused, where nobody waits for it). destroy may be NULL.
 */
int ait_queue_new(ait_queue **ret, size_t capacity, ait_queue_policy policy,
                  ait_destroy_fn destroy) AIT_MUST_CHECK;
ait_queue *ait_queue_ref(ait_queue *queue);
/* The last one destroys what is in the queue. */
ait_queue *ait_queue_unref(ait_queue *queue);
AIT_DEFINE_CLEANUP_(ait_queue, ait_queue_unref)

/* 0: put; 1: put, and an item, this one or the oldest, was dropped. -EPIPE: closed; -ENOBUFS: full (AIT_QUEUE_FAIL). */
int ait_queue_put(ait_queue *queue, void *item);
/* The same without waiting, also outside tasks: -EAGAIN where it would. Does not ask whether the caller is cancelled. */
int ait_queue_try_put(ait_queue *queue, void *item);

/* Takes the oldest item, waiting for it: 1. 0: the queue is closed, and empty. */
int ait_queue_get(ait_queue *queue, void **ret);
/* The same without waiting, also outside tasks: -EAGAIN where it would. */
int ait_queue_try_get(ait_queue *queue, void **ret);

/* Closes: putters that wait return -EPIPE, getters that wait return 0. 1: it was open. */
int ait_queue_close(ait_queue *queue);
/* 1 or 0. */
int ait_queue_is_closed(const ait_queue *queue);

/* How many items are in it; how many it can hold; how many it has dropped by its policy. */
size_t ait_queue_size(const ait_queue *queue);
size_t ait_queue_capacity(const ait_queue *queue);
uint64_t ait_queue_n_dropped(const ait_queue *queue);

/* For whoever wants to know when everything put has been dealt with: a getter tells that it is done with an item, and join waits
 * until all items were told of (dropped ones count as done). -EOVERFLOW: more often than items were got. */
int ait_queue_complete_one(ait_queue *queue);
int ait_queue_join(ait_queue *queue);

AIT_END_DECLS

#endif
