/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scheduler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/parse.h"

/* A reload that waits says what for, ever more rarely. */
#define NEWS_FIRST (5 * AIT_USEC_PER_SEC)
#define NEWS_MAX   (60 * AIT_USEC_PER_SEC)

static struct log *log_of(const struct scheduler *s)
{
    return s->workers->log;
}

/* ---- replacing ------------------------------------------------------------------------------- */

struct reload {
    struct scheduler *scheduler;
    struct revision *revision;
    struct slot **slots; /* in the order in which they come */
    struct replacement *replacements;
    uint64_t began;
    bool gave_way;                            /* to another one */
    uint64_t wait_began, news_at, news_after; /* of the wait that is under way */
};

/* The first that has failed, whichever batch it was in; NULL: none. */
static const struct replacement *first_failure(const struct reload *reload)
{
    for (unsigned i = 0; reload->replacements && i < reload->scheduler->n_slots; i++)
        if (replacement_has_failed(&reload->replacements[i]))
            return &reload->replacements[i];
    return NULL;
}

static unsigned count(const struct reload *reload, enum replacement_state state)
{
    unsigned n = 0;

    for (unsigned i = 0; i < reload->scheduler->n_slots; i++)
        n += reload->replacements[i].state == state;
    return n;
}

/* Some slots whose workers are replaced together. */
struct batch {
    struct reload *reload;
    struct slot **slots;
    struct replacement *replacements;
    unsigned n;
};

/* ---- waiting, and saying so ------------------------------------------------------------------ */

static void begin_wait(struct reload *reload)
{
    reload->wait_began = ait_now(NULL);
    reload->news_after = NEWS_FIRST;
    reload->news_at = reload->wait_began + NEWS_FIRST;
}

/* Waits for a change, or until it is time for news: then returns 1. */
static int await_change(struct reload *reload)
{
    uint64_t now = ait_now(NULL);
    AIT_SCOPE(limit);
    int r = ait_scope_enter_after(&limit, AIT_SCOPE_MOVE_ON,
                                  reload->news_at > now ? reload->news_at - now : 0);

    if (r >= 0)
        r = ait_scope_exit(limit, ait_event_wait(reload->scheduler->changed));
    else if (r == -ENOMEM)
        r = ait_event_wait(reload->scheduler->changed);
    if (r < 0 || ait_now(NULL) < reload->news_at)
        return r < 0 ? r : 0;
    if (reload->news_after < NEWS_MAX)
        reload->news_after *= 2;
    reload->news_at = ait_now(NULL) + reload->news_after;
    return 1;
}

/*
 * Another reload was asked for, and this one has waited for so long that it has said so: what it
 * waits for may take for ever.
 */
static bool gives_way(struct reload *reload)
{
    if (reload->scheduler->reload_wanted && reload->news_after > NEWS_FIRST)
        reload->gave_way = true;
    return reload->gave_way;
}

/* What --ready waits for. */
static const char *ready_text(const struct scheduler *s)
{
    static const char *const texts[] = {
        [READY_AUTO] = "READY=1 (--ready=auto)",    [READY_NOTIFY] = "READY=1 (--ready=notify)",
        [READY_EXEC] = "its exec (--ready=exec)",   [READY_FD] = "a newline (--ready=fd)",
        [READY_DELAY] = "its time (--ready=delay)",
    };

    return texts[s->config->ready];
}

static void say_news(const struct reload *reload, const struct slot *slot,
                     const struct worker *worker, const char *what, const char *option,
                     uint64_t value)
{
    const struct scheduler *s = reload->scheduler;
    char waited[FORMAT_TIME_MAX], limit[FORMAT_TIME_MAX];

    log_event(log_of(s), LOG_LEVEL_INFO, (int)slot->index, worker ? worker->pid : 0,
              "reload: has waited %s for %s; the limit is --%s=%s, and SIGHUP begins anew",
              format_time(ait_now(NULL) - reload->wait_began, waited), what, option,
              format_time(value, limit));
}

static void say_what_next_lacks(const struct reload *reload, const struct slot *slot)
{
    const struct server_config *config = reload->scheduler->config;
    char what[96];

    if (slot->next->state == WORKER_READY) {
        say_news(reload, slot, slot->next, "the new worker to stay alive", "settle",
                 config->settle);
        return;
    }
    (void)snprintf(what, sizeof(what), "%s of the new worker", ready_text(reload->scheduler));
    say_news(reload, slot, slot->next, what, "start-timeout", config->start_timeout);
}

