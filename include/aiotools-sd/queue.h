/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_QUEUE_H
#define AIT_QUEUE_H

/*
 * A bounded queue of pointers between tasks of one loop, with a policy for a full queue.
 *
 *     while ((r = ait_queue_get(q, &item)) > 0)
 *             use(item);
 *
 * An item belongs to the queue from the moment that put returns >= 0 until get returns it. If put
 * fails, the item stays the caller's. Items that the queue drops, by its policy or with its last
 * reference, go to the destroy function. Getters and putters are each served in order of arrival.
 * All memory is allocated with the queue: no later call can fail for lack of memory. Cancellation
 * is as in sync.h: an item is never lost between a putter and a getter.
 *
 * Once a queue is closed, nothing can be put. Getters receive what is still in the queue, and then
 * 0.
 *
 * The queue is not for threads: from another one, call ait_loop_post() with a function that calls
 * ait_queue_try_put().
 */

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

typedef struct ait_queue ait_queue;

/* What put does when the queue is full. */
typedef enum ait_queue_policy {
    AIT_QUEUE_BLOCK,       /* waits for room */
    AIT_QUEUE_DROP_NEWEST, /* drops the item to be put */
    AIT_QUEUE_DROP_OLDEST, /* drops the oldest item */
    AIT_QUEUE_FAIL,        /* returns -ENOBUFS */
} ait_queue_policy;

/*
 * capacity 0: the queue holds nothing, and items go directly from putter to getter, which wait for
 * each other. With the other policies an item is then dropped or refused if no getter waits.
 * destroy may be NULL.
 */
int ait_queue_new(ait_queue **ret, size_t capacity, ait_queue_policy policy,
                  ait_destroy_fn destroy) AIT_MUST_CHECK;
ait_queue *ait_queue_ref(ait_queue *queue);
/* Dropping the last reference destroys the items in the queue. */
ait_queue *ait_queue_unref(ait_queue *queue);
AIT_DEFINE_CLEANUP_(ait_queue, ait_queue_unref)

/*
 * Returns 0 if the item was put, and 1 if it was put and an item, this one or the oldest, was
 * dropped. -EPIPE: the queue is closed. -ENOBUFS: it is full (AIT_QUEUE_FAIL).
 */
int ait_queue_put(ait_queue *queue, void *item);
/*
 * The same without waiting, also outside tasks: -EAGAIN if it would wait. Does not check for
 * cancellation.
 */
int ait_queue_try_put(ait_queue *queue, void *item);

/* Waits for the oldest item and takes it. Returns 1. Returns 0 if the queue is closed and empty. */
int ait_queue_get(ait_queue *queue, void **ret);
/* The same without waiting, also outside tasks: -EAGAIN if it would wait. */
int ait_queue_try_get(ait_queue *queue, void **ret);

/* Closes the queue. Waiting putters return -EPIPE, waiting getters 0. Returns 1 if it was open. */
int ait_queue_close(ait_queue *queue);
/* 1 or 0. */
int ait_queue_is_closed(const ait_queue *queue);

/* The number of items in the queue, its capacity, and the number of items dropped by its policy. */
size_t ait_queue_size(const ait_queue *queue);
size_t ait_queue_capacity(const ait_queue *queue);
uint64_t ait_queue_n_dropped(const ait_queue *queue);

/*
 * To wait until all items have been processed: a getter calls ait_queue_complete_one() when it has
 * finished an item, and join waits until all items are finished. Dropped items count as finished.
 * -EOVERFLOW: called more often than items were taken.
 */
int ait_queue_complete_one(ait_queue *queue);
int ait_queue_join(ait_queue *queue);

AIT_END_DECLS

#endif
