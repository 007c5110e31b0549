/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <stdlib.h>

#include <aiotools-sd/sync.h>

#include "scope.h"
#include "select.h"
#include "wait.h"

struct counted {
    struct ait_loop *loop;
    uint32_t refs;
};

struct ait_event {
    struct counted counted;
    bool set;
    struct list waiters; /* only while it is not set */
};

struct ait_mutex {
    struct counted counted;
    struct ait_task *owner; /* a reference; never NULL while a task waits */
    struct list waiters;
};

struct ait_semaphore {
    struct counted counted;
    unsigned value, max; /* value is 0 while a task waits */
    struct list waiters;
};

struct ait_condition {
    struct counted counted;
    struct list waiters;
};

struct ait_barrier {
    struct counted counted;
    unsigned parties, n_waiting;
    bool broken;
    struct list waiters;
};

static void *counted_new(size_t size, int *ret_error)
{
    struct counted *c;

    if (!this_loop) {
        *ret_error = loop_foreign();
        return NULL;
    }
    c = calloc(1, size);
    if (!c) {
        *ret_error = -ENOMEM;
        return NULL;
    }
    c->loop = this_loop;
    c->refs = 1;
    return c;
}

/* ref and unref of a type. done(x) prepares for free(). */
#define DEFINE_COUNTED(type, done)                                                                 \
    AIT_PUBLIC type *type##_ref(type *x)                                                           \
    {                                                                                              \
        if (x)                                                                                     \
            x->counted.refs++;                                                                     \
        return x;                                                                                  \
    }                                                                                              \
    AIT_PUBLIC type *type##_unref(type *x)                                                         \
    {                                                                                              \
        if (x && --x->counted.refs == 0) {                                                         \
            assert(list_empty(&x->waiters));                                                       \
            done(x);                                                                               \
            free(x);                                                                               \
        }                                                                                          \
        return NULL;                                                                               \
    }                                                                                              \
    struct needs_semicolon

#define NOTHING(x) (void)(x)

/* ---- event ----------------------------------------------------------------------------------- */

DEFINE_COUNTED(ait_event, NOTHING);

AIT_PUBLIC int ait_event_new(ait_event **ret)
{
    struct ait_event *e;
    int r = -EINVAL;

    if (!ret)
        return r;
    e = counted_new(sizeof(*e), &r);
    if (!e)
        return r;
    list_init(&e->waiters);
    *ret = e;
    return 0;
}

AIT_PUBLIC int ait_event_set(ait_event *event)
{
    if (!event)
        return -EINVAL;
    LOOP_CHECK(event->counted.loop);
    if (event->set)
        return 0;
    event->set = true;
    wait_serve_all(&event->waiters);
    return 1;
}

AIT_PUBLIC int ait_event_clear(ait_event *event)
{
    bool was;

    if (!event)
        return -EINVAL;
    LOOP_CHECK(event->counted.loop);
    was = event->set;
    event->set = false;
    return was;
}

AIT_PUBLIC int ait_event_is_set(const ait_event *event)
{
    return event ? event->set : -EINVAL;
}

AIT_PUBLIC int ait_event_wait(ait_event *event)
{
    const struct wait what = {.kind = "event", .object = event};
    struct waiter w;
    struct ait_loop *loop;
    bool served;
    int r;

    if (!event)
        return -EINVAL;
    LOOP_CHECK(event->counted.loop);
    r = op_enter(&loop, &w.task);
    if (r < 0 || event->set)
        return r;
    event->counted.refs++;
    served = wait_in(loop, &event->waiters, &w, &what);
    ait_event_unref(event);
    return served ? 0 : -ECANCELED;
}

/* ---- mutex ----------------------------------------------------------------------------------- */

/* The first in the mutex's list also waits for the end of the owner's task, on behalf of all. */
struct mutex_waiter {
    struct waiter waiter; /* first */
    struct waiter end;    /* in the owner's future, or in no list */
    bool orphaned;        /* the owner has ended: it was let go without the mutex */
};

static void mutex_done(struct ait_mutex *m)
{
    ait_task_unref(m->owner);
}

DEFINE_COUNTED(ait_mutex, mutex_done);

AIT_PUBLIC int ait_mutex_new(ait_mutex **ret)
{
    struct ait_mutex *m;
    int r = -EINVAL;

    if (!ret)
        return r;
    m = counted_new(sizeof(*m), &r);
    if (!m)
        return r;
    list_init(&m->waiters);
    *ret = m;
    return 0;
}

/* The owner is referenced: else another task, in the memory of an ended one, would pass for it. */
static void mutex_give(struct ait_mutex *m, struct ait_task *t)
{
    m->owner = ait_task_ref(t);
}

static struct mutex_waiter *mutex_first(struct ait_mutex *m)
{
    return container_of(m->waiters.next, struct mutex_waiter, waiter.link);
}

