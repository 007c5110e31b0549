/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "slot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "config/parse.h"
#include "slot-seats.h"
#include "worker/advice.h"
#include "worker/denials.h"

#define MEMORY_PAUSE (100 * AIT_USEC_PER_MSEC) /* without memory to wait in */

/* ---- failures -------------------------------------------------------------------------------- */

/*
 * Exit statuses after which a retry cannot help: EX_CONFIG, and what env(1) and containers use for
 * "could not run it".
 */
static bool hopeless(int status)
{
    return status == STATUS_CONFIG || status == 125;
}

/*
 * min(CAP, BASE * 1.5^(n-1)) with 10 % jitter, so that slots that failed together do not restart
 * together.
 */
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

/* Records an unplanned exit. True if it is the --give-up-th within the time. */
static bool too_many_exits(struct slot *slot)
{
    const struct rate *limit = &slot->config->give_up;
    uint64_t now = ait_now(NULL);

    if (limit->count == 0 || limit->usec == 0)
        return false;
    slot->exits[slot->n_exits++ % limit->count] = now;
    /* The ring's next place is the oldest of the last count. */
    return slot->n_exits >= limit->count &&
           now - slot->exits[slot->n_exits % limit->count] <= limit->usec;
}

static void fail(struct slot *slot, int status)
{
    slot->state = SLOT_FAILED;
    slot->status = status;
}

static void rest(struct slot *slot, uint64_t usec)
{
    slot->state = SLOT_BACKOFF;
    slot->wake_at = ait_now(NULL) + usec;
}

/* ---- after the end of a worker --------------------------------------------------------------- */

static void judge_failed_start(struct slot *slot, const struct worker *w)
{
    if (w->spawn_status == STATUS_SANDBOX || w->spawn_status == STATUS_CONFIG ||
        w->spawn_is_hopeless)
        fail(slot, w->spawn_status);
}

static void judge_hopeless(struct slot *slot, const struct worker *w, int status)
{
    log_event(slot->workers->log, LOG_LEVEL_ERROR, (int)slot->index, w->pid,
              "exited with status %d, which means that a restart cannot help; see its output "
              "above, fix the cause, and reload",
              status);
    fail(slot, status == STATUS_CONFIG ? STATUS_CONFIG : STATUS_UNAVAILABLE);
}

static void judge_given_up(struct slot *slot, const char *end)
{
    const struct server_config *config = slot->config;
    char window[FORMAT_TIME_MAX];

    log_event(slot->workers->log, LOG_LEVEL_ERROR, (int)slot->index, 0,
              "gave up after %u unplanned exit%s within %s (--give-up); the last worker %s; see "
              "its output above, or run %s by hand",
              config->give_up.count, config->give_up.count == 1 ? "" : "s",
              format_time(config->give_up.usec, window), end, config->argv[0]);
    fail(slot, STATUS_UNAVAILABLE);
}

/* How it is replaced: at once, or after a rest. */
static void judge_unplanned(struct slot *slot, const struct worker *w, const char *end)
{
    char time[FORMAT_TIME_MAX], ran[FORMAT_TIME_MAX + 64];
    uint64_t end_time = w->ended > 0 ? w->ended : ait_now(NULL), usec;

    (void)format_time(end_time - w->started, ran);
    /* Its READY=1 was worth nothing. */
    if (w->became_ready > 0 && !slot->was_proved)
        (void)snprintf(ran + strlen(ran), sizeof(ran) - strlen(ran), " (%s after it was ready)",
                       format_time(end_time - w->became_ready, time));
    if (w->became_ready > 0 && end_time - w->became_ready >= slot->config->stable) {
        slot->n_failures = 0;
        log_event(slot->workers->log, LOG_LEVEL_WARNING, (int)slot->index, w->pid,
                  "%s after %s; replaced at once", end, ran);
        return;
    }
    usec = backoff(slot->config, ++slot->n_failures);
    rest(slot, usec);
    log_event(slot->workers->log, LOG_LEVEL_WARNING, (int)slot->index, w->pid,
              "%s after %s; next start in %s", end, ran, format_time(usec, time));
}

