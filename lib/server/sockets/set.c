/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "set-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* ---- opening --------------------------------------------------------------------------------- */

static int open_group(struct listen_entry *e, unsigned n)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < n; i++)
        r = reuseport_add(&e->group, i);
    /*
     * A single socket becomes a group for the kernel when another joins, and can be steered from
     * then on. If that other one were the first replacement, it would get connections until it is
     * steered.
     */
    if (r == 0 && n == 1 && e->owner == LISTEN_OF_WORKER && reuseport_add(&e->group, 1) == 0)
        reuseport_remove(&e->group, 1);
    return r;
}

static void take_snapshot(struct listen_entry *e)
{
    int fd = e->owner != LISTEN_OF_ALL ? reuseport_fd(&e->group, 0)
             : e->source               ? e->source->fd
                                       : e->fd;

    if (e->listens && fd >= 0)
        snapshot_take(&e->snapshot, fd, listen_entry_address(e));
}

static int open_entry(struct listen_entry *e, unsigned n_slots, struct problem *p)
{
    char text[ADDRESS_TEXT_MAX];
    int r = 0;

    if (e->owner != LISTEN_OF_ALL) {
        r = open_group(e, n_slots);
    } else if (!e->source) {
        r = listener_open(&e->address, LISTENER_EXCLUSIVE, &e->file);
        if (r >= 0)
            e->fd = r, r = 0;
    }
    if (r < 0)
        return listen_describe(e, r, p);
    take_snapshot(e);
    e->text = strdup(address_format(listen_entry_address(e), text));
    return e->text ? 0 : problem_set(p, STATUS_OS, -ENOMEM, "out of memory");
}

static char *join_names(const struct listen_set *s)
{
    size_t size = 1;
    char *names, *p;

    for (size_t i = 0; i < s->n_entries; i++)
        size += strlen(s->entries[i].name) + 1;
    names = p = malloc(size);
    if (!names)
        return NULL;
    *p = 0;
    for (size_t i = 0; i < s->n_entries; i++) {
        if (i > 0)
            *p++ = ':';
        p = stpcpy(p, s->entries[i].name);
    }
    return names;
}

/* Last, when nothing can fail any more. */
static void take_inherited(struct listen_set *s)
{
    for (size_t i = 0; i < s->n_entries; i++) {
        struct listen_entry *e = &s->entries[i];

        if (!e->source)
            continue;
        e->fd = e->source->fd;
        e->source->fd = -1;
        e->source = NULL;
    }
}

int listen_watch(struct listen_set *s, const struct listen_entry *e)
{
    bool shared = e->owner == LISTEN_OF_ALL;
    /* Of a socket that it was shut down, and nothing else; of a group that it has something to say.
     */
    struct epoll_event event = {.events = shared ? EPOLLRDHUP | EPOLLET : EPOLLIN};
    int fd;

    if (shared && !e->listens)
        return 0;
    fd = !shared ? e->group.watch : e->source ? e->source->fd : e->fd;
    return epoll_ctl(s->watch, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int watch_all(struct listen_set *s, struct problem *p)
{
    int r = 0;

    s->watch = epoll_create1(EPOLL_CLOEXEC);
    if (s->watch < 0)
        r = -errno;
    for (size_t i = 0; i < s->n_entries && r >= 0; i++)
        r = listen_watch(s, &s->entries[i]);
    if (r < 0)
        return problem_set(
            p, STATUS_OS, r,
            "cannot watch the listening sockets: %s; raise the limit of open files (ulimit -n)",
            strerror(-r));
    return 0;
}

static int open_all(struct listen_set *s, const struct listen_options *o, struct problem *p)
{
    int r = listen_plan(s, o, p);

    for (size_t i = 0; r == 0 && i < s->n_entries; i++)
        r = open_entry(&s->entries[i], o->n_slots, p);
    if (r < 0)
        return r;
    s->fdnames = join_names(s);
    if (!s->fdnames)
        return problem_set(p, STATUS_OS, -ENOMEM, "out of memory");
    r = watch_all(s, p);
    if (r < 0)
        return r;
    take_inherited(s);
    memset(s->slots, STEER_WAIT, o->n_slots);
    memset(s->seats, STEER_WAIT, o->n_slots);
    return 0;
}

int listen_set_open(struct listen_set **ret, const struct listen_options *options,
                    struct problem *ret_problem)
{
    struct listen_set *s = calloc(1, sizeof *s);
    int r;

    if (!s)
        return problem_set(ret_problem, STATUS_OS, -ENOMEM, "out of memory");
    s->watch = -1;
    r = open_all(s, options, ret_problem);
    if (r < 0) {
        listen_set_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

/* ---- closing --------------------------------------------------------------------------------- */

static void close_entry(struct listen_entry *e)
{
    /*
     * In this order: while the socket lives, no other server takes over the path, and perhaps the
     * inode.
     */
    listener_unlink(&e->address, &e->file);
    if (e->fd >= 0)
        listener_close(e->fd);
    if (e->owner != LISTEN_OF_ALL)
        reuseport_done(&e->group);
    free(e->option);
    free(e->name);
    free(e->text);
}

struct listen_set *listen_set_close(struct listen_set *s)
{
    if (!s)
        return NULL;
    for (size_t i = 0; i < s->n_entries; i++)
        close_entry(&s->entries[i]);
    if (s->watch >= 0)
        close(s->watch);
    free(s->entries);
    free(s->fdnames);
    free(s);
    return NULL;
}

/* ---- what a worker gets ---------------------------------------------------------------------- */

size_t listen_set_count(const struct listen_set *s)
{
    return s->n_entries;
}

const char *listen_set_name(const struct listen_set *s, size_t i)
{
    return s->entries[i].name;
}

const char *listen_set_address(const struct listen_set *s, size_t i)
{
    return s->entries[i].text;
}

enum listen_owner listen_set_owner(const struct listen_set *s, size_t i)
{
    return s->entries[i].owner;
}

const char *listen_set_fdnames(const struct listen_set *s)
{
    return s->fdnames;
}

unsigned listen_set_first_port(const struct listen_set *s)
{
    for (size_t i = 0; i < s->n_entries; i++) {
        unsigned port = address_port(listen_entry_address(&s->entries[i]));

        if (port)
            return port;
    }
    return 0;
}

int listen_set_fds(const struct listen_set *s, unsigned slot, unsigned seat, int *ret_fds)
{
    const unsigned members[] = {[LISTEN_OF_SLOT] = slot, [LISTEN_OF_WORKER] = seat};
    const struct listen_entry *e = s->entries;

    for (size_t i = 0; i < s->n_entries; i++)
        if (e[i].owner != LISTEN_OF_ALL && reuseport_fd(&e[i].group, members[e[i].owner]) < 0)
            return -ENOENT;
    for (size_t i = 0; i < s->n_entries; i++)
        ret_fds[i] =
            e[i].owner == LISTEN_OF_ALL ? e[i].fd : reuseport_fd(&e[i].group, members[e[i].owner]);
    return 0;
}