static bool mutex_is_orphan(const struct ait_mutex *m)
{
    return m->owner && m->owner->state == TASK_ENDED;
}

/* The task that is now first watches the owner. If the owner has ended, no task waits any more. */
static void mutex_watch(struct ait_mutex *m)
{
    if (mutex_is_orphan(m)) {
        while (!list_empty(&m->waiters)) {
            struct mutex_waiter *mw = mutex_first(m);

            mw->orphaned = true;
            list_remove(&mw->end.link);
            (void)wait_serve(&m->waiters);
        }
    } else if (!list_empty(&m->waiters) && list_empty(&mutex_first(m)->end.link)) {
        list_append(&m->owner->future.waiters, &mutex_first(m)->end.link);
    }
}

static void mutex_join(struct ait_mutex *m, struct mutex_waiter *mw)
{
    mw->end.task = mw->waiter.task;
    list_init(&mw->end.link);
    list_append(&m->waiters, &mw->waiter.link);
    mutex_watch(m);
}

static void mutex_quit(struct ait_mutex *m, struct mutex_waiter *mw)
{
    list_remove(&mw->waiter.link);
    list_remove(&mw->end.link);
    mutex_watch(m);
}

static void mutex_release(struct ait_mutex *m)
{
    struct ait_task *owner = m->owner;

    m->owner = NULL;
    if (!list_empty(&m->waiters)) {
        list_remove(&mutex_first(m)->end.link);
        mutex_give(m, wait_serve(&m->waiters)->task);
        mutex_watch(m);
    }
    ait_task_unref(owner);
}

/* Until mw was served or let go. state TASK_PARKED: or its task is cancelled. */
static void mutex_suspend(struct ait_loop *loop, struct ait_mutex *m, struct mutex_waiter *mw,
                          enum task_state state)
{
    const struct wait what = {.kind = "mutex", .object = m};
    struct ait_task *t = mw->waiter.task;

    while (!list_empty(&mw->waiter.link)) {
        task_suspend_in(loop, t, state, &what);
        if (!list_empty(&mw->waiter.link) && mutex_is_orphan(m))
            mutex_watch(m);
        if (state == TASK_PARKED && t->scope->effective)
            return;
    }
}

/* 0: taken; -EBUSY: another task holds it. */
static int mutex_try(struct ait_mutex *m, struct ait_task *t)
{
    if (likely(!m->owner)) {
        mutex_give(m, t);
        return 0;
    }
    if (m->owner == t)
        return -EDEADLK;
    return m->owner->state == TASK_ENDED ? -EOWNERDEAD : -EBUSY;
}

AIT_PUBLIC int ait_mutex_lock(ait_mutex *mutex)
{
    struct mutex_waiter mw = {};
    struct ait_loop *loop;
    int r;

    if (!mutex)
        return -EINVAL;
    LOOP_CHECK(mutex->counted.loop);
    r = op_enter(&loop, &mw.waiter.task);
    if (r < 0)
        return r;
    r = mutex_try(mutex, mw.waiter.task);
    if (r != -EBUSY)
        return r;
    mutex->counted.refs++;
    mutex_join(mutex, &mw);
    mutex_suspend(loop, mutex, &mw, TASK_PARKED);
    if (list_empty(&mw.waiter.link)) {
        r = mw.orphaned ? -EOWNERDEAD : 0;
    } else {
        mutex_quit(mutex, &mw);
        r = -ECANCELED;
    }
    ait_mutex_unref(mutex);
    return r;
}

AIT_PUBLIC int ait_mutex_try_lock(ait_mutex *mutex)
{
    struct ait_task *t = ait_task_current();

    if (!mutex)
        return -EINVAL;
    LOOP_CHECK(mutex->counted.loop);
    return t ? mutex_try(mutex, t) : -EPERM;
}

AIT_PUBLIC int ait_mutex_unlock(ait_mutex *mutex)
{
    if (!mutex)
        return -EINVAL;
    LOOP_CHECK(mutex->counted.loop);
    if (!mutex->owner || mutex->owner != this_loop->current)
        return -EPERM;
    mutex_release(mutex);
    return 0;
}

AIT_PUBLIC int ait_mutex_is_locked(const ait_mutex *mutex)
{
    return mutex ? mutex->owner != NULL : -EINVAL;
}

/* ---- semaphore ------------------------------------------------------------------------------- */

DEFINE_COUNTED(ait_semaphore, NOTHING);

AIT_PUBLIC int ait_semaphore_new(ait_semaphore **ret, unsigned value, unsigned max)
{
    struct ait_semaphore *s;
    int r = -EINVAL;

    if (!ret || (max > 0 && value > max))
        return r;
    s = counted_new(sizeof(*s), &r);
    if (!s)
        return r;
    s->value = value;
    s->max = max > 0 ? max : UINT_MAX;
    list_init(&s->waiters);
    *ret = s;
    return 0;
}

