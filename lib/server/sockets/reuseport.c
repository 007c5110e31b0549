/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reuseport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "steering.h"

#ifndef SO_DETACH_REUSEPORT_BPF
#define SO_DETACH_REUSEPORT_BPF 68 /* Linux 5.3 */
#endif

void reuseport_init(struct reuseport *g, const struct address *address)
{
    *g = (struct reuseport){.address = *address, .watch = -1};
    /* A predictable seed is not a reason to fail. */
    (void)!getrandom(&g->seed, sizeof g->seed, GRND_NONBLOCK);
}

void reuseport_done(struct reuseport *g)
{
    if (!g)
        return;
    for (unsigned member = 0; member < g->n_fds; member++)
        if (g->fds[member] >= 0)
            listener_close(g->fds[member]);
    if (g->watch >= 0)
        close(g->watch);
    free(g->fds);
    free(g->order);
    *g = (struct reuseport){.watch = -1};
}

int reuseport_fd(const struct reuseport *g, unsigned member)
{
    return member < g->n_fds ? g->fds[member] : -1;
}

static unsigned count(const struct reuseport *g)
{
    unsigned n = 0;

    for (unsigned member = 0; member < g->n_fds; member++)
        n += g->fds[member] >= 0;
    return n;
}

static int grow(struct reuseport *g, unsigned member)
{
    unsigned n = member + 1;
    unsigned *order;
    int *fds;

    if (member >= REUSEPORT_MEMBERS_MAX)
        return -ERANGE;
    if (n <= g->n_fds)
        return 0;
    /* One that is renewed is there twice, for a moment. */
    order = reallocarray(g->order, n + 1, sizeof *order);
    if (!order)
        return -ENOMEM;
    g->order = order;
    fds = reallocarray(g->fds, n, sizeof *fds);
    if (!fds)
        return -ENOMEM;
    g->fds = fds;
    for (; g->n_fds < n; g->n_fds++)
        fds[g->n_fds] = -1;
    return 0;
}

/* ---- the mirror of the kernel's array -------------------------------------------------------- */

static void order_append(struct reuseport *g, unsigned member)
{
    g->order[g->n_order++] = member;
    /* A group that began anew is known from its first member on. */
    if (g->n_order == 1)
        g->order_lost = false;
}

static void order_remove(struct reuseport *g, unsigned member)
{
    for (unsigned i = 0; i < g->n_order; i++)
        if (g->order[i] == member) {
            g->order[i] = g->order[--g->n_order];
            break;
        }
    if (g->n_order <= 1)
        g->order_lost = false;
}

static bool in_group(const struct reuseport *g, unsigned member)
{
    for (unsigned i = 0; i < g->n_order; i++)
        if (g->order[i] == member)
            return true;
    return false;
}