static void say_what_is_missing(const struct batch *b)
{
    uint64_t stop_timeout = b->reload->scheduler->config->stop_timeout;

    for (unsigned i = 0; i < b->n; i++) {
        const struct slot *slot = b->slots[i];
        const struct replacement *r = &b->replacements[i];

        if (r->state == REPLACEMENT_ASKED && slot->current)
            say_news(b->reload, slot, slot->current, "the old worker to end", "stop-timeout",
                     stop_timeout);
        else if (r->state == REPLACEMENT_STARTING && slot->next)
            say_what_next_lacks(b->reload, slot);
        else if (r->state == REPLACEMENT_COMMITTED && slot->old && slot->old_drains)
            log_event(log_of(b->reload->scheduler), LOG_LEVEL_INFO, (int)slot->index,
                      slot->old->pid,
                      "reload: the old worker still accepts what waits at it, %zu connections; it "
                      "is asked to stop afterwards",
                      slot->old_drain.left);
        else if (r->state == REPLACEMENT_COMMITTED && slot->old)
            say_news(b->reload, slot, slot->old, "the old worker to end", "stop-timeout",
                     stop_timeout);
    }
}

/* ---- a batch --------------------------------------------------------------------------------- */

/*
 * Waits until each of the batch is proved or over. Returns 1 if one has failed, of this batch or of
 * an earlier one, or if another reload is to begin.
 */
static int await_proof(const struct batch *b)
{
    bool failed, waiting;
    int r;

    begin_wait(b->reload);
    do {
        failed = first_failure(b->reload) || gives_way(b->reload);
        waiting = false;
        for (unsigned i = 0; i < b->n; i++)
            waiting |=
                b->replacements[i].state <= REPLACEMENT_READY && !slot_is_proved(b->slots[i]);
        r = waiting && !failed ? await_change(b->reload) : 0;
        if (r > 0)
            say_what_is_missing(b);
    } while (r >= 0 && waiting && !failed);
    return r < 0 ? r : failed;
}

/* What is only waiting for a worker to end need not be over for another reload to begin. */
static bool may_be_left(const struct batch *b, unsigned i)
{
    const struct replacement *r = &b->replacements[i];
    const struct worker *next = b->slots[i]->next;

    return (r->state == REPLACEMENT_COMMITTED ||
            (r->roll_back && next && next->state == WORKER_DRAINING)) &&
           gives_way(b->reload);
}

static int await_end(const struct batch *b)
{
    int r = 0;

    begin_wait(b->reload);
    for (unsigned i = 0; i < b->n && r >= 0; i++)
        while (r >= 0 && !replacement_is_over(&b->replacements[i]) && !may_be_left(b, i)) {
            r = await_change(b->reload);
            if (r > 0)
                say_what_is_missing(b);
        }
    return r < 0 ? r : 0;
}

static void say_why(const struct batch *b)
{
    for (unsigned i = 0; i < b->n; i++)
        if (b->replacements[i].state == REPLACEMENT_FAILED && b->replacements[i].why[0])
            log_event(log_of(b->reload->scheduler), LOG_LEVEL_ERROR, (int)b->slots[i]->index,
                      b->replacements[i].pid, "reload: the replacement %s; see its output above",
                      b->replacements[i].why);
}

/* Commits all of the batch; if one is not proved, only those that had nothing to lose. */
static int replace_batch(const struct batch *b)
{
    int failed = 0, r = 0;

    for (unsigned i = 0; i < b->n && r >= 0; i++)
        r = slot_replace(b->slots[i], &b->replacements[i]);
    if (r >= 0)
        r = failed = await_proof(b);
    for (unsigned i = 0; i < b->n && r >= 0; i++)
        slot_decide(b->slots[i], !failed);
    if (r >= 0)
        r = await_end(b);
    if (r >= 0)
        say_why(b);
    return r;
}

/* ---- reload ---------------------------------------------------------------------------------- */

/*
 * The slots that run the oldest come first: one whose old worker never ends holds up each reload,
 * and must not be the first of each.
 */
static void plan(struct reload *reload)
{
    const struct scheduler *s = reload->scheduler;

    for (unsigned i = 0; i < s->n_slots; i++) {
        unsigned at = i;

        for (; at > 0 &&
               reload->slots[at - 1]->revision->generation > s->slots[i]->revision->generation;
             at--)
            reload->slots[at] = reload->slots[at - 1];
        reload->slots[at] = s->slots[i];
        reload->replacements[i] = (struct replacement){
            .revision = reload->revision,
            .in_place = amount_of(s->config->max_surge, s->n_slots, true) == 0,
        };
    }
}