/* Whether it has done its work, and is not restarted. */
static bool is_complete(const struct slot *slot, const struct worker *w)
{
    enum restart_mode restart = slot->config->restart;

    return restart == RESTART_NO ||
           (restart == RESTART_ON_FAILURE && w->child && worker_exit_status(w) == 0);
}

/* Sets the slot's state. */
static void judge(struct slot *slot, const struct worker *w)
{
    int status = worker_exit_status(w);
    char end[WORKER_END_MAX];

    worker_describe_end(w, end, sizeof(end));
    slot->state = SLOT_ACTIVE;
    if (is_complete(slot, w)) {
        log_event(slot->workers->log, status == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
                  (int)slot->index, w->pid, "%s", end);
        slot->state = SLOT_ENDED;
        slot->status = status;
        return;
    }
    if (!w->child)
        judge_failed_start(slot, w);
    else if (hopeless(status))
        judge_hopeless(slot, w, status);
    if (slot->state == SLOT_ACTIVE && too_many_exits(slot))
        judge_given_up(slot, end);
    if (slot->state == SLOT_ACTIVE)
        judge_unplanned(slot, w, end);
}

/* ---- proof ----------------------------------------------------------------------------------- */

/*
 * When a ready worker is proved, if it stays alive. One that is ready because it has been alive for
 * some time has already proved that much. What runs to completion need not stay.
 */
static uint64_t settle_of(const struct slot *slot)
{
    return slot->config->restart == RESTART_NO ? 0 : slot->config->settle;
}

static uint64_t proved_at(const struct slot *slot, const struct worker *w)
{
    return (w->ready_by_age ? w->started : w->became_ready) + settle_of(slot);
}

static bool is_ready(const struct worker *w)
{
    return w && w->state == WORKER_READY;
}

static bool is_proved(const struct slot *slot, const struct worker *w)
{
    return is_ready(w) && ait_now(NULL) >= proved_at(slot, w);
}

/* ---- one look: each says whether it has changed something ------------------------------------ */

static bool has_ended(const struct worker *w)
{
    return w && w->state == WORKER_EXITED;
}

static void note_old(struct replacement *r, const struct worker *w)
{
    r->old_killed = w->killed;
    r->old_ended = !w->killed;
    r->old_took = w->asked > 0 ? ait_now(NULL) - w->asked : 0;
}

static bool old_has_ended(struct slot *slot)
{
    struct replacement *r = slot->replacement;

    if (!has_ended(slot->old))
        return false;
    if (r && r->state == REPLACEMENT_COMMITTED && !slot->is_successor)
        note_old(r, slot->old);
    if (!slot_old_has_successor(slot) && r && r->state == REPLACEMENT_COMMITTED) {
        r->state = REPLACEMENT_DONE;
        slot->replacement = NULL;
    }
    return true;
}

/* It has been asked to stop, and has its time, but is in the way. */
static void leave_alone(struct slot *slot, struct worker *w)
{
    w->left = slot->left;
    slot->left = w;
}

static bool left_have_ended(struct slot *slot)
{
    bool changed = false;

    for (struct worker **p = &slot->left; *p;) {
        struct worker *w = *p;

        if (!has_ended(w)) {
            p = &w->left;
            continue;
        }
        *p = w->left;
        (void)slot_dismiss(slot, w);
        changed = true;
    }
    return changed;
}

/* How it ended and, if it was ready, how soon after that. */
static void describe_end(const struct worker *w, char *buf, size_t n)
{
    char end[WORKER_END_MAX], time[FORMAT_TIME_MAX];
    uint64_t ended = w->ended > 0 ? w->ended : ait_now(NULL);

    worker_describe_end(w, end, sizeof(end));
    if (w->became_ready == 0)
        (void)snprintf(buf, n, "%s", end);
    else
        (void)snprintf(buf, n, "%s, %s after it was ready", end,
                       format_time(ended - w->became_ready, time));
}

