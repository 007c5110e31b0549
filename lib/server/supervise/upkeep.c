/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "upkeep.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/un.h>
#include <unistd.h>

#include "worker/worker.h"

#define SETTLE      (50 * AIT_USEC_PER_MSEC) /* who removes one file removes more */
#define PAUSE_FIRST AIT_USEC_PER_SEC
#define PAUSE_MAX   (30 * AIT_USEC_PER_SEC)
#define READS       16                     /* of inotify, before others get their turn */
#define LOOKS       3                      /* in a row, at most */
#define PERIOD      (5 * AIT_USEC_PER_SEC) /* without inotify */

/* And a file that is moved in the place of another one: IN_MOVED_TO. */
#define REMOVALS (IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* ---- looking --------------------------------------------------------------------------------- */

/*
 * True if it is new, or not there: what was removed before has not been seen. What is watched
 * already keeps its number; those of new ones rise.
 */
static bool watch_one(struct upkeep *u, const char *path, uint32_t mask)
{
    int number = inotify_add_watch(u->inotify, path, mask | IN_ONLYDIR | IN_MASK_ADD);
    bool missed = number > u->newest || (number < 0 && errno == ENOENT);

    if (number > u->newest)
        u->newest = number;
    return missed;
}

/* The directory of a file with `mask`, and those above it, which may be moved away. */
static bool watch_above(struct upkeep *u, const char *path, uint32_t mask)
{
    bool missed = false;
    char parent[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char *slash;

    (void)snprintf(parent, sizeof(parent), "%s", path);
    while ((slash = strrchr(parent, '/')) && slash[1]) {
        slash[slash == parent] = '\0'; /* at last "/" itself */
        missed |= watch_one(u, parent, mask);
        mask = IN_DELETE_SELF | IN_MOVE_SELF;
    }
    return missed;
}

/* True if something may have been removed without being seen: look again. */
static bool watch(struct upkeep *u)
{
    const struct listen_set *listen = u->workers->listen;
    bool missed;

    if (u->inotify < 0)
        return false;
    missed = watch_one(u, u->rundir->path, REMOVALS);
    missed |= watch_above(u, u->rundir->path, IN_DELETE_SELF | IN_MOVE_SELF);
    for (size_t i = 0; i < listen_set_count(listen); i++)
        if (listen_set_path(listen, i))
            missed |= watch_above(u, listen_set_path(listen, i), REMOVALS | IN_MOVED_TO);
    return missed;
}

/* Of one repair. Those that are not reported are counted. */
static bool may_say(struct upkeep *u)
{
    unsigned unsaid;

    if (!flood_may_say(&u->words, ait_now(NULL), &unsaid))
        return false;
    if (unsaid > 0)
        log_event(u->workers->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
                  "files of the server are removed again and again: %u repairs were not logged",
                  unsaid);
    return true;
}

static void rundir_repaired(struct upkeep *u, const char *before)
{
    struct workers *all = u->workers;

    (void)guardian_hold(all->guardian, u->rundir->guardian_lock);
    if (!may_say(u))
        return;
    if (strcmp(before, u->rundir->path) == 0)
        log_event(all->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
                  "the runtime directory %s had been removed; it is there again", before);
    else
        log_event(all->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
                  "the runtime directory %s was removed and cannot be made again; %s takes its "
                  "place, and what the workers that run notify is lost until they are replaced",
                  before, u->rundir->path);
}

/*
 * Each failure once, until it is another one. The problem is in the scratch of the workers: this
 * also runs while one starts, before it is used.
 */
static bool tell(struct upkeep *u, int r, const char *what)
{
    const struct problem *p = &u->workers->problem;

    if (r > 0 && may_say(u))
        log_event(u->workers->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0, "%s", p->text);
    if (r < 0 && strcmp(u->told.text, p->text) != 0) {
        log_event(u->workers->log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0, "%s%s", p->text, what);
        u->told = *p;
    }
    return r >= 0;
}

static bool look_at_directory(struct upkeep *u)
{
    char before[sizeof(u->rundir->path)];

    if (rundir_is_there(u->rundir))
        return true;
    memcpy(before, u->rundir->path, sizeof(before));
    int r = rundir_repair(u->rundir, &u->workers->problem);
    if (r >= 0)
        rundir_repaired(u, before);
    return tell(u, r,
                "; until it is there, workers that run cannot notify, and none can be started");
}

static bool look_at_paths(struct upkeep *u)
{
    struct listen_set *listen = u->workers->listen;
    bool well = true;

    for (size_t i = 0; i < listen_set_count(listen); i++)
        well &=
            tell(u, listen_set_check_path(listen, i, &u->workers->problem), "; it is tried again");
    return well;
}

static bool look_once(struct upkeep *u)
{
    bool well = look_at_directory(u);
    unsigned n = well ? workers_renew_notify(u->workers) : 0;

    if (n > 0 && may_say(u))
        log_event(u->workers->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
                  "the notification sockets of %u workers had been removed; they are there again",
                  n);
    return look_at_paths(u) && well;
}

/* Whoever removes a directory may come again before the new one is watched. */
static void look_at_all(struct upkeep *u)
{
    bool well, missed;
    unsigned n = 0;

    do {
        well = look_once(u);
        missed = watch(u);
    } while (well && missed && ++n < LOOKS);
    if (well)
        u->told.text[0] = '\0';
    if (well && !missed)
        u->pause = 0;
    else if (well || u->pause == 0)
        u->pause = PAUSE_FIRST;
    else
        u->pause = u->pause < PAUSE_MAX / 2 ? 2 * u->pause : PAUSE_MAX;
}

void upkeep_look(void *userdata)
{
    struct upkeep *u = userdata;

    if (!rundir_is_there(u->rundir))
        look_at_all(u);
}

/* ---- what inotify says ----------------------------------------------------------------------- */

/* Most that happens there is our own doing: workers come and go. */
static bool concerns_us(const struct upkeep *u, const struct inotify_event *e)
{
    if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT | IN_Q_OVERFLOW))
        return true;
    if (e->len == 0)
        return false;
    if (listen_set_owns_file(u->workers->listen, e->name))
        return true;
    return !(e->mask & IN_MOVED_TO) &&
           (rundir_owns_file(e->name) || workers_own_file(u->workers, e->name));
}

