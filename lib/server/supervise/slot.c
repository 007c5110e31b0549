/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A slot: the place of one worker. Its task keeps a worker running in it, and decides after each end what comes next.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "worker/denials.h"
#include "supervise.h"

/* Exit statuses after which another try cannot help: EX_CONFIG, and what env(1) and containers use for "could not run it". */
static bool hopeless(int status)
{
    return status == STATUS_CONFIG || status == 125;
}

/* min(CAP, BASE * 1.5^(n-1)), 10 % jitter, so that slots which failed together do not come back together. */
static uint64_t backoff(const struct server_config *config, unsigned n)
{
    uint64_t usec = config->backoff.base_usec, cap = config->backoff.cap_usec, random = 0;

    for (unsigned i = 1; i < n && usec < cap; i++)
        usec = usec > cap - usec / 2 ? cap : usec + usec / 2;
    if (usec > cap)
        usec = cap;
    (void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
    return usec - usec / 20 + random % (usec / 10 + 1);
}

/* Notes an unplanned exit; true where it is the --give-up-th within the time. */
static bool too_many_exits(struct slot *slot)
{
    const struct rate *limit = &slot->server->config->give_up;
    uint64_t now = ait_now(NULL);

    slot->exits[slot->n_exits++ % limit->count] = now;
    /* The ring's next place is the oldest of the last count. */
    return slot->n_exits >= limit->count && now - slot->exits[slot->n_exits % limit->count] <= limit->usec;
}

static void slot_fail(struct slot *slot, int status)
{
    slot->state = SLOT_FAILED;
    slot->status = status;
}

/* ---- after the end of a worker ------------------------------------------------------------------- */

static void judge_failed_start(struct slot *slot, const struct worker *w)
{
    if (w->spawn_status == STATUS_SANDBOX) {
        slot_fail(slot, STATUS_SANDBOX);
        server_stop(slot->server, STATUS_SANDBOX);
    } else if (w->spawn_status == STATUS_CONFIG) {
        slot_fail(slot, STATUS_CONFIG);
        if (!slot->server->any_started)
            server_stop(slot->server, STATUS_CONFIG);
    }
}

static void judge_hopeless(struct slot *slot, const struct worker *w, int status)
{
    log_event(slot->server->log, LOG_LEVEL_ERROR, (int)slot->index, w->pid,
              "exited with status %d, which says that another try cannot help; see its output above, mend "
              "it, and reload",
              status);
    slot_fail(slot, status == STATUS_CONFIG ? STATUS_CONFIG : STATUS_UNAVAILABLE);
}

static void judge_given_up(struct slot *slot, const char *end)
{
    const struct server_config *config = slot->server->config;
    char window[FORMAT_TIME_MAX];

    log_event(slot->server->log, LOG_LEVEL_ERROR, (int)slot->index, 0,
              "gave up after %u unplanned exits within %s (--give-up); the last worker %s; see its output "
              "above, or run "
              "%s by hand",
              config->give_up.count, format_time(config->give_up.usec, window), end, config->argv[0]);
    slot_fail(slot, STATUS_UNAVAILABLE);
}

struct verdict {
    struct slot *slot;
    const struct worker *w;
    uint64_t wait; /* before the next start */
};

/* Sets the slot's state. */
static int slot_judge(void *userdata)
{
    struct verdict *verdict = userdata;
    struct slot *slot = verdict->slot;
    const struct worker *w = verdict->w;
    const struct server_config *config = slot->server->config;
    int status = worker_exit_status(w);
    uint64_t now = ait_now(NULL);
    char end[96], time[FORMAT_TIME_MAX], ran[FORMAT_TIME_MAX];

    worker_describe_end(w, end, sizeof(end));
    slot->state = SLOT_ACTIVE;
    if (config->restart == RESTART_NO || (config->restart == RESTART_ON_FAILURE && w->child && status == 0)) {
        log_event(slot->server->log, status == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, (int)slot->index,
                  w->pid, "%s", end);
        slot->state = SLOT_ENDED;
        slot->status = status;
        return 0;
    }
    if (!w->child)
        judge_failed_start(slot, w);
    else if (hopeless(status))
        judge_hopeless(slot, w, status);
    if (slot->state == SLOT_ACTIVE && too_many_exits(slot))
        judge_given_up(slot, end);
    if (slot->state == SLOT_FAILED)
        return 0;
    if (w->became_ready > 0 && now - w->became_ready >= config->stable) {
        slot->n_failures = 0;
        log_event(slot->server->log, LOG_LEVEL_WARNING, (int)slot->index, w->pid,
                  "%s after %s; replaced at once", end, format_time(now - w->started, ran));
        return 0;
    }
    verdict->wait = backoff(config, ++slot->n_failures);
    slot->state = SLOT_BACKOFF;
    log_event(slot->server->log, LOG_LEVEL_WARNING, (int)slot->index, w->pid, "%s after %s; next start in %s",
              end, format_time(now - w->started, ran), format_time(verdict->wait, time));
    return 0;
}

/* Rests for usec, or until a reload has something new to run. */
static int slot_rest(struct slot *slot, uint64_t usec)
{
    AIT_SCOPE(rest);
    int r;

    r = ait_scope_enter(&rest, 0);
    if (r < 0)
        return r;
    slot->rest = rest;
    r = ait_sleep(usec);
    slot->rest = NULL;
    return ait_scope_exit(rest, r);
}

/* ---- the task ------------------------------------------------------------------------------------ */

/* One worker, from its start to what follows from its end. */
static int slot_turn(struct slot *slot)
{
    struct verdict verdict;
    struct worker *w;
    int r;

    if (!slot->current) {
        r = worker_new(slot, &slot->current);
        if (r < 0) {
            log_event(slot->server->log, LOG_LEVEL_ERROR, (int)slot->index, 0, "cannot start: %s",
                      strerror(-r));
            return r == -ECANCELED ? r : slot_rest(slot, slot->server->config->backoff.cap_usec);
        }
        slot->state = SLOT_ACTIVE;
        server_changed(slot->server);
    }
    w = worker_ref(slot->current);
    r = ait_task_wait(w->task, NULL);
    /* Where the planner has put another worker in its place, the end of this one is its business. */
    if (r >= 0 && slot->current == w) {
        slot->current = NULL;
        /* It may have been one already: then the planner has not seen yet that it is gone. */
        if (slot->replacement && slot->replacement != w) {
            slot->current = worker_ref(slot->replacement);
        } else if (!w->asked_to_stop) {
            verdict = (struct verdict){.slot = slot, .w = w};
            (void)ait_call_on_thread_stack(slot_judge, &verdict);
            server_steer(slot->server);
            server_changed(slot->server);
            if (slot->state != SLOT_ACTIVE)
                r = slot_rest(slot, slot->state == SLOT_BACKOFF ? verdict.wait : AIT_USEC_INFINITY);
        }
        worker_unref(w);
    }
    worker_unref(w);
    return r;
}

static int slot_main(void *userdata)
{
    struct slot *slot = userdata;
    AIT_SCOPE(scope);
    int r;

    r = ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR);
    if (r < 0) {
        slot_fail(slot, STATUS_OS);
        server_changed(slot->server);
        return r;
    }
    slot->scope = scope;
    while (r >= 0)
        r = slot_turn(slot);
    /* Leaving stops what runs, and waits for it. */
    r = ait_scope_exit(scope, r);
    slot->scope = NULL;
    slot->current = worker_unref(slot->current);
    return r;
}