static void go_back(struct slot *slot)
{
    revision_unref(slot->revision);
    slot->revision = slot->previous;
    slot->previous = NULL;
    slot->state = SLOT_ACTIVE;
    slot->went_back = true;
}

static bool trial_is_over(struct slot *slot)
{
    if (slot->trial || !slot->previous || ait_now(NULL) < slot->trial_ends)
        return false;
    slot->previous = revision_unref(slot->previous);
    return true;
}

/* Its end while it is on trial tells against its revision. True if the slot has gone back. */
static bool trial_has_ended(struct slot *slot, const struct worker *w)
{
    struct replacement *r = slot->trial;
    char why[REPLACEMENT_WHY_MAX];

    if (is_complete(slot, w) && worker_exit_status(w) == 0)
        return false;
    describe_end(w, why, sizeof(why));
    if (r) {
        (void)strcpy(r->why, why);
        r->pid = w->pid;
        r->state = REPLACEMENT_DIED;
        slot->trial = NULL;
        if (slot->replacement == r)
            slot->replacement = NULL;
    }
    if (!slot->previous || is_complete(slot, w))
        return false;
    go_back(slot);
    log_event(slot->workers->log, LOG_LEVEL_ERROR, (int)slot->index, w->pid,
              "reload: the new worker %s; the slot goes back to what it ran before; see its output "
              "above, fix the cause, and reload again",
              why);
    return true;
}

static bool current_has_ended(struct slot *slot)
{
    struct worker *w = slot->current;

    if (is_proved(slot, w))
        slot->was_proved = true;
    if (!has_ended(w))
        return false;
    slot->current = NULL;
    slot->acceptance = (struct acceptance){0};
    /* It may have come and gone between two looks. */
    if (w->became_ready > 0 && proved_at(slot, w) == w->became_ready)
        slot->was_proved = true;
    if (w->asked_to_stop && slot->replacement && slot->replacement->in_place)
        note_old(slot->replacement, w);
    if (!w->asked_to_stop && !trial_has_ended(slot, w))
        judge(slot, w);
    if (!w->asked_to_stop)
        advice_give(w);
    worker_unref(w);
    return true;
}

/* With in_place the slot is left to the replacement until that has failed. */
static bool may_start(const struct slot *slot)
{
    return !slot->current && !slot->leaving && !(slot->replacement && slot->replacement->in_place);
}

static bool start_is_due(struct slot *slot)
{
    int r;

    if (!may_start(slot))
        return false;
    if (slot->state == SLOT_BACKOFF && ait_now(NULL) >= slot->wake_at)
        slot->state = SLOT_ACTIVE;
    if (slot->state != SLOT_ACTIVE)
        return false;
    r = slot_start_worker(slot, slot->revision, slot->seat, &slot->current);
    if (r == -ECANCELED) /* the end of the server */
        return false;
    if (r < 0) {
        log_event(slot->workers->log, LOG_LEVEL_ERROR, (int)slot->index, 0, "cannot start: %s",
                  strerror(-r));
        rest(slot, slot->config->backoff.cap_usec > MEMORY_PAUSE ? slot->config->backoff.cap_usec
                                                                 : MEMORY_PAUSE);
    }
    return true;
}

/* ---- a replacement --------------------------------------------------------------------------- */

static bool replacement_failed(struct slot *slot, const char *why)
{
    struct replacement *r = slot->replacement;

    (void)snprintf(r->why, sizeof(r->why), "%s", why);
    r->state = REPLACEMENT_FAILED;
    slot->replacement = NULL;
    return true;
}

