/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listeners.h"

#include <poll.h>

#include "sockets/snapshot.h"
#include "worker/worker.h"

#define REST (100 * AIT_USEC_PER_MSEC) /* for workers that shut it down again and again */

static struct worker *worker_of_seat(const struct workers *all, unsigned seat)
{
    for (struct worker *w = all->living; w; w = w->next)
        if (w->seat == seat && w->state < WORKER_DRAINING)
            return w;
    return NULL;
}

/* Once for each worker. */
static void report_seat(const struct workers *all, const char *address, unsigned seat)
{
    struct worker *w = worker_of_seat(all, seat);

    if (!w || w->shut_down_told)
        return;
    w->shut_down_told = true;
    log_event(all->log, LOG_LEVEL_WARNING, (int)w->slot, w->pid,
              "has shut down its listening socket %s; it listens again", address);
}

static void report_slot(const struct workers *all, const char *address, unsigned slot)
{
    log_event(all->log, LOG_LEVEL_WARNING, (int)slot, 0,
              "its worker has shut down the socket %s; there is a new one, but only the next "
              "worker gets it: reload (SIGHUP)",
              address);
}

static uint64_t bit_of(size_t entry)
{
    return entry < 64 ? UINT64_C(1) << entry : 0;
}

/* Once for each address: a server may do so whenever it stops. */
static void report_shared(struct workers *all, const struct listen_cursor *c)
{
    uint64_t *told = &all->listeners_told.shut_down;
    uint64_t bit = bit_of(c->entry);

    if (*told & bit && !c->renewed)
        return;
    *told |= bit;
    log_event(all->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
              c->renewed ? "a worker has shut down %s, which all workers share; there is a new "
                           "socket, but only new workers get it: reload (SIGHUP)"
                         : "a worker has shut down %s, which all workers share; it listens again",
              listen_set_address(all->listen, c->entry));
}

static void report(struct workers *all, const struct listen_cursor *c)
{
    const char *address = listen_set_address(all->listen, c->entry);
    enum listen_owner owner = listen_set_owner(all->listen, c->entry);

    if (owner == LISTEN_OF_WORKER)
        report_seat(all, address, c->member);
    else if (owner == LISTEN_OF_SLOT)
        report_slot(all, address, c->member);
    else
        report_shared(all, c);
}

/* Each failure once, until it is repaired. */
static void report_failure(struct workers *all, const struct listen_cursor *c)
{
    if (!(all->listeners_told.failed & bit_of(c->entry)))
        log_event(all->log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0, "%s", all->problem.text);
    all->listeners_told.failed |= bit_of(c->entry);
}

/* One that fails is passed over. */
static void mend(struct workers *all)
{
    struct problem *p = &all->problem;
    struct listen_cursor c = {0};
    int r;

    do {
        p->text[0] = '\0';
        r = listen_set_mend(all->listen, &c, p);
        if (r > 0)
            all->listeners_told.failed &= ~bit_of(c.entry);
        if (r < 0)
            report_failure(all, &c);
        else if (p->text[0])
            log_event(all->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0, "%s", p->text);
        else if (r > 0)
            report(all, &c);
    } while (r != 0);
}

/* ---- from time to time ----------------------------------------------------------------------- */

/* Once, until it is as it was. */
static void look_at_options(struct workers *all, size_t i)
{
    uint64_t *told = &all->listeners_told.options;
    char names[SNAPSHOT_NAMES];
    uint64_t bit = bit_of(i);

    if (!listen_set_is_spoiled(all->listen, i, names, sizeof names)) {
        *told &= ~bit;
        return;
    }
    if (!(*told & bit))
        log_event(all->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
                  "a worker has changed options of %s, which all workers share (%s); they are put "
                  "back when the next worker starts: reload (SIGHUP)",
                  listen_set_address(all->listen, i), names);
    *told |= bit;
}

void listeners_look(struct workers *all)
{
    mend(all);
    listen_set_steer_again(all->listen);
    for (size_t i = 0; i < listen_set_count(all->listen); i++)
        look_at_options(all, i);
}

struct rest {
    struct workers *all;
    unsigned slot;
};

static int look_at_rest(void *userdata)
{
    const struct rest *rest = userdata;
    struct workers *all = rest->all;
    struct problem *p = &all->problem;

    for (size_t i = 0; i < listen_set_count(all->listen); i++) {
        p->text[0] = '\0';
        /* What fails is told by the next look. */
        if (listen_set_check_rest(all->listen, i, rest->slot, p) >= 0 && p->text[0])
            log_event(all->log, LOG_LEVEL_WARNING, (int)rest->slot, 0, "%s", p->text);
    }
    return 0;
}

void listeners_worker_ended(struct workers *all, unsigned slot)
{
    struct rest rest = {.all = all, .slot = slot};

    (void)ait_call_on_thread_stack(look_at_rest, &rest);
}

/* ---- at once --------------------------------------------------------------------------------- */

static int look_at_all(void *userdata)
{
    mend(userdata);
    return 0;
}

int listeners_watch(void *userdata)
{
    struct workers *all = userdata;
    int r;

    do {
        r = ait_poll(listen_set_watch_fd(all->listen), POLLIN);
        if (r >= 0) {
            (void)ait_call_on_thread_stack(look_at_all, all);
            r = ait_sleep(REST);
        }
    } while (r >= 0);
    return r;
}
