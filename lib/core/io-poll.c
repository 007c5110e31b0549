/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Waiting for fds that other code reads, writes and closes. Nothing that the loop remembers of an
 * fd is used here, since it may be about a file that has gone: each wait registers the fd for
 * itself, level-triggered and for one event, and takes the registration away at its end.
 *
 * If our own calls use the same fd, it has an edge-triggered registration already, and epoll allows
 * no second one. Then each wait renews that one, which has the kernel report what is ready now.
 */

#include <poll.h>
#include <sys/epoll.h>

#include "io-call.h"
#include "poller.h"

/* EPOLLIN and the others are the bits of poll(2). */
#define POLL_EVENTS                                                                                \
    (EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDNORM | EPOLLRDBAND | EPOLLWRNORM | EPOLLWRBAND |       \
     EPOLLRDHUP)

_Static_assert(EPOLLIN == POLLIN && EPOLLPRI == POLLPRI && EPOLLOUT == POLLOUT &&
                   EPOLLRDNORM == POLLRDNORM && EPOLLRDBAND == POLLRDBAND &&
                   EPOLLWRNORM == POLLWRNORM && EPOLLWRBAND == POLLWRBAND &&
                   EPOLLRDHUP == POLLRDHUP,
               "poll(2) and epoll(7) share their bits");

void pollers_wake(struct fd_entry *e, uint32_t events)
{
    for (struct list *l = e->pollers.next, *next; l != &e->pollers; l = next) {
        struct poller *p = container_of(l, struct poller, link);

        next = l->next;
        if (!(events & (p->events | EPOLLERR | EPOLLHUP)))
            continue;
        list_remove(l);
        task_wake(p->task);
    }
}

uint32_t pollers_events(const struct fd_entry *e)
{
    uint32_t events = 0;

    for (const struct list *l = e->pollers.next; l != &e->pollers; l = l->next)
        events |= container_of(l, const struct poller, link)->events;
    return events;
}

/* op is the one that does, unless the fd was closed without our knowledge. */
static int arm(struct ait_loop *loop, int op, int fd, struct fd_entry *e)
{
    if (e->flags & FD_REGISTERED)
        return fd_register(loop, fd, e, 0);
    return fd_control(loop, op, fd, e, pollers_events(e) | EPOLLONESHOT);
}

int poller_join(struct ait_loop *loop, int fd, struct poller *p)
{
    struct fd_entry *e = p->entry;
    bool first = list_empty(&e->pollers);
    int r;

    list_append(&e->pollers, &p->link);
    r = arm(loop, first ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, e);
    if (r < 0)
        list_remove(&p->link);
    return r;
}

void poller_leave(struct ait_loop *loop, int fd, struct poller *p)
{
    struct fd_entry *e = p->entry;

    list_remove(&p->link);
    if (e->generation != p->generation || (e->flags & FD_REGISTERED))
        return;
    /* Another one that waits may not have been meant by the event that ended the registration. */
    if (list_empty(&e->pollers))
        (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    else
        (void)arm(loop, EPOLL_CTL_MOD, fd, e);
}

int poller_init(struct poller *p, struct ait_loop *loop, struct ait_task *t,
                const struct pollfd *fd)
{
    int r;

    *p = (struct poller){.task = t, .events = (uint16_t)fd->events & POLL_EVENTS};
    list_init(&p->link);
    if (fd->fd < 0)
        return 0;
    r = fdtable_get(&loop->fds, fd->fd, &p->entry);
    if (r >= 0)
        p->generation = p->entry->generation;
    return r;
}

/* Entries whose fd was closed meanwhile; their numbers may be other files by now. */
static int find_closed(const struct poller *pollers, struct pollfd *fds, size_t n)
{
    int n_closed = 0;

    for (size_t i = 0; i < n; i++)
        n_closed += fds[i].fd >= 0 && pollers[i].entry->generation != pollers[i].generation;
    for (size_t i = 0; i < n && n_closed > 0; i++)
        fds[i].revents =
            fds[i].fd >= 0 && pollers[i].entry->generation != pollers[i].generation ? POLLNVAL : 0;
    return n_closed;
}

/* One wait; the caller finds out why it has ended. */
static int wait_once(struct ait_loop *loop, struct ait_task *t, const struct pollfd *fds,
                     struct poller *pollers, size_t n, const struct wait *wait)
{
    size_t joined = 0;
    int r = 0;

    for (; joined < n && r >= 0; joined++)
        if (fds[joined].fd >= 0)
            r = poller_join(loop, fds[joined].fd, pollers + joined);
    if (r >= 0)
        task_suspend_in(loop, t, TASK_PARKED, wait);
    while (joined-- > 0)
        if (fds[joined].fd >= 0)
            poller_leave(loop, fds[joined].fd, pollers + joined);
    return r;
}

static int poll_all(struct pollfd *fds, struct poller *pollers, size_t n, const struct wait *wait)
{
    struct ait_loop *loop = this_loop;
    struct ait_task *t = loop ? loop->current : NULL;
    int r = 0;

    if (!t)
        return op_refused(loop);
    for (size_t i = 0; i < n && r >= 0; i++)
        r = poller_init(pollers + i, loop, t, fds + i);
    if (r >= 0)
        r = op_enter(&loop, &t);
    while (r >= 0) {
        r = find_closed(pollers, fds, n);
        if (r > 0)
            return r;
        r = poll(fds, n, 0);
        if (r != 0)
            return r < 0 ? -errno : r;
        if (t->scope->effective)
            return -ECANCELED;
        r = wait_once(loop, t, fds, pollers, n, wait);
    }
    return r;
}

AIT_PUBLIC int ait_poll(int fd, short events)
{
    const struct wait wait = {.kind = "poll", .value = (uint64_t)fd};
    struct pollfd p = {.fd = fd, .events = events};
    struct poller poller;
    int r;

    if (fd < 0)
        return -EBADF;
    if (((uint16_t)events & POLL_EVENTS) == 0)
        return -EINVAL;
    r = poll_all(&p, &poller, 1, &wait);
    if (r <= 0)
        return r;
    return p.revents & POLLNVAL ? -EBADF : p.revents;
}

AIT_PUBLIC int ait_poll_many(struct pollfd *fds, size_t n)
{
    const struct wait wait = {.kind = "one of the fds at", .object = fds};
    struct poller pollers[AIT_POLL_MAX];

    if (!fds || n == 0 || n > AIT_POLL_MAX)
        return -EINVAL;
    return poll_all(fds, pollers, n, &wait);
}
