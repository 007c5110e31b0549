/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reuseport.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "socket.h"
#include "steering.h"

#ifndef SO_DETACH_REUSEPORT_BPF
#define SO_DETACH_REUSEPORT_BPF 68 /* Linux 5.3 */
#endif

void reuseport_init(struct reuseport *g, const struct address *address)
{
    *g = (struct reuseport){.address = *address};
    /* A predictable seed is not a reason to fail. */
    (void)!getrandom(&g->seed, sizeof g->seed, GRND_NONBLOCK);
}

void reuseport_done(struct reuseport *g)
{
    if (!g)
        return;
    for (unsigned slot = 0; slot < g->n_fds; slot++)
        if (g->fds[slot] >= 0)
            close(g->fds[slot]);
    free(g->fds);
    free(g->order);
    *g = (struct reuseport){0};
}

int reuseport_fd(const struct reuseport *g, unsigned slot)
{
    return slot < g->n_fds ? g->fds[slot] : -1;
}

static unsigned count(const struct reuseport *g)
{
    unsigned n = 0;

    for (unsigned slot = 0; slot < g->n_fds; slot++)
        n += g->fds[slot] >= 0;
    return n;
}

static int grow(struct reuseport *g, unsigned slot)
{
    unsigned n = slot + 1;
    unsigned *order;
    int *fds;

    if (slot >= REUSEPORT_SLOTS_MAX)
        return -ERANGE;
    if (n <= g->n_fds)
        return 0;
    order = reallocarray(g->order, n, sizeof *order);
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

static void order_append(struct reuseport *g, unsigned slot)
{
    g->order[g->n_order++] = slot;
    /* A group that began anew is known from its first member on. */
    if (g->n_order == 1)
        g->order_lost = false;
}

static void order_remove(struct reuseport *g, unsigned slot)
{
    for (unsigned i = 0; i < g->n_order; i++)
        if (g->order[i] == slot) {
            g->order[i] = g->order[--g->n_order];
            break;
        }
    if (g->n_order <= 1)
        g->order_lost = false;
}

static bool is_member(const struct reuseport *g, unsigned slot)
{
    for (unsigned i = 0; i < g->n_order; i++)
        if (g->order[i] == slot)
            return true;
    return false;
}

unsigned reuseport_sync(struct reuseport *g)
{
    unsigned left = 0, dead = 0;

    for (unsigned slot = 0; slot < g->n_fds; slot++) {
        if (g->fds[slot] < 0)
            continue;
        if (!listener_is_dead(g->fds[slot], &g->address))
            continue;
        dead++;
        /* A datagram socket stays in the group for as long as a process has it. */
        if (g->address.type == SOCK_DGRAM || !is_member(g, slot))
            continue;
        left++;
        order_remove(g, slot);
    }
    if (left > 1 && g->n_order > 1)
        g->order_lost = true;
    return dead;
}

/* ---- members --------------------------------------------------------------------------------- */

int reuseport_add(struct reuseport *g, unsigned slot)
{
    struct listener_file no_file = {0};
    int fd, r;

    if (reuseport_fd(g, slot) >= 0)
        return -EEXIST;
    r = grow(g, slot);
    if (r < 0)
        return r;
    fd = listener_open(&g->address, count(g) == 0 ? LISTENER_GROUP_FIRST : LISTENER_GROUP_JOIN,
                       &no_file);
    if (fd < 0)
        return fd;
    /* The address is the group's now, for all that join. */
    g->address.any = false;
    g->fds[slot] = fd;
    order_append(g, slot);
    return 0;
}

void reuseport_remove(struct reuseport *g, unsigned slot)
{
    if (reuseport_fd(g, slot) < 0)
        return;
    reuseport_sync(g);
    /* Takes it out of the group at once, even if other processes have copies. */
    if (g->address.type == SOCK_STREAM)
        (void)shutdown(g->fds[slot], SHUT_RDWR);
    close(g->fds[slot]);
    g->fds[slot] = -1;
    order_remove(g, slot);
}

int reuseport_repair(struct reuseport *g, unsigned slot)
{
    struct listener_file no_file = {0};
    int fd = reuseport_fd(g, slot), r;

    if (fd < 0)
        return 0;
    reuseport_sync(g);
    if (!listener_is_dead(fd, &g->address))
        return 0;
    if (g->address.type == SOCK_DGRAM) {
        /*
         * The dead socket leaves the group when the last process that has it ends, which cannot be
         * seen from here.
         */
        g->order_lost = true;
        r = listener_reopen(fd, &g->address, LISTENER_GROUP_JOIN, &no_file);
        return r < 0 ? r : 1;
    }
    r = listener_relisten(fd, &g->address);
    if (r < 0)
        return r;
    order_append(g, slot);
    return 1;
}

/* ---- steering -------------------------------------------------------------------------------- */

static uint8_t state_of(const struct reuseport *g, unsigned index, const uint8_t *states,
                        unsigned n_states)
{
    return g->order[index] < n_states ? states[g->order[index]] : STEER_AWAY;
}

static unsigned choose(const struct reuseport *g, uint8_t least, const uint8_t *states,
                       unsigned n_states, unsigned *indices)
{
    unsigned n = 0;

    for (unsigned i = 0; i < g->n_order; i++)
        if (state_of(g, i, states, n_states) >= least)
            indices[n++] = i;
    return n;
}

static unsigned eligible(const struct reuseport *g, const uint8_t *states, unsigned n_states,
                         unsigned *indices)
{
    unsigned n = 0;

    if (g->address.type == SOCK_STREAM)
        n = choose(g, STEER_READY, states, n_states, indices);
    if (n == 0)
        n = choose(g, STEER_WAIT, states, n_states, indices);
    if (n == 0)
        n = choose(g, STEER_AWAY, states, n_states, indices);
    return n;
}

/* Any member will do: the program belongs to the group. */
static int detach(int fd)
{
    int zero = 0;

    if (setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &zero, sizeof zero) < 0 &&
        errno != ENOENT)
        return -errno;
    return 0;
}

static int attach(int fd, const struct steering *s)
{
    struct sock_fprog program = {.len = (unsigned short)s->n, .filter = s->code};

    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) < 0)
        return -errno;
    return 0;
}

int reuseport_steer(struct reuseport *g, const uint8_t *states, unsigned n_states)
{
    struct steering s = {0};
    unsigned *indices, n;
    int fd, r;

    reuseport_sync(g);
    /*
     * A single socket is not a group for the kernel until another has joined, and there is nothing
     * to choose.
     */
    if (g->n_order <= 1)
        return 0;
    fd = g->fds[g->order[0]];
    if (g->order_lost)
        return detach(fd);

    indices = calloc(g->n_order, sizeof *indices);
    if (!indices)
        return -ENOMEM;
    n = eligible(g, states, n_states, indices);
    r = g->address.type == SOCK_STREAM ? steering_random(&s, indices, n)
                                       : steering_by_sender(&s, indices, n, g->seed);
    if (r == 0)
        r = attach(fd, &s);
    steering_done(&s);
    free(indices);
    return r;
}

ssize_t reuseport_pending(const struct reuseport *g, unsigned slot)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    int fd = reuseport_fd(g, slot);

    if (fd < 0)
        return -ENOENT;
    if (g->address.type != SOCK_STREAM)
        return 0;
    memset(&info, 0, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return -errno;
    /* On a listener this field is the length of the accept queue. */
    return info.tcpi_state == TCP_LISTEN ? (ssize_t)info.tcpi_unacked : 0;
}
