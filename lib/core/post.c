/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An eventfd in the poll set. Posted functions go onto a stack that one exchange takes whole. Only
 * a thread that finds it empty must ring.
 */

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "current.h"
#include "drive.h"
#include "post.h"
#include "scheduler.h"

static struct post *reversed(struct post *p)
{
    struct post *first = NULL, *next;

    for (; p; p = next) {
        next = p->next;
        p->next = first;
        first = p;
    }
    return first;
}

static void bell(struct ait_loop *loop, uint32_t events)
{
    struct post *next;
    uint64_t n;

    (void)events;
    (void)!read(loop->watches[WATCH_POST].fd, &n, sizeof(n));
    for (struct post *p = reversed(atomic_exchange(&loop->posted, NULL)); p; p = next) {
        bool lent = p->lent;

        next = p->next;
        p->fn(p->userdata);
        if (!lent)
            free(p);
    }
}

int post_init(struct ait_loop *loop)
{
    int r, fd = fd_above_stdio(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));

    if (fd < 0)
        return -errno;
    r = loop_watch(loop, WATCH_POST, fd, bell);
    if (r < 0)
        (void)close(fd);
    return r;
}

void post_done(struct ait_loop *loop)
{
    struct post *next;

    if (loop->watches[WATCH_POST].ready)
        (void)close(loop->watches[WATCH_POST].fd);
    loop->watches[WATCH_POST].ready = NULL;
    for (struct post *p = atomic_exchange(&loop->posted, NULL); p; p = next) {
        next = p->next;
        if (!p->lent)
            free(p);
    }
}

static void post_push(struct ait_loop *loop, struct post *p)
{
    struct post *before = atomic_load_explicit(&loop->posted, memory_order_relaxed);

    /* From the exchange on p is the loop's, which may be done with it at once. */
    do
        p->next = before;
    while (!atomic_compare_exchange_weak(&loop->posted, &before, p));
    if (!before)
        loop_ring(loop);
}

void post_lent(struct ait_loop *loop, struct post *p)
{
    p->lent = true;
    post_push(loop, p);
}

AIT_PUBLIC int ait_loop_post(ait_loop *loop, ait_post_fn fn, void *userdata)
{
    struct post *p;

    if (!loop || !fn)
        return -EINVAL;
    /* The bell is one object with the parent's. */
    if (loop->fork_generation != loop_fork_generation)
        return -ECHILD;
    p = malloc(sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->fn = fn;
    p->userdata = userdata;
    p->lent = false;
    post_push(loop, p);
    return 0;
}