static bool next_has_ended(struct slot *slot)
{
    struct worker *w = slot->next;
    char why[REPLACEMENT_WHY_MAX] = "", time[FORMAT_TIME_MAX];

    slot->next = NULL;
    if (w->start_timed_out)
        (void)snprintf(why, sizeof(why), "was not ready within --start-timeout=%s",
                       format_time(slot->config->start_timeout, time));
    else if (!w->asked_to_stop)
        describe_end(w, why, sizeof(why));
    if (!w->asked_to_stop)
        advice_give(w);
    (void)slot_dismiss(slot, w);
    return replacement_failed(slot, why);
}

/* Next is ready and current is not. */
static bool next_serves(const struct slot *slot)
{
    return is_ready(slot->next) && !is_ready(slot->current);
}

static enum steer where_to(const struct slot *slot)
{
    const struct replacement *r = slot->replacement;

    if (slot->leaving || (slot_is_over(slot) && !next_serves(slot)))
        return STEER_AWAY;
    /* Others can serve meanwhile. */
    if (slot->acceptance.stuck && is_ready(slot->current))
        return STEER_WAIT;
    /* Its worker is about to be stopped. */
    if (r && r->in_place && r->state == REPLACEMENT_ASKED && !r->roll_back)
        return STEER_WAIT;
    return slot_is_ready(slot) ? STEER_READY : STEER_WAIT;
}

/* Next becomes current, on trial. A slot that was over has nothing to go back to. */
static bool commit(struct slot *slot)
{
    struct replacement *r = slot->replacement;

    if (slot->old)
        leave_alone(slot, slot->old);
    slot->old = slot->current;
    slot->current = slot->next;
    slot->next = NULL;
    slot->trial = r;
    slot->went_back = false;
    slot->previous = revision_unref(slot->previous);
    if (slot_is_over(slot))
        revision_unref(slot->revision);
    else
        slot->previous = slot->revision;
    slot->revision = revision_ref(r->revision);
    slot->state = SLOT_ACTIVE;
    slot->n_failures = slot->n_exits = 0;
    slot->was_proved = true;
    r->state = REPLACEMENT_COMMITTED;
    slot_change_seat(slot);
    slot_steer(slot, where_to(slot));
    if (!slot->old) {
        r->state = REPLACEMENT_DONE;
        slot->replacement = NULL;
    } else if (!slot->old_drains) {
        worker_stop(slot->old);
    }
    return true;
}

static bool old_is_drained(struct slot *slot)
{
    if (!slot->old || !slot->old_drains || !slot_is_drained(slot, slot->old, &slot->old_drain))
        return false;
    slot->old_drains = false;
    worker_stop(slot->old);
    return true;
}

static bool start_next(struct slot *slot)
{
    struct replacement *r = slot->replacement;
    unsigned seat;

    if (r->roll_back)
        return replacement_failed(slot, "");
    if (r->in_place && slot->current) {
        if (slot_is_drained(slot, slot->current, &slot->current_drain))
            worker_stop(slot->current);
        return false;
    }
    seat = slot_take_seat(slot);
    if (slot_start_worker(slot, r->revision, seat, &slot->next) < 0) {
        if (seat != slot->seat)
            listen_set_release_seat(slot->workers->listen, seat);
        return replacement_failed(slot, "could not be started: out of memory");
    }
    r->state = REPLACEMENT_STARTING;
    return true;
}

static bool replacement_goes_on(struct slot *slot)
{
    struct replacement *r = slot->replacement;
    enum replacement_state before;

    if (!r || r->state == REPLACEMENT_COMMITTED)
        return false;
    if (r->state == REPLACEMENT_ASKED)
        return start_next(slot);
    r->pid = slot->next->pid;
    if (has_ended(slot->next))
        return next_has_ended(slot);
    if (r->roll_back && !next_serves(slot)) {
        worker_stop(slot->next);
        return false;
    }
    before = r->state;
    /* One that was ready and is dying is not ready any more. */
    r->state = is_proved(slot, slot->next) ? REPLACEMENT_READY : REPLACEMENT_STARTING;
    /* The old worker of the replacement before may be there still, and have something to accept. */
    if (r->state == REPLACEMENT_READY && !slot->old_drains && (r->commit || next_serves(slot)))
        return commit(slot);
    return r->state != before;
}