/*
 * Moves slots that have no ready worker to the front, from a position on: they have nothing to
 * lose, and a reload is how they are repaired. Returns their number.
 */
static unsigned put_idle_first(struct reload *reload, unsigned from)
{
    struct slot **slots = reload->slots;
    unsigned n = from;

    for (unsigned i = from; i < reload->scheduler->n_slots; i++) {
        struct slot *slot = slots[i];

        if (slot_is_ready(slot))
            continue;
        memmove(slots + n + 1, slots + n, (i - n) * sizeof(struct slot *));
        slots[n++] = slot;
    }
    return n - from;
}

static unsigned at_a_time(const struct scheduler *s)
{
    unsigned surge = amount_of(s->config->max_surge, s->n_slots, true),
             unavailable = amount_of(s->config->max_unavailable, s->n_slots, false);

    /* A percentage of few workers may come to nothing. */
    return surge > 0 ? surge : unavailable > 0 ? unavailable : 1;
}

/*
 * Slots that have been replaced, have no ready worker, and will have one. Crashed ones count, too.
 */
static unsigned n_unavailable(const struct reload *reload, unsigned replaced)
{
    unsigned n = 0;

    for (unsigned i = 0; i < replaced; i++)
        n += !slot_is_over(reload->slots[i]) && !slot_is_ready(reload->slots[i]);
    return n;
}

/*
 * Whether ready workers may be stopped before others are there. If all remaining slots are ready,
 * only replaced ones can be missing.
 */
static bool may_be_stopped(const struct reload *reload, unsigned replaced, unsigned n)
{
    const struct scheduler *s = reload->scheduler;
    unsigned limit = amount_of(s->config->max_unavailable, s->n_slots, false),
             missing = n_unavailable(reload, replaced);

    return missing == 0 || missing + n <= limit;
}

static void say_who_is_unavailable(const struct reload *reload, unsigned replaced)
{
    char waited[FORMAT_TIME_MAX];

    (void)format_time(ait_now(NULL) - reload->wait_began, waited);
    for (unsigned i = 0; i < replaced; i++) {
        const struct slot *slot = reload->slots[i];

        if (!slot_is_over(slot) && !slot_is_ready(slot))
            log_event(log_of(reload->scheduler), LOG_LEVEL_INFO, (int)slot->index, 0,
                      "reload: has waited %s for this slot to be ready again, since "
                      "--max-unavailable leaves no other way; SIGHUP begins anew",
                      waited);
    }
}

/*
 * How many slots come next, once they may. 0: none, since a new worker has died or another reload
 * was requested meanwhile.
 */
static int await_turn(struct reload *reload, unsigned replaced)
{
    struct scheduler *s = reload->scheduler;
    int r = 0;

    begin_wait(reload);
    while (r >= 0) {
        unsigned n_idle = put_idle_first(reload, replaced), left = s->n_slots - replaced,
                 n = at_a_time(s) < left ? at_a_time(s) : left;

        if (first_failure(reload) || reload->gave_way)
            return 0;
        if (!reload->replacements[replaced].in_place)
            return (int)n;
        if (n_idle > 0)
            return (int)(n_idle < n ? n_idle : n);
        if (may_be_stopped(reload, replaced, n))
            return (int)n;
        if (s->reload_wanted)
            return 0;
        r = await_change(reload);
        if (r > 0)
            say_who_is_unavailable(reload, replaced);
    }
    return r;
}

/* Returns 0 if all were replaced, and 1 if one failed. */
static int replace_all(struct reload *reload)
{
    struct scheduler *s = reload->scheduler;

    for (unsigned i = 0; i < s->n_slots;) {
        int n = await_turn(reload, i), r;
        const struct batch batch = {reload, reload->slots + i, reload->replacements + i,
                                    n > 0 ? (unsigned)n : 0};

        if (n <= 0)
            return n < 0 ? n : 1;
        r = replace_batch(&batch);
        if (r < 0)
            return r;
        i += (unsigned)n;
    }
    return first_failure(reload) || reload->gave_way ? 1 : 0;
}

