/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "future.h"
#include "scheduler.h"
#include "selection.h"

/*
 * Moves a slot from the future's list, or from none, to the loop's. Only from now on a floating
 * slot has a reference to its future.
 */
__attribute__((noinline)) static void slot_queue(struct ait_slot *slot)
{
    struct ait_loop *loop = slot->future->loop;

    if (slot->floating)
        slot->future->refs++;
    list_append(&loop->callbacks, &slot->waiter.link);
    loop->attention = true;
    if (loop->kick)
        loop_kick(loop);
}

void future_wake(struct ait_future *f)
{
    do {
        struct waiter *w = container_of(f->waiters.next, struct waiter, link);

        list_remove(&w->link);
        if (waiter_is_marked(w))
            selection_serve(w);
        else if (likely(w->task))
            task_wake(w->task);
        else
            slot_queue(container_of(w, struct ait_slot, waiter));
    } while (unlikely(!list_empty(&f->waiters)));
}

AIT_PUBLIC int ait_future_new(ait_future **ret)
{
    struct ait_future *f;

    if (!ret)
        return -EINVAL;
    if (!this_loop)
        return loop_foreign();
    f = malloc(sizeof(*f));
    if (!f)
        return -ENOMEM;
    future_init(f, this_loop, FUTURE_MANUAL);
    *ret = f;
    return 0;
}

AIT_PUBLIC ait_future *ait_future_ref(ait_future *future)
{
    if (future)
        future->refs++;
    return future;
}

/*
 * No code is left that could resolve the future. Slots that are held have a reference to it, and so
 * have waiting tasks.
 */
static void future_drop_floating(struct ait_future *f)
{
    while (!list_empty(&f->waiters)) {
        struct ait_slot *slot = container_of(f->waiters.next, struct ait_slot, waiter.link);

        assert(!slot->waiter.task && slot->floating);
        list_remove(&slot->waiter.link);
        free(slot);
    }
}

void slots_drop(struct list *queued)
{
    while (!list_empty(queued)) {
        struct ait_slot *slot = container_of(queued->next, struct ait_slot, waiter.link);

        list_remove(&slot->waiter.link);
        if (!slot->floating)
            continue;
        ait_future_unref(slot->future);
        free(slot);
    }
}

void future_free(struct ait_future *f)
{
    if (f->kind == FUTURE_TASK) {
        task_free(future_task(f));
        return;
    }
    future_drop_floating(f);
    free(f);
}

AIT_PUBLIC ait_future *ait_future_unref(ait_future *future)
{
    if (future)
        future_unref(future);
    return NULL;
}

AIT_PUBLIC int ait_future_resolve(ait_future *future, int result)
{
    if (!future)
        return -EINVAL;
    LOOP_CHECK(future->loop);
    if (future->kind == FUTURE_TASK)
        return -EPERM;
    if (future->done)
        return -EALREADY;
    future_complete(future, result);
    return 0;
}

AIT_PUBLIC int ait_future_is_done(const ait_future *future)
{
    return future ? future->done : -EINVAL;
}

AIT_PUBLIC int ait_future_result(const ait_future *future, int *ret_result)
{
    if (!future)
        return -EINVAL;
    if (!future->done)
        return -EBUSY;
    if (ret_result)
        *ret_result = future->result;
    return 0;
}

AIT_PUBLIC int ait_await(ait_future *future, int *ret_result)
{
    struct ait_loop *loop;
    struct ait_task *t;
    int r;

    if (!future)
        return -EINVAL;
    LOOP_CHECK(future->loop);
    r = op_enter(&loop, &t);
    if (r < 0)
        return r;
    if (future == &t->future)
        return -EDEADLK;
    if (!future->done) {
        const struct wait wait = {.kind = "future", .object = future};
        struct waiter w = {.task = t};

        future->refs++;
        list_append(&future->waiters, &w.link);
        do
            task_suspend_in(loop, t, TASK_PARKED, &wait);
        while (!future->done && !t->scope->effective);
        if (!future->done) {
            list_remove(&w.link);
            future_unref(future);
            return -ECANCELED;
        }
        r = future->result;
        future_unref(future);
        if (ret_result)
            *ret_result = r;
        return 0;
    }
    if (ret_result)
        *ret_result = future->result;
    return 0;
}

void slot_run(struct ait_slot *slot)
{
    bool floating = slot->floating;

    slot->spent = true;
    slot->cb(slot->future, slot->future->result, slot->userdata);
    if (floating) {
        future_unref(slot->future);
        free(slot);
    }
}

AIT_PUBLIC int ait_future_add_callback(ait_future *future, ait_slot **ret_slot, ait_future_cb cb,
                                       void *userdata)
{
    struct ait_slot *slot;

    if (!future || !cb)
        return -EINVAL;
    LOOP_CHECK(future->loop);
    slot = calloc(1, sizeof(*slot));
    if (!slot)
        return -ENOMEM;
    slot->future = future;
    slot->cb = cb;
    slot->userdata = userdata;
    slot->floating = !ret_slot;
    if (ret_slot) {
        ait_future_ref(future);
        *ret_slot = slot;
    }
    if (future->done)
        slot_queue(slot);
    else
        list_append(&future->waiters, &slot->waiter.link);
    return 0;
}

AIT_PUBLIC ait_slot *ait_slot_unref(ait_slot *slot)
{
    if (!slot)
        return NULL;
    list_remove(&slot->waiter.link);
    future_unref(slot->future);
    free(slot);
    return NULL;
}
