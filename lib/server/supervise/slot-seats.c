/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "slot-seats.h"

#include <errno.h>
#include <string.h>

#include "config/parse.h"
#include "listeners.h"

static struct listen_set *sockets(const struct slot *slot)
{
    return slot->workers->listen;
}

static bool has_own_seat(const struct slot *slot, const struct worker *w)
{
    return w && w->seat != slot->seat;
}

static size_t pending(const struct slot *slot, unsigned seat)
{
    ssize_t n = listen_set_pending(sockets(slot), seat);

    return n > 0 ? (size_t)n : 0;
}

int slot_start_worker(struct slot *slot, struct revision *revision, unsigned seat,
                      struct worker **ret)
{
    const struct worker_params params = {
        .all = slot->workers,
        .scope = slot->scope,
        .revision = revision,
        .slot = slot->index,
        .seat = seat,
        .changed = slot->event,
        .limits = &slot->limits,
    };

    return worker_new(ret, &params);
}

/* ---- who has which --------------------------------------------------------------------------- */

unsigned slot_take_seat(struct slot *slot)
{
    struct problem *p = &slot->workers->problem;
    int seat;

    /* Without a worker that accepts, what waits at the slot's seat waits for this one. */
    if (!listen_set_has(sockets(slot), LISTEN_OF_WORKER) || !slot->current ||
        slot->current->state != WORKER_READY || slot->acceptance.stuck)
        return slot->seat;
    seat = listen_set_take_seat(sockets(slot), p);
    if (seat >= 0)
        return (unsigned)seat;
    log_event(slot->workers->log, LOG_LEVEL_WARNING, (int)slot->index, 0,
              "the new worker has to share the listening socket of the old one, which may lose "
              "connections: %s",
              p->text);
    return slot->seat;
}

void slot_say_lost(const struct slot *slot, unsigned seat)
{
    size_t n = pending(slot, seat);

    if (n > 0)
        log_event(slot->workers->log, LOG_LEVEL_WARNING, (int)slot->index, 0,
                  "%zu connections are lost: they waited for a worker that has gone", n);
}

/* Unless another worker than w has it, which then gives it back. */
static void give_back(struct slot *slot, unsigned seat, const struct worker *w)
{
    const struct worker *others[] = {slot->current, slot->next, slot->old};
    bool taken = false;

    for (unsigned i = 0; i < sizeof(others) / sizeof(*others); i++)
        taken |= others[i] && others[i] != w && others[i]->seat == seat;
    for (const struct worker *other = slot->left; other; other = other->left)
        taken |= other != w && other->seat == seat;
    if (taken)
        return;
    slot_say_lost(slot, seat);
    listen_set_release_seat(sockets(slot), seat);
}

struct worker *slot_dismiss(struct slot *slot, struct worker *w)
{
    if (has_own_seat(slot, w))
        give_back(slot, w->seat, w);
    if (w)
        listeners_worker_ended(slot->workers, slot->index);
    return worker_unref(w);
}

/* Once: if that one does not accept them either, nobody will. */
static bool start_for_waiting(struct slot *slot, unsigned seat)
{
    size_t n = pending(slot, seat);
    struct worker *w;

    if (n == 0 || slot->is_successor || slot->leaving ||
        slot_start_worker(slot, slot->revision, seat, &w) < 0)
        return false;
    log_event(slot->workers->log, LOG_LEVEL_WARNING, (int)slot->index, 0,
              "%zu connections wait for a worker that has gone; another one is started for them",
              n);
    slot->old = w;
    slot->old_drain = (struct drain){0};
    slot->old_drains = slot->is_successor = true;
    return true;
}

void slot_change_seat(struct slot *slot)
{
    unsigned seat = slot->seat;

    slot->seat = slot->current->seat;
    slot->acceptance = (struct acceptance){0};
    slot->is_successor = false;
    slot->old_drain = (struct drain){0};
    slot->old_drains = has_own_seat(slot, slot->old);
    if (slot->old || seat == slot->seat || start_for_waiting(slot, seat))
        return;
    give_back(slot, seat, NULL);
}