static int make_revision(void *userdata)
{
    struct reload *reload = userdata;
    struct scheduler *s = reload->scheduler;
    struct problem *p = &s->workers->problem;
    int r = revision_new(&reload->revision, s->config, s->generation + 1, p);

    if (r < 0)
        log_event(log_of(s), LOG_LEVEL_ERROR, LOG_NO_SLOT, 0,
                  "reload: refused, all workers keep running unchanged: %s", p->text);
    return r;
}

/* "", or how the old workers have ended. */
static void describe_old(const struct reload *reload, char *buf, size_t n)
{
    unsigned ended = 0, killed = 0, left = count(reload, REPLACEMENT_COMMITTED);
    uint64_t slowest = 0, patience = 0;
    char time[FORMAT_TIME_MAX];
    int len = 0;

    for (unsigned i = 0; i < reload->scheduler->n_slots; i++) {
        const struct replacement *r = &reload->replacements[i];
        uint64_t *longest = r->old_killed ? &patience : &slowest;

        ended += r->old_ended;
        killed += r->old_killed;
        *longest = r->old_took > *longest ? r->old_took : *longest;
    }
    buf[0] = '\0';
    if (ended > 0)
        len = snprintf(buf, n, "; of the old ones %u ended within %s", ended,
                       format_time(slowest, time));
    if (killed > 0)
        len += snprintf(buf + len, n - (size_t)len, "%s%u %s killed after %s",
                        len > 0 ? ", " : "; of the old ones ", killed, killed == 1 ? "was" : "were",
                        format_time(patience, time));
    if (left > 0)
        (void)snprintf(buf + len, n - (size_t)len, "%s%u %s not ended yet",
                       len > 0 ? ", " : "; of the old ones ", left, left == 1 ? "has" : "have");
}

static void say_done(const struct reload *reload, unsigned n_done)
{
    const struct scheduler *s = reload->scheduler;
    char time[FORMAT_TIME_MAX], old[128];

    describe_old(reload, old, sizeof(old));
    log_event(log_of(s), LOG_LEVEL_INFO, LOG_NO_SLOT, 0,
              "reload: done; %u of %u workers were replaced in %s, generation %llu%s", n_done,
              s->n_slots, format_time(ait_now(NULL) - reload->began, time),
              (unsigned long long)reload->revision->generation, old);
}

/* r: what stopped it, if no replacement has failed. */
static void say_failed(const struct reload *reload, unsigned n_done, int r)
{
    const struct scheduler *s = reload->scheduler;
    const struct replacement *failed = first_failure(reload);
    char time[FORMAT_TIME_MAX], why[REPLACEMENT_WHY_MAX + 64];

    if (failed && failed->why[0])
        (void)snprintf(why, sizeof(why), "the new one of slot %u %s",
                       reload->slots[failed - reload->replacements]->index, failed->why);
    else
        (void)snprintf(why, sizeof(why), "%s",
                       r < 0 ? strerror(-r) : "another reload was asked for");
    log_event(log_of(s), s->reload_wanted ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR, LOG_NO_SLOT, 0,
              "reload: %s; %u of %u workers were replaced in %s, since %s; the others keep running "
              "unchanged; %s",
              s->reload_state, n_done, s->n_slots, format_time(ait_now(NULL) - reload->began, time),
              why, s->reload_wanted ? "the next reload begins" : "fix the cause and reload again");
}

static int reload_to(struct reload *reload)
{
    struct scheduler *s = reload->scheduler;
    unsigned n_done = 0;
    int r = -ENOMEM;

    reload->began = ait_now(NULL);
    s->generation++;
    s->reloading = true;
    s->reload_state = NULL;
    log_event(log_of(s), LOG_LEVEL_INFO, LOG_NO_SLOT, 0, "reload: replacing %u workers",
              s->n_slots);
    reload->slots = calloc(s->n_slots, sizeof(*reload->slots));
    reload->replacements = calloc(s->n_slots, sizeof(*reload->replacements));
    if (reload->slots && reload->replacements) {
        plan(reload);
        r = replace_all(reload);
        n_done = count(reload, REPLACEMENT_DONE) + count(reload, REPLACEMENT_COMMITTED);
        if (r > 0 && n_done == s->n_slots)
            r = 0;
    }
    for (unsigned i = 0; i < s->n_slots; i++)
        slot_withdraw(s->slots[i]);
    s->reloading = false;
    if (r == -ECANCELED)
        return r;
    if (n_done > 0) {
        revision_unref(s->revision);
        s->revision = revision_ref(reload->revision);
    }
    if (r != 0)
        s->reload_state = n_done > 0 ? "partial" : "rolled-back";
    if (s->reload_state)
        say_failed(reload, n_done, r);
    else
        say_done(reload, n_done);
    return 0;
}