struct worker *slot_commit(struct slot *slot, struct worker *w)
{
    struct worker *old = slot->current;

    slot->replacement = NULL;
    if (old == w) {
        /* The old one had gone already, and the slot has taken to this one. */
        worker_unref(w);
        return NULL;
    }
    slot->current = w;
    slot->state = SLOT_ACTIVE;
    slot->n_failures = 0;
    slot->n_exits = 0;
    if (slot->rest)
        (void)ait_scope_cancel(slot->rest);
    server_steer(slot->server);
    return old;
}

int slot_new(struct server *server, unsigned index, struct slot **ret)
{
    struct slot *slot = calloc(1, sizeof(*slot));

    if (!slot)
        return -ENOMEM;
    slot->server = server;
    slot->index = index;
    slot->exits = calloc(server->config->give_up.count, sizeof(*slot->exits));
    if (!slot->exits) {
        slot_free(slot);
        return -ENOMEM;
    }
    *ret = slot;
    return 0;
}

struct slot *slot_free(struct slot *slot)
{
    if (!slot)
        return NULL;
    ait_task_unref(slot->task);
    worker_unref(slot->current);
    explain_limits_free(slot->limits);
    free(slot->exits);
    free(slot);
    return NULL;
}

int slot_start(struct slot *slot)
{
    return ait_scope_spawn(slot->server->slots_scope, &slot->task, slot_main, slot,
                           AIT_TASK_OPTIONS(.name = "slot"));
}
