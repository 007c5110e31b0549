/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>

#include <aiotools-sd/select.h>

#include "future.h"
#include "now.h"
#include "poller.h"
#include "select.h"
#include "wait.h"

/*
 * First each case is tried, beginning with another one at each call. If none can take effect, the
 * task joins all lists, and is served in one of them (selection.h). Descriptors and times serve
 * nobody: they wake the task, which then looks, and keeps its places in the lists if it was woken
 * in vain.
 */

struct select {
    ait_select_case *cases;
    size_t n;
    uint64_t now, due; /* of the earliest time; AIT_USEC_INFINITY: none */
    size_t due_case;
    size_t default_case; /* n: none */
    bool has_fds;
    struct selection selection;
    struct queue_waiter waiters[AIT_SELECT_MAX];
    struct poller pollers[AIT_SELECT_MAX];
    struct pollfd fds[AIT_SELECT_MAX]; /* of cases without one, -1 */
};

/* Whose case is tried first. */
static _Thread_local unsigned first_case;

/* ---- the cases ------------------------------------------------------------------------------- */

static struct list *case_list(const ait_select_case *c)
{
    switch (c->kind) {
    case AIT_CASE_KIND_AWAIT:
        return c->future ? &c->future->waiters : NULL;
    case AIT_CASE_KIND_EVENT:
        return c->event ? event_select_list(c->event) : NULL;
    case AIT_CASE_KIND_GET:
    case AIT_CASE_KIND_PUT:
        return c->queue ? queue_select_list(c->queue, c->kind) : NULL;
    case AIT_CASE_KIND_ACQUIRE:
        return c->semaphore ? semaphore_select_list(c->semaphore) : NULL;
    default:
        return NULL;
    }
}

static struct ait_loop *case_loop(const ait_select_case *c)
{
    switch (c->kind) {
    case AIT_CASE_KIND_AWAIT:
        return c->future ? c->future->loop : NULL;
    case AIT_CASE_KIND_EVENT:
        return c->event ? event_loop(c->event) : NULL;
    case AIT_CASE_KIND_GET:
    case AIT_CASE_KIND_PUT:
        return c->queue ? queue_loop(c->queue) : NULL;
    case AIT_CASE_KIND_ACQUIRE:
        return c->semaphore ? semaphore_loop(c->semaphore) : NULL;
    default:
        return NULL;
    }
}

static void case_ref(const ait_select_case *c)
{
    switch (c->kind) {
    case AIT_CASE_KIND_AWAIT:
        ait_future_ref(c->future);
        break;
    case AIT_CASE_KIND_EVENT:
        ait_event_ref(c->event);
        break;
    case AIT_CASE_KIND_GET:
    case AIT_CASE_KIND_PUT:
        ait_queue_ref(c->queue);
        break;
    case AIT_CASE_KIND_ACQUIRE:
        ait_semaphore_ref(c->semaphore);
        break;
    default:
        break;
    }
}

static void case_unref(const ait_select_case *c)
{
    switch (c->kind) {
    case AIT_CASE_KIND_AWAIT:
        ait_future_unref(c->future);
        break;
    case AIT_CASE_KIND_EVENT:
        ait_event_unref(c->event);
        break;
    case AIT_CASE_KIND_GET:
    case AIT_CASE_KIND_PUT:
        ait_queue_unref(c->queue);
        break;
    case AIT_CASE_KIND_ACQUIRE:
        ait_semaphore_unref(c->semaphore);
        break;
    default:
        break;
    }
}

/* Whether it has taken effect. */
static bool case_try(struct select *s, size_t i)
{
    ait_select_case *c = s->cases + i;

    switch (c->kind) {
    case AIT_CASE_KIND_POLL:
        c->result = s->fds[i].revents;
        return c->result != 0;
    case AIT_CASE_KIND_AWAIT:
        if (!c->future || !c->future->done)
            return false;
        c->result = c->future->result;
        return true;
    case AIT_CASE_KIND_EVENT:
        c->result = 0;
        return c->event && event_select(c->event);
    case AIT_CASE_KIND_GET:
    case AIT_CASE_KIND_PUT:
        return c->queue && queue_select(c->queue, c);
    case AIT_CASE_KIND_ACQUIRE:
        c->result = 0;
        return c->semaphore && semaphore_select(c->semaphore);
    case AIT_CASE_KIND_AFTER:
    case AIT_CASE_KIND_UNTIL:
        c->result = 0;
        return i == s->due_case && s->due <= s->now;
    default:
        return false;
    }
}

/* ---- looking --------------------------------------------------------------------------------- */

static void add_time(struct select *s, size_t i)
{
    const ait_select_case *c = s->cases + i;
    uint64_t due = c->kind == AIT_CASE_KIND_AFTER ? usec_add(s->now, c->usec) : c->usec;

    if (due >= s->due)
        return;
    s->due = due;
    s->due_case = i;
}

static int take_case(struct select *s, size_t i)
{
    const ait_select_case *c = s->cases + i;
    struct ait_loop *loop = case_loop(c);

    s->fds[i] = (struct pollfd){.fd = -1};
    if (loop)
        LOOP_CHECK(loop);
    switch (c->kind) {
    case AIT_CASE_KIND_POLL:
        s->fds[i] = (struct pollfd){.fd = c->fd, .events = c->events};
        s->has_fds = s->has_fds || c->fd >= 0;
        return c->events ? 0 : -EINVAL;
    case AIT_CASE_KIND_AFTER:
    case AIT_CASE_KIND_UNTIL:
        add_time(s, i);
        return 0;
    case AIT_CASE_KIND_AWAIT:
        return c->future == &s->selection.task->future ? -EDEADLK : 0;
    case AIT_CASE_KIND_GET:
        return c->ret_item ? 0 : -EINVAL;
    case AIT_CASE_KIND_DEFAULT:
        s->default_case = i;
        return 0;
    default:
        return (unsigned)c->kind > AIT_CASE_KIND_DEFAULT ? -EINVAL : 0;
    }
}

