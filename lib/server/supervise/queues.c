/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "queues.h"

#include <stdio.h>
#include <stdlib.h>

#include "acceptance.h"
#include "config/parse.h"
#include "listeners.h"
#include "proc.h"
#include "process/proc-scan.h"
#include "scheduler.h"

#define LOOK (5 * AIT_USEC_PER_SEC) /* at the listeners themselves */

struct queues {
    struct scheduler *scheduler;
    struct acceptance *shared; /* by address; NULL without memory: they are not looked at */
    uint64_t pause;
    uint64_t looked; /* when the listeners were looked at */
};

static struct log *log_of(const struct queues *q)
{
    return q->scheduler->workers->log;
}

static void sooner(struct queues *q, const struct acceptance *a)
{
    uint64_t pause = acceptance_pause(a);

    q->pause = pause < q->pause ? pause : q->pause;
}

/* ---- the queues of one worker ---------------------------------------------------------------- */

/* Clock ticks that the worker has used, with all its descendants. */
static uint64_t cpu_of(pid_t pid)
{
    struct scan scan = {0};
    struct proc_stat stat;
    uint64_t sum = 0;

    if (scan_add(&scan, pid) >= 0)
        (void)scan_descend(&scan, 0);
    for (size_t i = 0; i < scan.n; i++)
        if (proc_read_stat(scan.items[i].pid, &stat) >= 0)
            sum += stat.cpu;
    scan_done(&scan);
    return sum;
}

static bool is_stopped(pid_t pid)
{
    struct proc_stat stat;

    return proc_read_stat(pid, &stat) >= 0 && stat.state == 'T';
}

static bool others_serve(const struct scheduler *s, const struct slot *slot)
{
    for (unsigned i = 0; i < s->n_slots; i++)
        if (s->slots[i] != slot && slot_is_ready(s->slots[i]) && !s->slots[i]->acceptance.stuck)
            return true;
    return false;
}

/* With it the slot looks whether to be avoided. */
static void set_stuck(struct slot *slot, bool stuck)
{
    slot->acceptance.stuck = stuck;
    slot->n_stuck += stuck;
    (void)ait_event_set(slot->event);
}

static void accuse(struct queues *q, struct slot *slot)
{
    const struct acceptance *a = &slot->acceptance;
    char time[FORMAT_TIME_MAX], remedy[128];
    pid_t pid = slot->current->pid;

    if (is_stopped(pid))
        (void)snprintf(remedy, sizeof(remedy),
                       "its main process is stopped: kill -CONT %d lets it go on", pid);
    else
        (void)snprintf(
            remedy, sizeof(remedy),
            "does it hang, or use a port of its own instead of the socket of LISTEN_FDS (fd 3)?");
    log_event(log_of(q), LOG_LEVEL_WARNING, (int)slot->index, pid,
              "%zu connections wait, and none was accepted for %s; %s%s", a->waiting,
              format_time((ait_now(NULL) - a->since) / AIT_USEC_PER_SEC * AIT_USEC_PER_SEC, time),
              others_serve(q->scheduler, slot) ? "new ones go to other workers; " : "", remedy);
    set_stuck(slot, true);
}

static void look_at_slot(struct queues *q, struct slot *slot)
{
    struct acceptance *a = &slot->acceptance;
    struct listener_queue queue;
    uint64_t now = ait_now(NULL);

    if (slot->leaving || !slot->current || slot->current->state != WORKER_READY ||
        listen_set_queue(q->scheduler->workers->listen, slot->seat, &queue) < 0) {
        *a = (struct acceptance){0};
        return;
    }
    switch (acceptance_look(a, queue.waiting, queue.full, now)) {
    case ACCEPTANCE_UNKNOWN:
        break;
    case ACCEPTANCE_SEEN:
        if (!a->stuck)
            break;
        log_event(log_of(q), LOG_LEVEL_INFO, (int)slot->index, slot->current->pid,
                  "accepts connections again");
        set_stuck(slot, false);
        break;
    case ACCEPTANCE_SUSPICION:
        a->cpu = cpu_of(slot->current->pid);
        a->busy = false;
        break;
    case ACCEPTANCE_HIDDEN:
        /* Once: it reads all of the worker's processes, and what was used stays used. */
        if (!a->stuck && !a->busy && cpu_of(slot->current->pid) == a->cpu)
            accuse(q, slot);
        a->busy = true;
        break;
    case ACCEPTANCE_NONE:
        if (!a->stuck)
            accuse(q, slot);
        break;
    }
    sooner(q, a);
}

/* ---- shared queues --------------------------------------------------------------------------- */

static void look_at_shared(struct queues *q, size_t i)
{
    const struct listen_set *listen = q->scheduler->workers->listen;
    struct acceptance *a = &q->shared[i];
    struct listener_queue queue;
    char time[FORMAT_TIME_MAX];
    uint64_t now = ait_now(NULL);

    if (scheduler_n_ready(q->scheduler) == 0 || listen_set_shared_queue(listen, i, &queue) < 0) {
        *a = (struct acceptance){0};
        return;
    }
    switch (acceptance_look(a, queue.waiting, queue.full, now)) {
    case ACCEPTANCE_SEEN:
        if (a->stuck)
            log_event(log_of(q), LOG_LEVEL_INFO, LOG_NO_SLOT, 0,
                      "connections at %s are accepted again", listen_set_address(listen, i));
        a->stuck = false;
        break;
    case ACCEPTANCE_NONE:
        if (!a->stuck)
            log_event(
                log_of(q), LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
                "%zu connections wait at %s, and no worker has accepted one for %s; do they hang, "
                "or use an address of their own instead of the socket of LISTEN_FDS (fd %zu)?",
                a->waiting, listen_set_address(listen, i),
                format_time((now - a->since) / AIT_USEC_PER_SEC * AIT_USEC_PER_SEC, time), 3 + i);
        a->stuck = true;
        break;
    default:
        break;
    }
    sooner(q, a);
}

/* ---- the task -------------------------------------------------------------------------------- */

static int look_at_all(void *userdata)
{
    struct queues *q = userdata;
    struct scheduler *s = q->scheduler;
    const struct listen_set *listen = s->workers->listen;
    const struct acceptance nothing = {0};

    q->pause = acceptance_pause(&nothing);
    if (ait_now(NULL) - q->looked >= LOOK) {
        q->looked = ait_now(NULL);
        listeners_look(s->workers);
    }
    for (unsigned i = 0; i < s->n_slots && listen_set_has(listen, LISTEN_OF_WORKER); i++)
        look_at_slot(q, s->slots[i]);
    for (size_t i = 0; i < listen_set_count(listen) && q->shared; i++)
        look_at_shared(q, i);
    return 0;
}

int queues_watch(void *userdata)
{
    struct queues q = {.scheduler = userdata};
    size_t n = listen_set_count(q.scheduler->workers->listen);
    int r = 0;

    if (n == 0)
        return 0;
    q.shared = calloc(n, sizeof(*q.shared));
    while (r >= 0) {
        (void)ait_call_on_thread_stack(look_at_all, &q);
        r = ait_sleep(q.pause);
    }
    free(q.shared);
    return r;
}
