/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "diag.h"
#include "path.h"
#include "set-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

/* ---- repairs --------------------------------------------------------------------------------- */

/* Of a path that we made. As listener_restore(). */
static int restore_path(const struct listen_entry *e, struct problem *p)
{
    int r = e->listens && !e->inherited ? listener_restore(&e->address, &e->file) : 0;

    if (r > 0)
        (void)problem_set(p, STATUS_OS, -ENOENT,
                          "--listen=%s: the file had been removed; it is there again", e->option);
    return r;
}

static int reopen_shared(struct listen_set *s, struct listen_entry *e)
{
    int r;

    if (e->inherited)
        return -EBADFD;
    /* Copies of other processes would keep it in the epoll. */
    (void)epoll_ctl(s->watch, EPOLL_CTL_DEL, e->fd, NULL);
    r = listener_reopen(e->fd, &e->address, LISTENER_EXCLUSIVE, &e->file);
    return r < 0 ? r : listen_watch(s, e);
}

/* What check_shared() returns. */
enum { WELL, REPAIRED, RENEWED };

static int renew_shared(struct listen_set *s, struct listen_entry *e)
{
    int r = reopen_shared(s, e);

    return r < 0 ? r : RENEWED;
}

/*
 * The file may have been removed on purpose, but then no client can connect. If another file is in
 * its place, that stays. `restored` comes from restore_path().
 */
static int check_shared(struct listen_set *s, struct listen_entry *e, int restored,
                        struct problem *p)
{
    bool gone = restored == -ENOENT;
    int r;

    if (!e->listens || (!gone && !listener_is_dead(e->fd, &e->address)))
        return restored > 0 ? REPAIRED : WELL;
    r = !gone && listener_revive(e->fd, &e->address) == 0 ? REPAIRED : renew_shared(s, e);
    if (r >= 0 && gone)
        (void)problem_set(p, STATUS_OS, -ENOENT,
                          "--listen=%s: the file had been removed; it is there again as another "
                          "socket, which only workers that start from now on accept from: reload "
                          "(SIGHUP) to replace the others",
                          e->option);
    return r;
}

static int describe_dead(const struct listen_entry *e, int error, struct problem *p)
{
    if (error == -EBADFD)
        return problem_set(p, STATUS_OS, error,
                           "inherited socket %s, %s: a worker has shut it down, or connected it "
                           "(restart the socket unit that passed it)",
                           e->name, e->text);
    return listen_describe(e, error, p);
}

/* ---- what a worker has set ------------------------------------------------------------------- */

static int fd_of(const struct listen_entry *e, unsigned member)
{
    return e->owner == LISTEN_OF_ALL ? e->fd : reuseport_fd(&e->group, member);
}

static size_t waiting_at(const struct listen_entry *e, unsigned member)
{
    struct listener_queue queue;

    return listener_queue(fd_of(e, member), listen_entry_address(e), &queue) < 0 ? 0
                                                                                 : queue.waiting;
}

/* What cannot be put back costs a new socket. */
static int renew(struct listen_set *s, struct listen_entry *e, unsigned member, const char *names,
                 struct problem *p)
{
    size_t lost = waiting_at(e, member);
    char also[96] = "";
    int r = e->owner == LISTEN_OF_ALL ? reopen_shared(s, e) : reuseport_renew(&e->group, member);

    if (r == -EBADFD)
        return problem_set(p, STATUS_OS, r,
                           "inherited socket %s, %s: a worker has changed what cannot be put back "
                           "(%s); restart the socket unit that passed it",
                           e->name, e->text, names);
    if (r < 0)
        return listen_describe(e, r, p);
    if (lost > 0)
        (void)snprintf(also, sizeof also,
                       ", and %zu connections that waited at the old one are lost", lost);
    (void)problem_set(p, STATUS_OS, -EBADFD,
                      "a worker has changed options of its socket %s that cannot be put back (%s); "
                      "there is a new socket%s%s",
                      e->text, names, also,
                      e->owner == LISTEN_OF_ALL
                          ? ", which only workers that start from now on accept from: reload "
                            "(SIGHUP) to replace the others"
                          : "");
    return 1;
}

/* Of one that no worker has had nothing needs to be asked. */
static bool was_given(const struct listen_set *s, const struct listen_entry *e, unsigned member)
{
    return e->owner == LISTEN_OF_WORKER ? s->given[member] : e->given;
}

static int restore_options(struct listen_set *s, struct listen_entry *e, unsigned member,
                           enum snapshot_scope scope, struct problem *p)
{
    struct snapshot_changes c;
    int fd = fd_of(e, member);

    if (!e->listens || fd < 0)
        return 0;
    snapshot_restore(&e->snapshot, fd, listen_entry_address(e), scope, &c);
    if (c.n_left > 0)
        return renew(s, e, member, c.names, p);
    if (listener_had_peer(fd, listen_entry_address(e)))
        return renew(s, e, member, "a peer of connect(2)", p);
    if (was_given(s, e, member) && diag_has_keys(fd, listen_entry_address(e)))
        return renew(s, e, member, "TCP_MD5SIG", p);
    if (c.names[0])
        (void)problem_set(
            p, STATUS_OS, -EBADFD,
            "a worker has changed options of %s %s (%s), which are as they were again",
            e->owner == LISTEN_OF_ALL ? "the socket" : "its socket", e->text, c.names);
    return c.n > 0;
}

