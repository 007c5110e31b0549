/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Planned changes: one task does them one after the other, so that they never overlap. It lives in the slots' scope: stopping the server ends it.
 */

#include <stdlib.h>
#include <string.h>

#include "supervise.h"

#define DRAIN_PAUSE (20 * AIT_USEC_PER_MSEC)
#define DRAIN_LIMIT (2 * AIT_USEC_PER_SEC)

/* ---- replacing ----------------------------------------------------------------------------------- */

struct replacement {
    struct slot *slot;
    struct worker *new, *old;
    bool ready;
};

static int start_one(struct replacement *p)
{
    int r = 0;

    /* The slot's own task may not have begun. */
    while (r >= 0 && !p->slot->scope && !ait_task_is_done(p->slot->task))
        r = ait_yield();
    if (r < 0)
        return r;
    if (worker_new(p->slot, &p->new) < 0)
        p->new = NULL;
    p->slot->replacement = p->new;
    return 0;
}

/* Waits until the new worker is ready or has ended. */
static int await_one(struct replacement *p)
{
    int r, result = -ENOMEM;

    if (p->new) {
        r = ait_await(p->new->ready, &result);
        if (r < 0)
            return r;
    }
    p->ready = result >= 0;
    return 0;
}

static void say_why(struct server *server, const struct replacement *p)
{
    char end[96] = "could not be started";

    if (p->new && p->new->start_timed_out)
        (void)strcpy(end, "was not ready in time");
    else if (p->new && p->new->state != WORKER_EXITED)
        (void)strcpy(end, "ended while others were awaited");
    else if (p->new)
        worker_describe_end(p->new, end, sizeof(end));
    log_event(server->log, LOG_LEVEL_ERROR, (int)p->slot->index, p->new ? p->new->pid : 0,
              "reload: the replacement %s; see its output above", end);
}

/* Takes the new workers of a batch back; whoever waits must not be let go before they are gone. One whose old worker has ended by itself meanwhile
 * is all that its slot has, and stays. */
static void roll_back(struct replacement *batch, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (batch[i].new &&batch[i].slot->current != batch[i].new)
            (void)ait_task_cancel(batch[i].new->task);
    for (unsigned i = 0; i < n; i++) {
        if (!batch[i].new)
            continue;
        if (batch[i].slot->current != batch[i].new)
            (void)worker_stop(batch[i].new);
        batch[i].slot->replacement = NULL;
        batch[i].new = worker_unref(batch[i].new);
    }
}

/* The new ones take over; then the old ones are stopped, all at once. */
static int commit(struct replacement *batch, unsigned n)
{
    int r = 0;

    for (unsigned i = 0; i < n; i++)
        batch[i].old = slot_commit(batch[i].slot, batch[i].new);
    for (unsigned i = 0; i < n; i++)
        if (batch[i].old)
            (void)ait_task_cancel(batch[i].old->task);
    for (unsigned i = 0; i < n; i++) {
        if (!batch[i].old)
            continue;
        if (worker_stop(batch[i].old) == -ECANCELED)
            r = -ECANCELED;
        worker_unref(batch[i].old);
    }
    return r;
}

/* New before old, for up to --max-surge slots at a time. 1: done, 0: a replacement was not ready, and the batch is as it was. */
static int replace_surging(struct server *server, struct replacement *batch, unsigned n)
{
    bool failed = false;
    int r = 0;

    for (unsigned i = 0; i < n && r >= 0; i++)
        r = start_one(&batch[i]);
    for (unsigned i = 0; i < n && r >= 0; i++)
        r = await_one(&batch[i]);
    for (unsigned i = 0; i < n && r >= 0; i++) {
        /* An early one may have gone while the others were awaited. */
        if (batch[i].ready && batch[i].new->state == WORKER_READY)
            continue;
        failed = true;
        say_why(server, &batch[i]);
    }
    if (r < 0 || failed) {
        roll_back(batch, n);
        return r;
    }
    r = commit(batch, n);
    return r < 0 ? r : 1;
}

