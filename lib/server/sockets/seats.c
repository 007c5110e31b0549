/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "set-internal.h"

#include <errno.h>

/* ---- members --------------------------------------------------------------------------------- */

/* Opens the sockets of a slot or a seat, all or none. Those that are open stay. */
static int add_member(struct listen_set *s, enum listen_owner owner, unsigned member,
                      struct problem *ret_problem)
{
    size_t i;
    int r = 0;

    for (i = 0; i < s->n_entries && r >= 0; i++)
        if (s->entries[i].owner == owner && reuseport_fd(&s->entries[i].group, member) < 0)
            r = reuseport_add(&s->entries[i].group, member);
    return r < 0 ? listen_describe(&s->entries[i - 1], r, ret_problem) : 0;
}

static void remove_member(struct listen_set *s, enum listen_owner owner, unsigned member)
{
    bool worker = owner == LISTEN_OF_WORKER;
    uint8_t *states = worker ? s->seats : s->slots;
    unsigned n = worker ? REUSEPORT_MEMBERS_MAX : LISTEN_SLOTS_MAX;

    states[member] = STEER_AWAY;
    for (size_t i = 0; i < s->n_entries; i++) {
        struct reuseport *group = &s->entries[i].group;

        if (s->entries[i].owner != owner || reuseport_fd(group, member) < 0)
            continue;
        (void)reuseport_make_way(group, states, n);
        reuseport_remove(group, member);
        (void)reuseport_steer(group, states, n);
    }
}

/* ---- steering -------------------------------------------------------------------------------- */

int listen_steer_entry(struct listen_set *s, struct listen_entry *e)
{
    if (e->owner == LISTEN_OF_WORKER)
        return reuseport_steer(&e->group, s->seats, REUSEPORT_MEMBERS_MAX);
    if (e->owner == LISTEN_OF_SLOT)
        return reuseport_steer(&e->group, s->slots, LISTEN_SLOTS_MAX);
    return 0;
}

static int steer_all(struct listen_set *s, enum listen_owner owner)
{
    int result = 0;

    for (size_t i = 0; i < s->n_entries; i++) {
        int r = s->entries[i].owner == owner ? listen_steer_entry(s, &s->entries[i]) : 0;

        if (r < 0 && result == 0)
            result = r;
    }
    return result;
}

int listen_set_steer_slot(struct listen_set *s, unsigned slot, enum steer to)
{
    if (slot >= LISTEN_SLOTS_MAX)
        return -ERANGE;
    if (s->slots[slot] == to)
        return 0;
    s->slots[slot] = (uint8_t)to;
    return steer_all(s, LISTEN_OF_SLOT);
}

int listen_set_steer_seat(struct listen_set *s, unsigned seat, enum steer to)
{
    bool news;

    if (seat >= REUSEPORT_MEMBERS_MAX)
        return -ERANGE;
    news = s->seats[seat] != to;
    s->seats[seat] = (uint8_t)to;
    if (!news)
        return 0;
    for (size_t i = 0; i < s->n_entries && to > STEER_AWAY; i++)
        if (s->entries[i].owner == LISTEN_OF_WORKER)
            (void)reuseport_repair(&s->entries[i].group, seat);
    return steer_all(s, LISTEN_OF_WORKER);
}

bool listen_set_is_avoided(const struct listen_set *s, unsigned seat)
{
    for (unsigned i = 0; i < REUSEPORT_MEMBERS_MAX; i++)
        if (s->taken[i] && s->seats[i] > s->seats[seat])
            return true;
    return false;
}

void listen_set_steer_again(struct listen_set *s)
{
    for (size_t i = 0; i < s->n_entries; i++)
        (void)listen_steer_entry(s, &s->entries[i]);
}

/* ---- slots and seats ------------------------------------------------------------------------- */

int listen_set_add_slot(struct listen_set *s, unsigned slot, struct problem *ret_problem)
{
    int r;

    if (slot >= LISTEN_SLOTS_MAX)
        return problem_set(ret_problem, STATUS_USAGE, -ERANGE, "at most %u workers are possible",
                           LISTEN_SLOTS_MAX);
    r = add_member(s, LISTEN_OF_SLOT, slot, ret_problem);
    if (r < 0)
        remove_member(s, LISTEN_OF_SLOT, slot);
    else
        (void)steer_all(s, LISTEN_OF_SLOT);
    return r;
}

void listen_set_remove_slot(struct listen_set *s, unsigned slot)
{
    remove_member(s, LISTEN_OF_SLOT, slot);
}

bool listen_set_has(const struct listen_set *s, enum listen_owner owner)
{
    for (size_t i = 0; i < s->n_entries; i++)
        if (s->entries[i].owner == owner)
            return true;
    return false;
}

int listen_set_take_seat(struct listen_set *s, struct problem *ret_problem)
{
    unsigned seat = 0;
    int r;

    while (seat < REUSEPORT_MEMBERS_MAX && s->taken[seat])
        seat++;
    if (seat == REUSEPORT_MEMBERS_MAX)
        return problem_set(ret_problem, STATUS_OS, -ERANGE, "at most %u workers can run at once",
                           REUSEPORT_MEMBERS_MAX);
    r = add_member(s, LISTEN_OF_WORKER, seat, ret_problem);
    if (r < 0) {
        remove_member(s, LISTEN_OF_WORKER, seat);
        return r;
    }
    s->taken[seat] = true;
    (void)steer_all(s, LISTEN_OF_WORKER);
    return (int)seat;
}

void listen_set_release_seat(struct listen_set *s, unsigned seat)
{
    remove_member(s, LISTEN_OF_WORKER, seat);
    s->taken[seat] = s->given[seat] = false;
}

int listen_set_queue(const struct listen_set *s, unsigned seat, struct listener_queue *ret)
{
    struct listener_queue sum = {0};

    for (size_t i = 0; i < s->n_entries; i++) {
        struct listener_queue queue;
        int r;

        if (s->entries[i].owner != LISTEN_OF_WORKER)
            continue;
        r = reuseport_queue(&s->entries[i].group, seat, &queue);
        if (r < 0)
            return r;
        sum.waiting += queue.waiting;
        sum.full |= queue.full;
    }
    *ret = sum;
    return 0;
}

ssize_t listen_set_pending(const struct listen_set *s, unsigned seat)
{
    struct listener_queue queue;
    int r = listen_set_queue(s, seat, &queue);

    return r < 0 ? r : (ssize_t)queue.waiting;
}

int listen_set_shared_queue(const struct listen_set *s, size_t i, struct listener_queue *ret)
{
    const struct listen_entry *e = &s->entries[i];

    if (e->owner != LISTEN_OF_ALL || !e->listens || e->address.type == SOCK_DGRAM)
        return -EOPNOTSUPP;
    return listener_queue(e->fd, &e->address, ret);
}