bool slot_old_has_successor(struct slot *slot)
{
    struct worker *w = slot->old;

    slot->old = NULL;
    slot->old_drains = false;
    if (has_own_seat(slot, w) && start_for_waiting(slot, w->seat)) {
        worker_unref(w);
        return true;
    }
    (void)slot_dismiss(slot, w);
    return false;
}

/* ---- where connections go -------------------------------------------------------------------- */

static bool is_ready(const struct worker *w)
{
    return w && w->state == WORKER_READY;
}

/* Current is not ready, and the old worker has not been asked to stop. */
static bool old_serves(const struct slot *slot)
{
    return slot->old_drains && is_ready(slot->old) && !slot_is_ready(slot) && !slot_is_over(slot) &&
           !slot->leaving;
}

void slot_steer(struct slot *slot, enum steer to)
{
    struct listen_set *s = sockets(slot);
    bool next_serves = is_ready(slot->next) && !is_ready(slot->current) && to == STEER_READY;
    int r, result;

    slot->steer = to;
    result = listen_set_steer_slot(s, slot->index, to);
    r = listen_set_steer_seat(s, slot->seat,
                              next_serves && has_own_seat(slot, slot->next) ? STEER_WAIT : to);
    result = r < 0 ? r : result;
    if (has_own_seat(slot, slot->next)) {
        r = listen_set_steer_seat(s, slot->next->seat, next_serves ? STEER_READY : STEER_AWAY);
        result = r < 0 ? r : result;
    }
    if (has_own_seat(slot, slot->old)) {
        r = listen_set_steer_seat(s, slot->old->seat, old_serves(slot) ? STEER_READY : STEER_AWAY);
        result = r < 0 ? r : result;
    }
    if (result < 0 && !slot->workers->steering_told)
        log_event(slot->workers->log, LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
                  "new connections cannot be kept away from slots that are not ready: %s%s",
                  result == -EBUSY ? "workers have locked their sockets (SO_LOCK_FILTER), which "
                                     "the sandbox 'service' does not allow"
                                   : strerror(-result),
                  problem_is_refusal(result) ? "; an outer sandbox refuses setsockopt(2) with "
                                               "SO_ATTACH_REUSEPORT_CBPF, let it allow that"
                                             : "");
    slot->workers->steering_told |= result < 0;
}

/* ---- draining -------------------------------------------------------------------------------- */

static void say_given_up(const struct slot *slot, const struct worker *w, size_t left)
{
    char time[FORMAT_TIME_MAX];

    log_event(slot->workers->log, LOG_LEVEL_WARNING, (int)slot->index, w->pid,
              "is stopped although %zu connections wait: it has accepted none for %s", left,
              format_time(DRAIN_PATIENCE, time));
}

bool slot_is_drained(struct slot *slot, const struct worker *w, struct drain *drain)
{
    uint64_t now = ait_now(NULL), moment = slot->config->drain, next;

    if (!w || w->state >= WORKER_DRAINING)
        return true;
    if (!listen_set_has(sockets(slot), LISTEN_OF_WORKER) &&
        !(slot->leaving && listen_set_has(sockets(slot), LISTEN_OF_SLOT)))
        return true;
    /* Its queue would never become empty. */
    if (!listen_set_is_avoided(sockets(slot), w->seat) && !(w == slot->old && old_serves(slot)))
        return true;
    if (w == slot->old && old_serves(slot))
        *drain = (struct drain){0};
    else if (drain_look(drain, pending(slot, w->seat), is_ready(w), now, moment)) {
        if (drain->left > 0)
            say_given_up(slot, w, drain->left);
        return true;
    }
    next = drain->begun ? drain_next(drain, now, moment) : AIT_USEC_INFINITY;
    if (next < slot->look_at)
        slot->look_at = next;
    return false;
}