/* Reports that a socket was shut down, once, and neither connections nor datagrams. */
static int watch(struct reuseport *g, unsigned member, int fd)
{
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.u32 = member};

    if (g->watch < 0)
        g->watch = epoll_create1(EPOLL_CLOEXEC);
    return g->watch < 0 || epoll_ctl(g->watch, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

bool reuseport_is_dead(const struct reuseport *g, unsigned member)
{
    int fd = reuseport_fd(g, member);

    if (fd < 0)
        return false;
    /* A datagram socket stays in the group for as long as a process has it. */
    return g->address.type == SOCK_DGRAM ? listener_is_dead(fd, &g->address) : !in_group(g, member);
}

/* One that was connected at once after its shutdown is not reported. */
static void follow_closely(struct reuseport *g, unsigned member)
{
    if (g->address.type == SOCK_STREAM && in_group(g, member) &&
        listener_is_dead(g->fds[member], &g->address))
        order_remove(g, member);
}

/* Takes those that were shut down out of the mirror. */
static void follow(struct reuseport *g)
{
    struct epoll_event events[16];
    int n = 0;

    do {
        n = g->watch < 0 ? 0 : epoll_wait(g->watch, events, 16, 0);
        for (int i = 0; i < n; i++)
            if (g->address.type == SOCK_STREAM)
                order_remove(g, events[i].data.u32);
    } while (n > 0);
}

unsigned reuseport_sync(struct reuseport *g)
{
    unsigned dead = 0;

    follow(g);
    for (unsigned member = 0; member < g->n_fds; member++)
        dead += reuseport_is_dead(g, member);
    return dead;
}

/* ---- members --------------------------------------------------------------------------------- */

/* Nobody joins members without them, and a worker may clear them on its own. */
static void let_join(const struct reuseport *g)
{
    int one = 1;

    for (unsigned member = 0; member < g->n_fds; member++) {
        if (g->fds[member] < 0)
            continue;
        (void)setsockopt(g->fds[member], SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
        if (g->address.type == SOCK_STREAM)
            (void)setsockopt(g->fds[member], SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    }
}

static int open_member(struct reuseport *g)
{
    struct listener_file no_file = {0};
    bool first = count(g) == 0;
    int fd =
        listener_open(&g->address, first ? LISTENER_GROUP_FIRST : LISTENER_GROUP_JOIN, &no_file);

    if (fd != -EADDRINUSE || first)
        return fd;
    let_join(g);
    return listener_open(&g->address, LISTENER_GROUP_JOIN, &no_file);
}

int reuseport_add(struct reuseport *g, unsigned member)
{
    int fd, r;

    if (reuseport_fd(g, member) >= 0)
        return -EEXIST;
    r = grow(g, member);
    if (r < 0)
        return r;
    fd = open_member(g);
    if (fd < 0)
        return fd;
    r = watch(g, member, fd);
    if (r < 0) {
        close(fd);
        return r;
    }
    /* The address is the group's now, for all that join. */
    g->address.any = false;
    g->fds[member] = fd;
    order_append(g, member);
    return 0;
}

void reuseport_remove(struct reuseport *g, unsigned member)
{
    if (reuseport_fd(g, member) < 0)
        return;
    follow(g);
    /* Copies of other processes would keep it in the epoll. */
    (void)epoll_ctl(g->watch, EPOLL_CTL_DEL, g->fds[member], NULL);
    /* Takes it out of the group at once, even if other processes have copies. */
    if (g->address.type == SOCK_STREAM && !listener_is_dead(g->fds[member], &g->address)) {
        (void)shutdown(g->fds[member], SHUT_RDWR);
        close(g->fds[member]);
    } else {
        listener_close(g->fds[member]);
    }
    g->fds[member] = -1;
    order_remove(g, member);
}

/* The new socket joins before the old one leaves. */
int reuseport_renew(struct reuseport *g, unsigned member)
{
    struct listener_file no_file = {0};
    int fd = reuseport_fd(g, member), r;
    bool was_in;

    if (fd < 0)
        return -ENOENT;
    follow(g);
    follow_closely(g, member);
    was_in = in_group(g, member);
    /* Copies of other processes would keep it in the epoll. */
    (void)epoll_ctl(g->watch, EPOLL_CTL_DEL, fd, NULL);
    r = listener_reopen(fd, &g->address, LISTENER_GROUP_JOIN, &no_file);
    if (r < 0) {
        (void)watch(g, member, fd);
        return r;
    }
    if (g->address.type == SOCK_DGRAM) {
        /* The old one leaves the group when the last process that has it ends: unseen from here. */
        g->order_lost = true;
    } else {
        order_append(g, member);
        if (was_in)
            order_remove(g, member);
    }
    return watch(g, member, fd);
}

int reuseport_repair(struct reuseport *g, unsigned member)
{
    int fd = reuseport_fd(g, member), r;

    if (fd < 0)
        return 0;
    follow(g);
    follow_closely(g, member);
    if (!reuseport_is_dead(g, member))
        return 0;
    /* A datagram socket that had a peer has left its group, and is not let in again. */
    r = g->address.type == SOCK_DGRAM ? -EBADFD : listener_relisten(fd, &g->address);
    if (r == 0)
        order_append(g, member);
    else
        r = reuseport_renew(g, member);
    return r < 0 ? r : 1;
}

/* ---- steering -------------------------------------------------------------------------------- */

/* Of kernel index to member, the first n, whose state is at least the given one. */
static unsigned choose(const struct reuseport *g, unsigned n, uint8_t least, const uint8_t *states,
                       unsigned n_states, unsigned *indices)
{
    unsigned chosen = 0;

    for (unsigned i = 0; i < n; i++) {
        uint8_t state = g->order[i] < n_states ? states[g->order[i]] : STEER_AWAY;

        if (state >= least)
            indices[chosen++] = i;
    }
    return chosen;
}

static unsigned eligible(const struct reuseport *g, const uint8_t *states, unsigned n_states,
                         bool without_last, unsigned *indices)
{
    static const uint8_t levels[] = {STEER_READY, STEER_WAIT, STEER_AWAY};
    unsigned n = 0;

    for (size_t i = g->address.type == SOCK_STREAM ? 0 : 1; i < sizeof levels && n == 0; i++) {
        n = choose(g, g->n_order, levels[i], states, n_states, indices);
        if (without_last && n > 1 && indices[n - 1] == g->n_order - 1)
            n--;
    }
    return n;
}

/*
 * Any member will do: the program belongs to the group. But a worker may have locked its own
 * (SO_LOCK_FILTER).
 */
static int set_program(const struct reuseport *g, int option, const void *value, socklen_t size)
{
    int r = 0, locked = 0;

    for (unsigned i = 0; i < g->n_order; i++) {
        int fd = g->fds[g->order[i]];
        socklen_t n = sizeof locked;

        r = setsockopt(fd, SOL_SOCKET, option, value, size) < 0 ? -errno : 0;
        if (r != -EPERM || getsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &locked, &n) < 0 || !locked)
            break;
    }
    return r == -EPERM && locked ? -EBUSY : r;
}

static int detach(const struct reuseport *g)
{
    int zero = 0;
    int r = set_program(g, SO_DETACH_REUSEPORT_BPF, &zero, sizeof zero);

    return r == -ENOENT ? 0 : r;
}

static int attach(const struct reuseport *g, const struct steering *s)
{
    struct sock_fprog program = {.len = (unsigned short)s->n, .filter = s->code};

    return set_program(g, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
}

static int steer_once(struct reuseport *g, const uint8_t *states, unsigned n_states,
                      bool without_last)
{
    struct steering s = {0};
    unsigned *indices, n;
    int r;

    follow(g);
    if (g->n_order == 0)
        return 0;
    if (g->order_lost)
        return detach(g);

    indices = calloc(g->n_order, sizeof *indices);
    if (!indices)
        return -ENOMEM;
    n = eligible(g, states, n_states, without_last, indices);
    r = g->address.type == SOCK_STREAM ? steering_random(&s, indices, n)
                                       : steering_by_sender(&s, indices, n, g->seed);
    if (r == 0)
        r = attach(g, &s);
    /* The first socket is not a group for the kernel until another has joined. */
    if ((r == -EINVAL || r == -EBUSY) && g->n_order == 1)
        r = 0;
    steering_done(&s);
    free(indices);
    return r;
}

static int steer(struct reuseport *g, const uint8_t *states, unsigned n_states, bool without_last)
{
    int r = steer_once(g, states, n_states, without_last);

    if (r != -EINVAL)
        return r;
    /* The one that it was tried on is not in the group any more. */
    for (unsigned member = 0; member < g->n_fds; member++)
        follow_closely(g, member);
    return steer_once(g, states, n_states, without_last);
}

int reuseport_steer(struct reuseport *g, const uint8_t *states, unsigned n_states)
{
    return steer(g, states, n_states, false);
}

int reuseport_make_way(struct reuseport *g, const uint8_t *states, unsigned n_states)
{
    return g->address.type == SOCK_STREAM ? steer(g, states, n_states, true) : 0;
}

int reuseport_queue(const struct reuseport *g, unsigned member, struct listener_queue *ret)
{
    int fd = reuseport_fd(g, member);

    return fd < 0 ? -ENOENT : listener_queue(fd, &g->address, ret);
}

ssize_t reuseport_pending(const struct reuseport *g, unsigned member)
{
    struct listener_queue queue;
    int r = reuseport_queue(g, member, &queue);

    return r < 0 ? r : (ssize_t)queue.waiting;
}