AIT_PUBLIC int ait_semaphore_acquire(ait_semaphore *semaphore)
{
    const struct wait what = {.kind = "semaphore", .object = semaphore};
    struct waiter w;
    struct ait_loop *loop;
    bool served;
    int r;

    if (!semaphore)
        return -EINVAL;
    LOOP_CHECK(semaphore->counted.loop);
    r = op_enter(&loop, &w.task);
    if (r < 0)
        return r;
    if (semaphore->value > 0) {
        semaphore->value--;
        return 0;
    }
    semaphore->counted.refs++;
    served = wait_in(loop, &semaphore->waiters, &w, &what);
    ait_semaphore_unref(semaphore);
    return served ? 0 : -ECANCELED;
}

AIT_PUBLIC int ait_semaphore_try_acquire(ait_semaphore *semaphore)
{
    if (!semaphore)
        return -EINVAL;
    LOOP_CHECK(semaphore->counted.loop);
    if (semaphore->value == 0)
        return -EAGAIN;
    semaphore->value--;
    return 0;
}

AIT_PUBLIC int ait_semaphore_release(ait_semaphore *semaphore)
{
    if (!semaphore)
        return -EINVAL;
    LOOP_CHECK(semaphore->counted.loop);
    if (!list_empty(&semaphore->waiters)) {
        (void)wait_serve(&semaphore->waiters);
        return 0;
    }
    if (semaphore->value == semaphore->max)
        return -EOVERFLOW;
    semaphore->value++;
    return 0;
}

AIT_PUBLIC int ait_semaphore_value(const ait_semaphore *semaphore)
{
    if (!semaphore)
        return -EINVAL;
    return semaphore->value < INT_MAX ? (int)semaphore->value : INT_MAX;
}

/* ---- as one of several cases ----------------------------------------------------------------- */

bool event_select(struct ait_event *event)
{
    return event->set;
}

struct list *event_select_list(struct ait_event *event)
{
    return &event->waiters;
}

struct ait_loop *event_loop(const struct ait_event *event)
{
    return event->counted.loop;
}

bool semaphore_select(struct ait_semaphore *semaphore)
{
    bool taken = semaphore->value > 0;

    semaphore->value -= taken;
    return taken;
}

struct list *semaphore_select_list(struct ait_semaphore *semaphore)
{
    return &semaphore->waiters;
}

struct ait_loop *semaphore_loop(const struct ait_semaphore *semaphore)
{
    return semaphore->counted.loop;
}

/* ---- condition ------------------------------------------------------------------------------- */

/*
 * The waiter is in the condition's list until it is notified, then in the mutex's: its task is not
 * woken before it holds the mutex.
 */
struct condition_waiter {
    struct mutex_waiter mw; /* first */
    struct ait_mutex *mutex;
    bool notified;
    bool alone;    /* the notification was for one */
    bool circular; /* who holds the mutex waits for us to end: it is not taken back */
};

DEFINE_COUNTED(ait_condition, NOTHING);

AIT_PUBLIC int ait_condition_new(ait_condition **ret)
{
    struct ait_condition *c;
    int r = -EINVAL;

    if (!ret)
        return r;
    c = counted_new(sizeof(*c), &r);
    if (!c)
        return r;
    list_init(&c->waiters);
    *ret = c;
    return 0;
}

/* Brings a waiter that is in no list to the mutex. */
static void condition_relock(struct condition_waiter *cw)
{
    struct ait_mutex *m = cw->mutex;

    if (m->owner) {
        mutex_join(m, &cw->mw);
        return;
    }
    mutex_give(m, cw->mw.waiter.task);
    task_wake(cw->mw.waiter.task);
}

static int condition_notify(struct ait_condition *c, unsigned n, bool alone)
{
    int woken = 0;

    for (; n > 0 && !list_empty(&c->waiters); n--, woken++) {
        struct condition_waiter *cw =
            container_of(c->waiters.next, struct condition_waiter, mw.waiter.link);

        list_remove(&cw->mw.waiter.link);
        cw->notified = true;
        cw->alone = alone;
        condition_relock(cw);
    }
    return woken;
}

/* Waits for the notification, unless the task is cancelled first, and for the mutex in any case. */
static void condition_suspend(struct ait_loop *loop, struct ait_condition *c,
                              struct condition_waiter *cw)
{
    const struct wait what = {.kind = "condition", .object = c};
    struct ait_task *t = cw->mw.waiter.task;