/* ---- the whole look -------------------------------------------------------------------------- */

bool slot_is_ready(const struct slot *slot)
{
    return is_ready(slot->current) || is_ready(slot->next);
}

bool slot_is_proved(const struct slot *slot)
{
    const struct replacement *r = slot->replacement;

    return r && r->state == REPLACEMENT_READY && slot->next->state == WORKER_READY;
}

bool slot_is_over(const struct slot *slot)
{
    return slot->state == SLOT_FAILED || slot->state == SLOT_ENDED;
}

bool slot_is_lost(const struct slot *slot)
{
    return slot_is_over(slot) &&
           !(slot->replacement && slot->replacement->state < REPLACEMENT_COMMITTED);
}

/* Wakes all waiters. */
static void tell(struct slot *slot)
{
    (void)ait_event_set(slot->changed);
    (void)ait_event_clear(slot->changed);
}

void slot_step(struct slot *slot)
{
    static bool (*const looks[])(struct slot *) = {
        old_has_ended,       left_have_ended, current_has_ended, trial_is_over,
        replacement_goes_on, old_is_drained,  start_is_due};
    bool changed;

    slot->look_at = AIT_USEC_INFINITY;
    /* Before anybody is asked to stop. */
    slot_steer(slot, where_to(slot));
    do {
        changed = false;
        for (size_t i = 0; i < sizeof(looks) / sizeof(*looks); i++)
            changed |= looks[i](slot);
    } while (changed);
    slot_steer(slot, where_to(slot));
    tell(slot);
}

/* ---- the task -------------------------------------------------------------------------------- */

static int step(void *userdata)
{
    slot_step(userdata);
    return 0;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/*
 * How long until time alone changes something: a rest is over, or a worker is proved. It depends on
 * what the last look has found, not on the clock: what has become due since then is due now.
 */
static uint64_t until_next_look(const struct slot *slot)
{
    const struct replacement *r = slot->replacement;
    uint64_t at = slot->look_at, now = ait_now(NULL);

    if (slot->state == SLOT_BACKOFF && may_start(slot))
        at = earlier(at, slot->wake_at);
    if (slot->previous && !slot->trial)
        at = earlier(at, slot->trial_ends);
    if (!slot->was_proved && is_ready(slot->current))
        at = earlier(at, proved_at(slot, slot->current));
    if (r && r->state == REPLACEMENT_STARTING && is_ready(slot->next) &&
        (!r->roll_back || next_serves(slot)))
        at = earlier(at, proved_at(slot, slot->next));
    return at == AIT_USEC_INFINITY ? at : at > now ? at - now : 0;
}

/* Until something has changed for it, or it is time to look again. */
static int slot_wait(struct slot *slot)
{
    AIT_SCOPE(limit);
    int r = ait_scope_enter_after(&limit, AIT_SCOPE_MOVE_ON, until_next_look(slot));

    if (r == -ENOMEM)
        return ait_sleep(MEMORY_PAUSE);
    if (r < 0)
        return r;
    r = ait_event_wait(slot->event);
    (void)ait_event_clear(slot->event);
    return ait_scope_exit(limit, r);
}

/* The slot leaves: its workers accept what waits at them. */
static int drain(struct slot *slot)
{
    int r = 0;

    slot->current_drain = (struct drain){0};
    while (r >= 0) {
        bool current = slot_is_drained(slot, slot->current, &slot->current_drain),
             old = slot_is_drained(slot, slot->old, &slot->old_drain);

        if (current && old)
            break;
        r = ait_sleep(DRAIN_PAUSE);
    }
    return r;
}

static int slot_main(void *userdata)
{
    struct slot *slot = userdata;
    AIT_SCOPE(scope);
    int r;

    /* Requests may have arrived already, and their requesters wait for the outcome. */
    while ((r = ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR)) == -ENOMEM && !slot->leaving)
        if ((r = ait_sleep(MEMORY_PAUSE)) < 0)
            break;
    if (r < 0)
        return r;
    slot->scope = scope;
    while (r >= 0) {
        /* Deep, and this task is going to wait for long. */
        (void)ait_call_on_thread_stack(step, slot);
        if (slot->leaving)
            break;
        r = slot_wait(slot);
    }
    if (r >= 0)
        r = drain(slot);
    /* Stops the running workers, and waits for them. */
    (void)ait_scope_cancel(scope);
    r = ait_scope_exit(scope, r);
    slot->scope = NULL;
    slot->next = slot_dismiss(slot, slot->next);
    slot->old = slot_dismiss(slot, slot->old);
    (void)left_have_ended(slot);
    slot->current = worker_unref(slot->current);
    if (slot->leaving)
        slot_say_lost(slot, slot->seat);
    tell(slot);
    return r;
}

