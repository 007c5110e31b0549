/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listeners.h"

#include <poll.h>

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

/* Once for each address: a server may do so whenever it stops. */
static void report_shared(const struct workers *all, size_t entry, uint64_t *told)
{
    const char *address = listen_set_address(all->listen, entry);
    bool again = listen_set_keeps_open_file(all->listen, entry);

    if (entry < 64 && (*told & UINT64_C(1) << entry) && again)
        return;
    if (entry < 64)
        *told |= UINT64_C(1) << entry;
    log_event(all->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
              again ? "a worker has shut down %s, which all workers share; it listens again"
                    : "a worker has shut down %s, which all workers share; there is a new socket, "
                      "but only new workers get it: reload (SIGHUP)",
              address);
}

static void report(struct workers *all, const struct listen_cursor *c, uint64_t *told)
{
    const char *address = listen_set_address(all->listen, c->entry);
    enum listen_owner owner = listen_set_owner(all->listen, c->entry);

    if (owner == LISTEN_OF_WORKER)
        report_seat(all, address, c->member);
    else if (owner == LISTEN_OF_SLOT)
        report_slot(all, address, c->member);
    else
        report_shared(all, c->entry, told);
}

static void mend(struct workers *all, uint64_t *told)
{
    struct problem *p = &all->problem;
    struct listen_cursor c = {0};
    int r;

    do {
        p->text[0] = '\0';
        r = listen_set_mend(all->listen, &c, p);
        if (r < 0)
            log_event(all->log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0, "%s", p->text);
        else if (p->text[0])
            log_event(all->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0, "%s", p->text);
        else if (r > 0)
            report(all, &c, told);
    } while (r != 0);
}

struct look {
    struct workers *all;
    uint64_t told; /* shared addresses, a bit each */
};

static int look_at_all(void *userdata)
{
    struct look *look = userdata;

    mend(look->all, &look->told);
    return 0;
}

int listeners_watch(void *userdata)
{
    struct look look = {.all = userdata};
    int r;

    do {
        r = ait_poll(listen_set_watch_fd(look.all->listen), POLLIN);
        if (r >= 0) {
            (void)ait_call_on_thread_stack(look_at_all, &look);
            r = ait_sleep(REST);
        }
    } while (r >= 0);
    return r;
}
