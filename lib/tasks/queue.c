/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include <aiotools-sd/queue.h>

#include "select.h"
#include "wait.h"

/*
 * While getters wait, the queue is empty and no putter waits. While putters wait, the queue is full
 * and open. Items of waiting putters lie in their frames. They move into the queue, or directly to
 * a getter, when their turn comes.
 */
struct ait_queue {
    struct ait_loop *loop;
    uint32_t refs;
    uint8_t policy;
    bool closed;
    size_t capacity, size, head;
    uint64_t n_open; /* put and not yet done with */
    uint64_t n_dropped;
    ait_destroy_fn destroy;
    struct list getters, putters, joiners;
    void *items[];
};

AIT_PUBLIC int ait_queue_new(ait_queue **ret, size_t capacity, ait_queue_policy policy,
                             ait_destroy_fn destroy)
{
    struct ait_queue *q;

    if (!ret || (unsigned)policy > AIT_QUEUE_FAIL ||
        capacity > PTRDIFF_MAX / sizeof(void *) - sizeof(*q))
        return -EINVAL;
    if (!this_loop)
        return loop_foreign();
    q = calloc(1, sizeof(*q) + capacity * sizeof(*q->items));
    if (!q)
        return -ENOMEM;
    q->loop = this_loop;
    q->refs = 1;
    q->policy = (uint8_t)policy;
    q->capacity = capacity;
    q->destroy = destroy;
    list_init(&q->getters);
    list_init(&q->putters);
    list_init(&q->joiners);
    *ret = q;
    return 0;
}

/* ---- the ring -------------------------------------------------------------------------------- */

static void ring_push(struct ait_queue *q, void *item)
{
    size_t i = q->head + q->size++;

    q->items[i < q->capacity ? i : i - q->capacity] = item;
}

static void *ring_pop(struct ait_queue *q)
{
    void *item = q->items[q->head];

    q->head = q->head + 1 == q->capacity ? 0 : q->head + 1;
    q->size--;
    return item;
}

/* ---- life ------------------------------------------------------------------------------------ */

AIT_PUBLIC ait_queue *ait_queue_ref(ait_queue *queue)
{
    if (queue)
        queue->refs++;
    return queue;
}

AIT_PUBLIC ait_queue *ait_queue_unref(ait_queue *queue)
{
    if (!queue || --queue->refs > 0)
        return NULL;
    assert(list_empty(&queue->getters) && list_empty(&queue->putters) &&
           list_empty(&queue->joiners));
    while (queue->size > 0) {
        void *item = ring_pop(queue);

        if (queue->destroy)
            queue->destroy(item);
    }
    free(queue);
    return NULL;
}

/* ---- putting --------------------------------------------------------------------------------- */

static void serve(struct list *list, void *item, int result)
{
    struct queue_waiter *qw = container_of(wait_serve(list), struct queue_waiter, waiter);

    qw->item = item;
    qw->result = result;
}

static void queue_done_with(struct ait_queue *q)
{
    if (--q->n_open == 0)
        wait_serve_all(&q->joiners);
}

/* Last of all that a call does: the destroy function is the user's, and may look at the queue. */
static int queue_drop(struct ait_queue *q, void *item)
{
    q->n_dropped++;
    if (q->destroy)
        q->destroy(item);
    return 1;
}

static int queue_drop_oldest(struct ait_queue *q, void *item)
{
    void *oldest = item;

    if (q->capacity > 0) {
        oldest = ring_pop(q);
        ring_push(q, item);
    }
    return queue_drop(q, oldest);
}

/* -EAGAIN: it must wait. */
static int queue_put(struct ait_queue *q, void *item)
{
    if (q->closed)
        return -EPIPE;
    if (!list_empty(&q->getters)) {
        q->n_open++;
        serve(&q->getters, item, 1);
        return 0;
    }
    if (likely(q->size < q->capacity)) {
        q->n_open++;
        ring_push(q, item);
        return 0;
    }
    switch (q->policy) {
    case AIT_QUEUE_DROP_NEWEST:
        return queue_drop(q, item);
    case AIT_QUEUE_DROP_OLDEST:
        return queue_drop_oldest(q, item);
    case AIT_QUEUE_FAIL:
        return -ENOBUFS;
    default:
        return -EAGAIN;
    }
}

AIT_PUBLIC int ait_queue_try_put(ait_queue *queue, void *item)
{
    if (!queue)
        return -EINVAL;
    LOOP_CHECK(queue->loop);
    return queue_put(queue, item);
}