/* A descriptor that cannot be read would wake us for ever: looks at intervals replace it. */
static void do_without(struct upkeep *u)
{
    log_event(u->workers->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
              "cannot be told what is removed (inotify: %s); a look every %d s replaces it",
              strerror(errno), (int)(PERIOD / AIT_USEC_PER_SEC));
    (void)ait_close(u->inotify);
    u->inotify = -1;
}

/* Reads what there is; of a flood of events a part, since all of them mean one look. */
static bool read_events(struct upkeep *u)
{
    _Alignas(struct inotify_event) char buffer[4096];
    bool found = false;
    ssize_t n = 0;

    for (unsigned i = 0; i < READS && (n = read(u->inotify, buffer, sizeof(buffer))) > 0; i++)
        for (const char *at = buffer; at < buffer + n;) {
            const struct inotify_event *e = (const struct inotify_event *)(const void *)at;

            found |= concerns_us(u, e);
            at += sizeof(*e) + e->len;
        }
    if (n > 0 || errno == EAGAIN || errno == EINTR)
        return found;
    do_without(u);
    return true;
}

static int events_concern_us(void *userdata)
{
    return read_events(userdata);
}

static int look(void *userdata)
{
    struct upkeep *u = userdata;

    if (u->inotify >= 0)
        (void)read_events(u);
    look_at_all(u);
    return 0;
}

/* ---- the task -------------------------------------------------------------------------------- */

/* 1: something may be missing. */
static int await_reason(struct upkeep *u)
{
    uint64_t usec = u->pause > 0 ? u->pause : u->inotify < 0 ? PERIOD : AIT_USEC_INFINITY;
    AIT_SCOPE(limit);
    int r;

    if (u->inotify < 0) {
        r = ait_sleep(usec);
        return r < 0 ? r : 1;
    }
    r = ait_scope_enter_after(&limit, AIT_SCOPE_MOVE_ON, usec);
    if (r == -ENOMEM)
        return ait_sleep(PERIOD) < 0 ? -ECANCELED : 1;
    if (r < 0)
        return r;
    r = ait_poll(u->inotify, POLLIN);
    bool over = ait_scope_is_expired(limit) > 0;
    r = ait_scope_exit(limit, r);
    if (r < 0 || over)
        return r < 0 ? r : 1;
    return ait_call_on_thread_stack(events_concern_us, u);
}

int upkeep_watch(void *userdata)
{
    struct upkeep *u = userdata;
    int r, reason;

    do {
        r = reason = await_reason(u);
        /* What is no reason may be a flood of events. */
        if (r >= 0)
            r = ait_sleep(SETTLE);
        if (r >= 0 && reason > 0)
            (void)ait_call_on_thread_stack(look, u);
    } while (r >= 0);
    return r;
}

void upkeep_init(struct upkeep *u)
{
    u->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    (void)watch(u);
}

void upkeep_done(struct upkeep *u)
{
    if (u->inotify >= 0)
        (void)ait_close(u->inotify);
    u->inotify = -1;
}