static void tell(struct scheduler *s)
{
    (void)ait_event_set(s->changed);
    (void)ait_event_clear(s->changed);
}

static int reload(struct scheduler *s)
{
    struct reload reload = {.scheduler = s};
    int r;

    systemd_reloading(s->systemd);
    r = ait_call_on_thread_stack(make_revision, &reload);
    if (r < 0) {
        s->reload_state = "refused";
        r = 0;
    } else {
        r = reload_to(&reload);
    }
    revision_unref(reload.revision);
    free(reload.slots);
    free(reload.replacements);
    if (r == -ECANCELED)
        return r;
    systemd_reloaded(s->systemd);
    s->n_reloads++;
    tell(s);
    return r;
}

/* ---- scaling --------------------------------------------------------------------------------- */

/* What a new slot runs: the last that was committed, unless all slots have gone back from it. */
static struct revision *revision_in_use(const struct scheduler *s)
{
    for (unsigned i = 0; i < s->n_slots; i++)
        if (s->slots[i]->revision == s->revision)
            return s->revision;
    return s->n_slots > 0 ? s->slots[0]->revision : s->revision;
}

/* Its listeners are missing only if the server was not started with it. */
static int make_slot(struct scheduler *s, struct problem *ret_problem)
{
    struct slot **slots = reallocarray(s->slots, s->n_slots + 1, sizeof(*slots));
    int seat, r;

    if (!slots)
        return problem_set(ret_problem, STATUS_OS, -ENOMEM, "out of memory");
    s->slots = slots;
    seat = listen_set_take_seat(s->workers->listen, ret_problem);
    if (seat < 0)
        return seat;
    r = slot_new(&slots[s->n_slots], s->config, s->workers, s->changed, revision_in_use(s),
                 s->n_slots, (unsigned)seat);
    if (r < 0) {
        listen_set_release_seat(s->workers->listen, (unsigned)seat);
        return problem_set(ret_problem, STATUS_OS, r, "out of memory");
    }
    s->workers->n_slots = ++s->n_slots;
    return 0;
}

static struct slot *drop_slot(struct scheduler *s)
{
    s->workers->n_slots = --s->n_slots;
    return slot_free(s->slots[s->n_slots]);
}

static void close_slot(struct scheduler *s)
{
    struct slot *slot = s->slots[s->n_slots - 1];

    listen_set_release_seat(s->workers->listen, slot->seat);
    listen_set_remove_slot(s->workers->listen, slot->index);
    (void)drop_slot(s);
}

static int add_slot(struct scheduler *s)
{
    struct problem *p = &s->workers->problem;
    int r = listen_set_add_slot(s->workers->listen, s->n_slots, p);

    if (r >= 0) {
        r = make_slot(s, p);
        if (r < 0)
            listen_set_remove_slot(s->workers->listen, s->n_slots);
    }
    if (r < 0) {
        log_event(log_of(s), LOG_LEVEL_ERROR, LOG_NO_SLOT, 0, "cannot add a worker: %s", p->text);
        return 0;
    }
    r = slot_start(s->slots[s->n_slots - 1], s->scope);
    if (r < 0)
        close_slot(s);
    return r < 0 ? r : 1;
}

static int remove_slot(struct scheduler *s)
{
    struct slot *slot = s->slots[s->n_slots - 1];
    int r;

    slot_leave(slot);
    r = ait_task_wait(slot->task, NULL);
    if (r < 0)
        return r;
    close_slot(s);
    return 1;
}

static int scale(struct scheduler *s)
{
    unsigned before = s->n_slots;
    int r = 1;

    s->scaling = true;
    while (r > 0 && s->n_slots < s->n_workers_wanted)
        r = add_slot(s);
    while (r > 0 && s->n_slots > s->n_workers_wanted)
        r = remove_slot(s);
    s->scaling = false;
    /*
     * A change that failed is not retried for ever. Otherwise the number may have changed
     * meanwhile.
     */
    if (r <= 0)
        s->n_workers_wanted = s->n_slots;
    if (s->n_slots != before)
        log_event(log_of(s), LOG_LEVEL_INFO, LOG_NO_SLOT, 0, "scaled from %u to %u workers", before,
                  s->n_slots);
    tell(s);
    return r;
}