static bool in_batch(const struct slot *slot, const struct replacement *batch, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (batch[i].slot == slot)
            return true;
    return false;
}

/* Slots outside the batch that have nobody ready, and will: crashed ones count, too. */
static unsigned n_unavailable(const struct server *server, const struct replacement *batch, unsigned n)
{
    unsigned count = 0;

    for (unsigned i = 0; i < server->n_slots; i++) {
        const struct slot *slot = server->slots[i];

        if (slot->state == SLOT_FAILED || slot->state == SLOT_ENDED || in_batch(slot, batch, n))
            continue;
        count += !slot->current || slot->current->state != WORKER_READY;
    }
    return count;
}

/* Waits for the slot's worker after old, which the slot starts by itself: at once, however old has ended. */
static int replace_one_in_place(struct server *server, struct replacement *p)
{
    int r = 0;

    while (r >= 0 && (!p->slot->current || p->slot->current == p->old)) {
        if (p->slot->rest)
            (void)ait_scope_cancel(p->slot->rest);
        r = await_news(&server->changed);
    }
    if (r < 0)
        return r;
    p->new = worker_ref(p->slot->current);
    return await_one(p);
}

/* Old before new, for up to --max-unavailable slots at a time: for those who cannot run two at once. */
static int replace_in_place(struct server *server, struct replacement *batch, unsigned n)
{
    unsigned limit = amount_of(server->config->max_unavailable, server->n_slots, false);
    bool failed = false;
    int r = 0;

    while (r >= 0 && n_unavailable(server, batch, n) + n > limit && n_unavailable(server, batch, n) > 0)
        r = await_news(&server->changed);
    for (unsigned i = 0; i < n && r >= 0; i++) {
        batch[i].old = worker_ref(batch[i].slot->current);
        if (batch[i].old)
            (void)ait_task_cancel(batch[i].old->task);
    }
    for (unsigned i = 0; i < n && r >= 0; i++) {
        r = replace_one_in_place(server, &batch[i]);
        if (r >= 0 && !batch[i].ready) {
            failed = true;
            say_why(server, &batch[i]);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        worker_unref(batch[i].new);
        worker_unref(batch[i].old);
    }
    return r < 0 ? r : !failed;
}

/* All slots, those first that have nobody at all: they have nothing to lose, and are what a reload is to mend. */
static void plan(const struct server *server, struct replacement *all)
{
    unsigned n = 0;

    for (int resting = 1; resting >= 0; resting--)
        for (unsigned i = 0; i < server->n_slots; i++)
            if ((server->slots[i]->rest != NULL) == resting)
                all[n++] = (struct replacement){.slot = server->slots[i]};
}

static int reread_policy(void *userdata)
{
    struct server *server = userdata;
    const struct server_config *config = server->config;
    struct problem p;
    int r = worker_sandbox_reload(&server->sandbox, &config->sandbox, config->program, &p);

    if (r < 0)
        log_event(server->log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0,
                  "reload: refused, all workers go on as they were: %s", p.text);
    return r;
}

/* The whole server, batch by batch, up to the first batch that fails. */
static int reload(struct server *server)
{
    unsigned surge = amount_of(server->config->max_surge, server->n_slots, true), done = 0, n;
    unsigned at_a_time =
        surge > 0 ? surge : amount_of(server->config->max_unavailable, server->n_slots, false);
    struct replacement *all;
    int r = 1;

    if (at_a_time == 0) /* a percentage of few workers */
        at_a_time = 1;

    upstream_reloading(server);
    if (ait_call_on_thread_stack(reread_policy, server) < 0) {
        server->reload_state = "refused";
        upstream_reloaded(server);
        return 0;
    }
    server->generation++;
    server->reloading = true;
    server->reload_state = NULL;
    log_event(server->log, LOG_LEVEL_INFO, LOG_NO_SLOT, 0, "reload: replacing %u workers", server->n_slots);
    all = calloc(server->n_slots, sizeof(*all));
    if (all)
        plan(server, all);
    else
        r = -ENOMEM;
    while (r > 0 && done < server->n_slots) {
        n = server->n_slots - done < at_a_time ? server->n_slots - done : at_a_time;
        r = surge > 0 ? replace_surging(server, all + done, n) : replace_in_place(server, all + done, n);
        if (r > 0)
            done += n;
    }
    free(all);
    server->reloading = false;
    if (r == -ECANCELED)
        return r;
    if (r <= 0)
        server->reload_state = done > 0 ? "partial" : "rolled-back";
    if (r > 0)
        log_event(server->log, LOG_LEVEL_INFO, LOG_NO_SLOT, 0, "reload: done");
    else
        log_event(server->log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0,
                  "reload: %s; %u of %u workers were replaced, the others go on as they were; mend the cause "
                  "and reload again",
                  server->reload_state, done, server->n_slots);
    upstream_reloaded(server);
    return 0;
}

/* ---- scaling ------------------------------------------------------------------------------------- */

static int add_slot(struct server *server)
{
    struct slot **slots = reallocarray(server->slots, server->n_slots + 1, sizeof(*slots)), *slot;
    int r;

    if (!slots)
        return -ENOMEM;
    server->slots = slots;
    r = listen_set_add_slot(server->listen, server->n_slots, &server->problem);
    if (r < 0) {
        log_event(server->log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0, "cannot add a worker: %s",
                  server->problem.text);
        return 0;
    }
    r = slot_new(server, server->n_slots, &slot);
    if (r >= 0) {
        r = slot_start(slot);
        if (r < 0)
            slot_free(slot);
    }
    if (r < 0) {
        listen_set_remove_slot(server->listen, server->n_slots);
        return r;
    }
    server->slots[server->n_slots++] = slot;
    server_steer(server);
    return 1;
}

/* The last slot goes. What has already been queued on its own sockets is its worker's to serve. */
static int remove_slot(struct server *server)
{
    struct slot *slot = server->slots[server->n_slots - 1];
    uint64_t end = ait_now(NULL) + DRAIN_LIMIT;
    int r = 0;

    slot->leaving = true;
    server_steer(server);
    /* Empty for a while: a handshake under way ends on the listener that it began on, and does not count until then. */
    for (unsigned n_empty = 0; r >= 0 && n_empty < 3 && ait_now(NULL) < end;) {
        r = ait_sleep(DRAIN_PAUSE);
        n_empty = listen_set_pending(server->listen, slot->index) > 0 ? 0 : n_empty + 1;
    }
    if (r < 0)
        return r;
    r = ait_cancel_and_wait(slot->task, NULL);
    if (r < 0)
        return r;
    server->n_slots--;
    listen_set_remove_slot(server->listen, slot->index);
    server_steer(server);
    slot_free(slot);
    return 1;
}

static int scale(struct server *server)
{
    unsigned before = server->n_slots;
    int r = 1;

    while (r > 0 && server->n_slots < server->n_workers_wanted)
        r = add_slot(server);
    while (r > 0 && server->n_slots > server->n_workers_wanted)
        r = remove_slot(server);
    server->n_workers_wanted = server->n_slots;
    if (server->n_slots != before)
        log_event(server->log, LOG_LEVEL_INFO, LOG_NO_SLOT, 0, "%u workers, before %u", server->n_slots,
                  before);
    server_changed(server);
    return r;
}

/* ---- the task ------------------------------------------------------------------------------------ */

int planner_main(void *userdata)
{
    struct server *server = userdata;
    int r = 0;

    while (r >= 0) {
        if (server->n_workers_wanted != server->n_slots) {
            r = scale(server);
        } else if (server->n_reloads_wanted > 0) {
            /* However often it was asked for meanwhile: one more is enough. */
            server->n_reloads_wanted = 0;
            r = reload(server);
        } else {
            r = await_news(&server->wishes);
        }
        if (r < 0 && r != -ECANCELED) {
            log_event(server->log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0, "cannot do what was asked: %s",
                      strerror(-r));
            r = 0;
        }
    }
    return r;
}
