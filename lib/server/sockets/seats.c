/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "set-internal.h"

#include <errno.h>
#include <sys/stat.h>

static bool has_slot(const struct listen_set *s, unsigned slot)
{
    for (size_t i = 0; i < s->n_entries; i++)
        if (s->entries[i].slot && reuseport_fd(&s->entries[i].group, slot) < 0)
            return false;
    return true;
}

static int apply_steering(struct listen_set *s)
{
    int result = 0;

    for (size_t i = 0; i < s->n_entries; i++) {
        int r =
            s->entries[i].slot ? reuseport_steer(&s->entries[i].group, s->states, s->n_states) : 0;

        if (r < 0 && result == 0)
            result = r;
    }
    return result;
}

int listen_set_steer_slot(struct listen_set *s, unsigned slot, enum steer to)
{
    if (slot >= REUSEPORT_SLOTS_MAX)
        return -ERANGE;
    if (slot >= s->n_states)
        s->n_states = slot + 1;
    s->states[slot] = (uint8_t)to;
    return apply_steering(s);
}

int listen_set_add_slot(struct listen_set *s, unsigned slot, struct problem *ret_problem)
{
    if (has_slot(s, slot))
        return 0;
    for (size_t i = 0; i < s->n_entries; i++) {
        struct listen_entry *e = &s->entries[i];
        int r = e->slot ? reuseport_add(&e->group, slot) : 0;

        if (r < 0) {
            listen_set_remove_slot(s, slot);
            return listen_describe(e, r, ret_problem);
        }
    }
    /* Nothing to do yet: a group that has just become one has no program. */
    (void)apply_steering(s);
    return 0;
}

void listen_set_remove_slot(struct listen_set *s, unsigned slot)
{
    for (size_t i = 0; i < s->n_entries; i++)
        if (s->entries[i].slot)
            reuseport_remove(&s->entries[i].group, slot);
    if (slot < s->n_states)
        s->states[slot] = STEER_AWAY;
    (void)apply_steering(s);
}

ssize_t listen_set_pending(const struct listen_set *s, unsigned slot)
{
    ssize_t sum = 0;

    for (size_t i = 0; i < s->n_entries; i++) {
        ssize_t n = s->entries[i].slot ? reuseport_pending(&s->entries[i].group, slot) : 0;

        if (n < 0)
            return n;
        sum += n;
    }
    return sum;
}

/*
 * The file may have been removed on purpose, but then no client can connect. If another file is in
 * its place, that stays.
 */
static bool path_is_gone(const struct listen_entry *e)
{
    const char *path = address_path(&e->address);
    struct stat st;

    return path && e->file.ino && lstat(path, &st) < 0 && errno == ENOENT;
}

static int check_shared(struct listen_entry *e, struct problem *p)
{
    bool gone = path_is_gone(e);
    int r;

    if (!e->listens || (!gone && !listener_is_dead(e->fd, &e->address)))
        return 0;
    if (address_is_inet(&e->address) && e->address.type == SOCK_STREAM)
        r = listener_relisten(e->fd, &e->address);
    else if (e->inherited)
        return -EBADFD;
    else
        r = listener_reopen(e->fd, &e->address, LISTENER_EXCLUSIVE, &e->file);
    if (r >= 0 && gone)
        (void)problem_set(p, STATUS_OS, -ENOENT,
                          "--listen=%s: the file had been removed; it is there again", e->option);
    return r < 0 ? r : 1;
}

static int describe_dead(const struct listen_entry *e, int error, struct problem *p)
{
    if (error == -EBADFD)
        return problem_set(p, STATUS_OS, error,
                           "inherited socket %s, %s: a worker has shut it down (restart the socket "
                           "unit that passed it)",
                           e->name, e->text);
    return listen_describe(e, error, p);
}

int listen_set_check(struct listen_set *s, unsigned slot, struct problem *ret_problem)
{
    int repaired = 0, result = 0;

    for (size_t i = 0; i < s->n_entries; i++) {
        struct listen_entry *e = &s->entries[i];
        int r = e->slot ? reuseport_repair(&e->group, slot) : check_shared(e, ret_problem);

        if (r > 0)
            repaired += r;
        else if (r < 0 && result == 0)
            result = describe_dead(e, r, ret_problem);
    }
    (void)apply_steering(s);
    return result < 0 ? result : repaired;
}