AIT_PUBLIC int ait_queue_put(ait_queue *queue, void *item)
{
    const struct wait what = {.kind = "room in queue", .object = queue};
    struct queue_waiter qw = {.item = item};
    struct ait_loop *loop;
    int r;

    if (!queue)
        return -EINVAL;
    LOOP_CHECK(queue->loop);
    r = op_enter(&loop, &qw.waiter.task);
    if (r < 0)
        return r;
    r = queue_put(queue, item);
    if (likely(r != -EAGAIN))
        return r;
    queue->refs++;
    if (!wait_in(loop, &queue->putters, &qw.waiter, &what))
        qw.result = -ECANCELED;
    ait_queue_unref(queue);
    return qw.result;
}

/* ---- getting --------------------------------------------------------------------------------- */

/* The item of the putter that has waited longest. */
static void *putter_take(struct ait_queue *q)
{
    void *item = container_of(q->putters.next, struct queue_waiter, waiter.link)->item;

    q->n_open++;
    serve(&q->putters, NULL, 0);
    return item;
}

/* -EAGAIN: it must wait. */
static int queue_get(struct ait_queue *q, void **ret)
{
    if (likely(q->size > 0)) {
        *ret = ring_pop(q);
        if (!list_empty(&q->putters))
            ring_push(q, putter_take(q));
        return 1;
    }
    if (!list_empty(&q->putters)) {
        *ret = putter_take(q);
        return 1;
    }
    return q->closed ? 0 : -EAGAIN;
}

AIT_PUBLIC int ait_queue_try_get(ait_queue *queue, void **ret)
{
    if (!queue || !ret)
        return -EINVAL;
    LOOP_CHECK(queue->loop);
    return queue_get(queue, ret);
}

AIT_PUBLIC int ait_queue_get(ait_queue *queue, void **ret)
{
    const struct wait what = {.kind = "item of queue", .object = queue};
    struct queue_waiter qw = {};
    struct ait_loop *loop;
    int r;

    if (!queue || !ret)
        return -EINVAL;
    LOOP_CHECK(queue->loop);
    r = op_enter(&loop, &qw.waiter.task);
    if (r < 0)
        return r;
    r = queue_get(queue, ret);
    if (likely(r != -EAGAIN))
        return r;
    queue->refs++;
    if (!wait_in(loop, &queue->getters, &qw.waiter, &what))
        qw.result = -ECANCELED;
    ait_queue_unref(queue);
    if (qw.result > 0)
        *ret = qw.item;
    return qw.result;
}

/* ---- as one of several cases ----------------------------------------------------------------- */

bool queue_select(struct ait_queue *q, ait_select_case *c)
{
    c->result = c->kind == AIT_CASE_KIND_GET ? queue_get(q, c->ret_item) : queue_put(q, c->item);
    return c->result != -EAGAIN;
}

struct list *queue_select_list(struct ait_queue *q, ait_case_kind kind)
{
    return kind == AIT_CASE_KIND_GET ? &q->getters : &q->putters;
}

struct ait_loop *queue_loop(const struct ait_queue *q)
{
    return q->loop;
}

/* ---- closing and counting -------------------------------------------------------------------- */

AIT_PUBLIC int ait_queue_close(ait_queue *queue)
{
    if (!queue)
        return -EINVAL;
    LOOP_CHECK(queue->loop);
    if (queue->closed)
        return 0;
    queue->closed = true;
    while (!list_empty(&queue->putters))
        serve(&queue->putters, NULL, -EPIPE);
    while (!list_empty(&queue->getters))
        serve(&queue->getters, NULL, 0);
    return 1;
}

AIT_PUBLIC int ait_queue_is_closed(const ait_queue *queue)
{
    return queue ? queue->closed : -EINVAL;
}

AIT_PUBLIC size_t ait_queue_size(const ait_queue *queue)
{
    return queue ? queue->size : 0;
}

AIT_PUBLIC size_t ait_queue_capacity(const ait_queue *queue)
{
    return queue ? queue->capacity : 0;
}

AIT_PUBLIC uint64_t ait_queue_n_dropped(const ait_queue *queue)
{
    return queue ? queue->n_dropped : 0;
}

AIT_PUBLIC int ait_queue_complete_one(ait_queue *queue)
{
    if (!queue)
        return -EINVAL;
    LOOP_CHECK(queue->loop);
    if (queue->n_open <= queue->size)
        return -EOVERFLOW;
    queue_done_with(queue);
    return 0;
}

AIT_PUBLIC int ait_queue_join(ait_queue *queue)
{
    const struct wait what = {.kind = "items of queue done", .object = queue};
    struct ait_loop *loop;
    struct waiter w;
    bool served;
    int r;

    if (!queue)
        return -EINVAL;
    LOOP_CHECK(queue->loop);
    r = op_enter(&loop, &w.task);
    if (r < 0 || queue->n_open == 0)
        return r;
    queue->refs++;
    served = wait_in(loop, &queue->joiners, &w, &what);
    ait_queue_unref(queue);
    return served ? 0 : -ECANCELED;
}