static int check_entry(struct listen_set *s, struct listen_entry *e, unsigned member,
                       enum snapshot_scope scope, struct problem *p)
{
    int r = e->owner == LISTEN_OF_ALL ? check_shared(s, e, restore_path(e, p), p)
                                      : reuseport_repair(&e->group, member);
    int options;

    if (r < 0)
        return describe_dead(e, r, p);
    options = restore_options(s, e, member, scope, p);
    return options < 0 ? options : (r > 0) + options;
}

int listen_set_check(struct listen_set *s, size_t i, unsigned slot, unsigned seat, bool shares,
                     struct problem *ret_problem)
{
    const unsigned members[] = {
        [LISTEN_OF_ALL] = 0, [LISTEN_OF_SLOT] = slot, [LISTEN_OF_WORKER] = seat};
    struct listen_entry *e = &s->entries[i];
    int r =
        check_entry(s, e, members[e->owner], shares ? SNAPSHOT_MOST : SNAPSHOT_ALL, ret_problem);

    e->given = true;
    if (i + 1 == s->n_entries)
        s->given[seat] = true;
    (void)listen_steer_entry(s, e);
    return r;
}

int listen_set_check_rest(struct listen_set *s, size_t i, unsigned slot,
                          struct problem *ret_problem)
{
    struct listen_entry *e = &s->entries[i];
    int r;

    if (e->owner == LISTEN_OF_WORKER)
        return 0;
    r = check_entry(s, e, slot, SNAPSHOT_ALARM, ret_problem);
    (void)listen_steer_entry(s, e);
    return r;
}

/* ---- watching -------------------------------------------------------------------------------- */

int listen_set_watch_fd(const struct listen_set *s)
{
    return s->watch;
}

static bool is_needed(const struct listen_set *s, const struct listen_entry *e, unsigned member)
{
    return e->owner != LISTEN_OF_WORKER || s->seats[member] > STEER_AWAY;
}

static int mend_shared(struct listen_set *s, struct listen_entry *e, struct listen_cursor *c,
                       struct problem *p)
{
    int r;

    c->member = 0;
    if (c->next++ > 0)
        return 0;
    r = check_shared(s, e, restore_path(e, p), p);
    c->renewed = r == RENEWED;
    return r < 0 ? r : r > 0;
}

/* From the cursor on. */
static int mend_entry(struct listen_set *s, struct listen_entry *e, struct listen_cursor *c,
                      struct problem *p)
{
    if (e->owner == LISTEN_OF_ALL)
        return mend_shared(s, e, c, p);
    while (c->next < e->group.n_fds) {
        int r;

        c->member = c->next++;
        r = is_needed(s, e, c->member) ? reuseport_repair(&e->group, c->member) : 0;
        if (r == 0)
            continue;
        (void)listen_steer_entry(s, e);
        return r;
    }
    return 0;
}

int listen_set_mend(struct listen_set *s, struct listen_cursor *c, struct problem *ret_problem)
{
    struct epoll_event events[8];

    /*
     * What they say is found out below. Each of them once: those of groups stay until the group has
     * been mended.
     */
    for (size_t n = 0; n <= s->n_entries && epoll_wait(s->watch, events, 8, 0) == 8; n += 8)
        ;
    for (; c->entry < s->n_entries; c->entry++, c->next = 0) {
        struct listen_entry *e = &s->entries[c->entry];
        int r = mend_entry(s, e, c, ret_problem);

        if (r != 0)
            return r < 0 ? describe_dead(e, r, ret_problem) : r;
    }
    return 0;
}

bool listen_set_is_spoiled(const struct listen_set *s, size_t i, char *ret_names, size_t size)
{
    const struct listen_entry *e = &s->entries[i];
    struct snapshot_changes c;

    if (e->owner != LISTEN_OF_ALL || !e->listens)
        return false;
    snapshot_restore(&e->snapshot, e->fd, &e->address, SNAPSHOT_LOOK, &c);
    (void)snprintf(ret_names, size, "%s", c.names);
    return c.names[0];
}

/* ---- paths ----------------------------------------------------------------------------------- */

const char *listen_set_path(const struct listen_set *s, size_t i)
{
    const struct listen_entry *e = &s->entries[i];

    return e->owner == LISTEN_OF_ALL && e->listens && !e->inherited ? address_path(&e->address)
                                                                    : NULL;
}

bool listen_set_owns_file(const struct listen_set *s, const char *name)
{
    char spare[LISTENER_SPARE_MAX];

    for (size_t i = 0; i < s->n_entries; i++) {
        const char *path = listen_set_path(s, i);

        if (!path)
            continue;
        listener_path_spare(path, spare);
        if (strcmp(strrchr(path, '/') + 1, name) == 0 || strcmp(spare, name) == 0)
            return true;
    }
    return false;
}

int listen_set_check_path(struct listen_set *s, size_t i, struct problem *ret_problem)
{
    struct listen_entry *e = &s->entries[i];
    int restored, r;

    if (!listen_set_path(s, i))
        return 0;
    restored = restore_path(e, ret_problem);
    if (restored == -EADDRINUSE)
        return problem_set(ret_problem, STATUS_OS, -EADDRINUSE,
                           "--listen=%s: the file had been removed, and another one is in its "
                           "place, which stays; remove that to let clients reach the workers again",
                           e->option);
    /* One that was shut down is for others to repair. */
    r = restored == -ENOENT ? check_shared(s, e, restored, ret_problem) : restored;
    return r < 0 ? listen_describe(e, r, ret_problem) : r > 0;
}