/* ---- the task -------------------------------------------------------------------------------- */

static int scheduler_main(void *userdata)
{
    struct scheduler *s = userdata;
    int r = 0;

    while (r >= 0) {
        if (s->n_workers_wanted != s->n_slots) {
            r = scale(s);
        } else if (s->reload_wanted) {
            s->reload_wanted = false;
            r = reload(s);
        } else {
            r = ait_event_wait(s->requested);
            (void)ait_event_clear(s->requested);
        }
        if (r < 0 && r != -ECANCELED) {
            log_event(log_of(s), LOG_LEVEL_ERROR, LOG_NO_SLOT, 0,
                      "cannot reload or change the number of workers: %s", strerror(-r));
            r = 0;
        }
    }
    return r;
}

void scheduler_reload(struct scheduler *s)
{
    if (s->reloading && !s->reload_wanted)
        log_event(log_of(s), LOG_LEVEL_INFO, LOG_NO_SLOT, 0,
                  "reload: another one follows when this one is over");
    if (s->scaling && !s->reload_wanted)
        log_event(log_of(s), LOG_LEVEL_INFO, LOG_NO_SLOT, 0,
                  "reload: follows when the worker that leaves has ended");
    s->reload_wanted = true;
    (void)ait_event_set(s->requested);
    /* A reload that waits for workers that it cannot repair gives way. */
    tell(s);
}

void scheduler_reload_refused(struct scheduler *s)
{
    systemd_reloading(s->systemd);
    if (!s->reloading)
        s->reload_state = "refused";
    systemd_reloaded(s->systemd);
    s->n_reloads++;
    tell(s);
}

void scheduler_scale(struct scheduler *s, int by)
{
    if (by > 0 && s->n_workers_wanted >= PARSE_WORKERS_MAX) {
        log_event(log_of(s), LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
                  "SIGTTIN ignored: %u workers is the maximum", s->n_workers_wanted);
    } else if (by < 0 && s->n_workers_wanted <= 1) {
        log_event(log_of(s), LOG_LEVEL_WARNING, LOG_NO_SLOT, 0,
                  "SIGTTOU ignored: this is the last worker; SIGTERM stops the server");
    } else {
        s->n_workers_wanted += by > 0 ? 1 : -1u;
        if (s->reloading)
            log_event(log_of(s), LOG_LEVEL_INFO, LOG_NO_SLOT, 0,
                      "there will be %u workers when the reload is over", s->n_workers_wanted);
        (void)ait_event_set(s->requested);
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

int scheduler_init(struct scheduler *s, const struct server_config *config, struct workers *workers,
                   struct systemd *systemd, struct revision *revision)
{
    *s = (struct scheduler){
        .config = config,
        .workers = workers,
        .systemd = systemd,
        .revision = revision_ref(revision),
        .generation = revision->generation,
        .n_workers_wanted = config->workers,
    };
    int r = ait_event_new(&s->changed);
    if (r >= 0)
        r = ait_event_new(&s->requested);
    for (unsigned i = 0; i < config->workers && r >= 0; i++)
        r = make_slot(s, &workers->problem);
    return r;
}

int scheduler_start(struct scheduler *s, ait_scope *scope)
{
    int r = 0;

    s->scope = scope;
    for (unsigned i = 0; i < s->n_slots && r >= 0; i++)
        r = slot_start(s->slots[i], scope);
    if (r >= 0)
        r = ait_scope_spawn(scope, NULL, scheduler_main, s, AIT_TASK_OPTIONS(.name = "scheduler"));
    return r;
}

void scheduler_done(struct scheduler *s)
{
    while (s->n_slots > 0)
        (void)drop_slot(s);
    free(s->slots);
    ait_event_unref(s->changed);
    ait_event_unref(s->requested);
    revision_unref(s->revision);
    *s = (struct scheduler){0};
}

/* ---- what others may know -------------------------------------------------------------------- */

unsigned scheduler_n_ready(const struct scheduler *s)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->n_slots; i++)
        n += slot_is_ready(s->slots[i]);
    return n;
}

unsigned scheduler_n_back(const struct scheduler *s)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->n_slots; i++)
        n += s->slots[i]->went_back;
    return n;
}

bool scheduler_all_were_proved(const struct scheduler *s)
{
    for (unsigned i = 0; i < s->n_slots; i++)
        if (!s->slots[i]->was_proved)
            return false;
    return true;
}