    list_append(&c->waiters, &cw->mw.waiter.link);
    mutex_release(cw->mutex);
    do
        task_suspend_in(loop, t, TASK_PARKED, &what);
    while (!cw->notified && !t->scope->effective);
    if (!cw->notified) {
        list_remove(&cw->mw.waiter.link);
        condition_relock(cw);
    }
    if (!list_empty(&cw->mw.waiter.link) && mutex_is_orphan(cw->mutex))
        mutex_watch(cw->mutex);
    cw->circular = !list_empty(&cw->mw.waiter.link) && lock_is_circular(t, cw->mutex->owner);
    if (cw->circular)
        mutex_quit(cw->mutex, &cw->mw);
    else
        mutex_suspend(loop, cw->mutex, &cw->mw, TASK_RELOCKING);
}

AIT_PUBLIC int ait_condition_wait(ait_condition *condition, ait_mutex *mutex)
{
    struct condition_waiter cw = {.mutex = mutex};
    struct ait_loop *loop;
    int r;

    if (!condition || !mutex)
        return -EINVAL;
    LOOP_CHECK(condition->counted.loop);
    LOOP_CHECK(mutex->counted.loop);
    r = op_enter(&loop, &cw.mw.waiter.task);
    if (r < 0)
        return r;
    if (mutex->owner != cw.mw.waiter.task)
        return -EPERM;
    condition->counted.refs++;
    mutex->counted.refs++;
    condition_suspend(loop, condition, &cw);
    if (cw.mw.orphaned)
        r = -EOWNERDEAD;
    else if (cw.circular)
        r = -EDEADLK;
    else if (!cw.notified || cw.mw.waiter.task->scope->effective)
        r = -ECANCELED;
    if (r < 0 && cw.notified && cw.alone)
        (void)condition_notify(condition, 1, true);
    ait_mutex_unref(mutex);
    ait_condition_unref(condition);
    return r;
}

AIT_PUBLIC int ait_condition_notify(ait_condition *condition, unsigned n)
{
    if (!condition)
        return -EINVAL;
    LOOP_CHECK(condition->counted.loop);
    return condition_notify(condition, n, true);
}

AIT_PUBLIC int ait_condition_notify_all(ait_condition *condition)
{
    if (!condition)
        return -EINVAL;
    LOOP_CHECK(condition->counted.loop);
    return condition_notify(condition, UINT_MAX, false);
}

/* ---- barrier --------------------------------------------------------------------------------- */

struct barrier_waiter {
    struct waiter waiter;
    int result;
};

DEFINE_COUNTED(ait_barrier, NOTHING);

AIT_PUBLIC int ait_barrier_new(ait_barrier **ret, unsigned parties)
{
    struct ait_barrier *b;
    int r = -EINVAL;

    if (!ret || parties == 0 || parties > INT_MAX)
        return r;
    b = counted_new(sizeof(*b), &r);
    if (!b)
        return r;
    b->parties = parties;
    list_init(&b->waiters);
    *ret = b;
    return 0;
}

static void barrier_let_go(struct ait_barrier *b, int result)
{
    b->n_waiting = 0;
    while (!list_empty(&b->waiters))
        container_of(wait_serve(&b->waiters), struct barrier_waiter, waiter)->result = result;
}

static void barrier_break(struct ait_barrier *b)
{
    b->broken = true;
    barrier_let_go(b, -ECONNABORTED);
}

AIT_PUBLIC int ait_barrier_wait(ait_barrier *barrier)
{
    const struct wait what = {.kind = "barrier", .object = barrier};
    struct barrier_waiter bw = {};
    struct ait_loop *loop;
    int r;

    if (!barrier)
        return -EINVAL;
    LOOP_CHECK(barrier->counted.loop);
    r = op_enter(&loop, &bw.waiter.task);
    if (r < 0)
        return r;
    if (barrier->broken)
        return -ECONNABORTED;
    if (barrier->n_waiting + 1 == barrier->parties) {
        barrier_let_go(barrier, 0);
        return 1;
    }
    barrier->n_waiting++;
    barrier->counted.refs++;
    if (!wait_in(loop, &barrier->waiters, &bw.waiter, &what)) {
        bw.result = -ECANCELED;
        barrier_break(barrier);
    }
    ait_barrier_unref(barrier);
    return bw.result;
}

AIT_PUBLIC int ait_barrier_reset(ait_barrier *barrier)
{
    if (!barrier)
        return -EINVAL;
    LOOP_CHECK(barrier->counted.loop);
    barrier_let_go(barrier, -ECONNABORTED);
    barrier->broken = false;
    return 0;
}

AIT_PUBLIC int ait_barrier_abort(ait_barrier *barrier)
{
    if (!barrier)
        return -EINVAL;
    LOOP_CHECK(barrier->counted.loop);
    barrier_break(barrier);
    return 0;
}

AIT_PUBLIC int ait_barrier_is_broken(const ait_barrier *barrier)
{
    return barrier ? barrier->broken : -EINVAL;
}