/* What the fds have to say. -EBADF: one is none, or is another file by now. */
static int look_at_fds(struct select *s)
{
    if (!s->has_fds)
        return 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->fds[i].fd >= 0 && poller_is_stale(s->pollers + i))
            return -EBADF;
    if (poll(s->fds, s->n, 0) < 0)
        return -errno;
    for (size_t i = 0; i < s->n; i++)
        if (s->fds[i].revents & POLLNVAL)
            return -EBADF;
    return 0;
}

/* The case that has taken effect; -EAGAIN: none can now. */
static int try_all(struct select *s)
{
    size_t i = first_case++ % s->n;
    int r = look_at_fds(s);

    if (r < 0)
        return r;
    for (size_t k = 0; k < s->n; k++, i = i + 1 == s->n ? 0 : i + 1)
        if (case_try(s, i))
            return (int)i;
    return s->default_case < s->n ? (int)s->default_case : -EAGAIN;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void time_is_over(struct timer *timer)
{
    task_wake(container_of(timer, struct ait_task, timer));
}

static void join_lists(struct select *s)
{
    s->selection.waiters = s->waiters;
    s->selection.n = s->n;
    for (size_t i = 0; i < s->n; i++) {
        struct list *list = case_list(s->cases + i);

        s->waiters[i] = (struct queue_waiter){.waiter.task = selection_mark(&s->selection)};
        if (s->cases[i].kind == AIT_CASE_KIND_PUT)
            s->waiters[i].item = s->cases[i].item;
        list_init(&s->waiters[i].waiter.link);
        if (!list)
            continue;
        case_ref(s->cases + i);
        list_append(list, &s->waiters[i].waiter.link);
    }
}

static void leave_lists(struct select *s)
{
    for (size_t i = 0; i < s->n; i++) {
        list_remove(&s->waiters[i].waiter.link);
        if (case_list(s->cases + i))
            case_unref(s->cases + i);
    }
}

/* One suspension. */
static int suspend(struct select *s, struct ait_loop *loop)
{
    const struct wait what = {.kind = "one of the cases at", .object = s->cases};
    struct ait_task *t = s->selection.task;
    size_t joined = 0;
    int r = 0;

    for (; s->has_fds && joined < s->n && r >= 0; joined++)
        if (s->fds[joined].fd >= 0)
            r = poller_join(loop, s->fds[joined].fd, s->pollers + joined);
    if (r >= 0) {
        if (s->due != AIT_USEC_INFINITY)
            timer_arm(&loop->timers, &t->timer, s->due, time_is_over);
        task_suspend_in(loop, t, TASK_PARKED, &what);
        timer_disarm(&loop->timers, &t->timer);
    }
    while (joined-- > 0)
        if (s->fds[joined].fd >= 0)
            poller_leave(loop, s->fds[joined].fd, s->pollers + joined);
    return r;
}

/* What was handed over to the one that was served. */
static int take_served(struct select *s)
{
    struct queue_waiter *w = container_of(s->selection.served, struct queue_waiter, waiter);
    size_t i = (size_t)(w - s->waiters);
    ait_select_case *c = s->cases + i;

    c->result = c->kind == AIT_CASE_KIND_AWAIT ? c->future->result : w->result;
    if (c->kind == AIT_CASE_KIND_GET && w->result > 0)
        *c->ret_item = w->item;
    return (int)i;
}

static int wait_for_one(struct select *s, struct ait_loop *loop)
{
    int r;

    join_lists(s);
    do {
        r = suspend(s, loop);
        if (s->selection.served) {
            r = take_served(s);
            break;
        }
        if (r < 0)
            break;
        s->now = loop_now(loop);
        r = look_at_fds(s);
        for (size_t i = 0; i < s->n && r >= 0; i++)
            if (!case_list(s->cases + i) && case_try(s, i)) {
                leave_lists(s);
                return (int)i;
            }
        if (r >= 0)
            r = s->selection.task->scope->effective ? -ECANCELED : -EAGAIN;
    } while (r == -EAGAIN);
    leave_lists(s);
    return r;
}

AIT_PUBLIC int ait_select(ait_select_case *cases, size_t n)
{
    struct select s;
    struct ait_loop *loop = this_loop;
    struct ait_task *t = loop ? loop->current : NULL;
    int r = 0;

    if (!cases || n == 0 || n > AIT_SELECT_MAX)
        return -EINVAL;
    if (!t)
        return op_refused(loop);
    s.cases = cases;
    s.n = s.default_case = s.due_case = n;
    s.has_fds = false;
    s.due = AIT_USEC_INFINITY;
    s.selection = (struct selection){.task = t};
    s.now = loop_now(loop);
    for (size_t i = 0; i < n && r >= 0; i++)
        r = take_case(&s, i);
    for (size_t i = 0; i < n && r >= 0 && s.has_fds; i++)
        r = poller_init(s.pollers + i, loop, t, s.fds + i);
    if (r >= 0)
        r = op_enter(&loop, &t);
    if (r >= 0)
        r = try_all(&s);
    return r == -EAGAIN ? wait_for_one(&s, loop) : r;
}