int slot_start(struct slot *slot, ait_scope *scope)
{
    return ait_scope_spawn(scope, &slot->task, slot_main, slot, AIT_TASK_OPTIONS(.name = "slot"));
}

/* ---- requests -------------------------------------------------------------------------------- */

int slot_replace(struct slot *slot, struct replacement *r)
{
    if (slot->replacement)
        return -EBUSY;
    slot_withdraw(slot);
    r->state = REPLACEMENT_ASKED;
    r->commit = r->roll_back = false;
    r->pid = 0;
    r->old_ended = r->old_killed = false;
    r->old_took = 0;
    r->why[0] = '\0';
    slot->replacement = r;
    slot->current_drain = (struct drain){0};
    (void)ait_event_set(slot->event);
    return 0;
}

void slot_decide(struct slot *slot, bool commit)
{
    if (!slot->replacement)
        return;
    slot->replacement->commit = commit;
    slot->replacement->roll_back = !commit;
    (void)ait_event_set(slot->event);
}

void slot_withdraw(struct slot *slot)
{
    if (slot->replacement && slot->next && slot->next->state == WORKER_DRAINING) {
        leave_alone(slot, slot->next);
        slot->next = NULL;
    }
    if (slot->trial)
        slot->trial_ends = ait_now(NULL) + settle_of(slot);
    slot->replacement = slot->trial = NULL;
    (void)ait_event_set(slot->event);
}

void slot_leave(struct slot *slot)
{
    slot->leaving = true;
    (void)ait_event_set(slot->event);
}

/* ---- life ------------------------------------------------------------------------------------ */

int slot_new(struct slot **ret, const struct server_config *config, struct workers *workers,
             ait_event *changed, struct revision *revision, unsigned index, unsigned seat)
{
    struct slot *slot = calloc(1, sizeof(*slot));

    if (!slot)
        return -ENOMEM;
    *slot = (struct slot){
        .config = config,
        .workers = workers,
        .changed = changed,
        .revision = revision_ref(revision),
        .index = index,
        .seat = seat,
        .steer = STEER_AWAY,
        .exits = calloc(config->give_up.count + 1, sizeof(*slot->exits)),
    };
    int r = slot->exits ? ait_event_new(&slot->event) : -ENOMEM;
    if (r < 0) {
        slot_free(slot);
        return r;
    }
    *ret = slot;
    return 0;
}

struct slot *slot_free(struct slot *slot)
{
    if (!slot)
        return NULL;
    ait_task_unref(slot->task);
    ait_event_unref(slot->event);
    revision_unref(slot->previous);
    revision_unref(slot->revision);
    denial_limits_free(slot->limits);
    free(slot->exits);
    free(slot);
    return NULL;
}
