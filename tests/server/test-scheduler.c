/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The scheduler: reloads and changes of the number of workers over several slots, on virtual time,
 * with workers that are none.
 *
 * A director plays the workers' part: each is ready 1 s after it was started and ends 2 s after it
 * was asked to, unless the case says otherwise for its generation and slot. Meanwhile it counts
 * what users would feel: how many slots are ready at the worst, and how many workers there are at
 * most.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake-worker.h"
#include "supervise/scheduler.h"

#define SEC   AIT_USEC_PER_SEC
#define SLOTS 4u

enum fate { COMES_UP, EXITS, IS_LATE, NEVER_READY, DIES_SOON /* 1 s after it was ready */ };

struct play {
    /* the case */
    struct amount max_surge, max_unavailable;
    uint64_t settle, drain;      /* from the stop signal to the end; 0: 2 s */
    enum fate fate[SLOTS];       /* of workers of generation 1, by slot */
    enum fate first_fate[SLOTS]; /* of generation 0 */

    struct server_config config;
    struct workers workers;
    struct systemd systemd;
    struct scheduler scheduler;
    ait_scope *scope;
    int log; /* a file */
    unsigned least_ready, most_alive, n_started;
};

/* ---- the director ---------------------------------------------------------------------------- */

static void direct_worker(struct play *p, struct worker *w)
{
    uint64_t age = ait_now(NULL) - w->started;
    const enum fate *fates = w->revision->generation == 0   ? p->first_fate
                             : w->revision->generation == 1 ? p->fate
                                                            : NULL;
    enum fate fate = fates && w->slot < SLOTS ? fates[w->slot] : COMES_UP;

    if (w->state == WORKER_DRAINING) {
        /* started is of no more use: when it was asked */
        if (w->pid > 0) {
            w->pid = -w->pid;
            w->started = ait_now(NULL);
        } else if (age >= (p->drain > 0 ? p->drain : 2 * SEC)) {
            fake_exit(w, 0);
        }
    } else if (w->state == WORKER_STARTING && age >= SEC) {
        if (fate == COMES_UP || fate == DIES_SOON)
            fake_ready(w);
        else if (fate == EXITS)
            fake_exit(w, 1);
        else if (fate == IS_LATE)
            fake_timeout(w);
    } else if (w->state == WORKER_READY && fate == DIES_SOON && age >= 2 * SEC) {
        fake_exit(w, 3);
    }
}

static int direct(void *userdata)
{
    struct play *p = userdata;

    for (;;) {
        unsigned ready = scheduler_n_ready(&p->scheduler);

        p->least_ready = ready < p->least_ready ? ready : p->least_ready;
        p->most_alive = n_fakes_alive > p->most_alive ? n_fakes_alive : p->most_alive;
        p->n_started = n_fakes;
        for (unsigned i = 0; i < n_fakes; i++)
            if (fakes[i] && fakes[i]->state != WORKER_EXITED)
                direct_worker(p, fakes[i]);
        int r = ait_sleep(AIT_USEC_PER_SEC / 10);
        if (r < 0)
            return r;
    }
}

/* ---- the stage ------------------------------------------------------------------------------- */

static void open_play(struct play *p, ait_scope **scope)
{
    static char program[] = "true";
    static char *argv[] = {program, NULL};
    const char *address = "127.0.0.1:0";
    struct listen_options options = {.listen = &address, .n_listen = 1, .n_slots = SLOTS};
    struct revision *first;
    ait_clock *clock;
    struct problem problem;
    int out = memfd_create("log", MFD_CLOEXEC);

    p->log = fcntl(out, F_DUPFD_CLOEXEC, 0);

    n_fakes = 0;
    server_config_init(&p->config);
    p->config.workers = SLOTS;
    p->config.argv = argv;
    p->config.sandbox.mode = SANDBOX_NONE;
    p->config.settle = p->settle;
    p->config.max_surge = p->max_surge;
    p->config.max_unavailable = p->max_unavailable;
    assert_int_equal(listen_set_open(&p->workers.listen, &options, &problem), 0);
    assert_int_equal(log_new(&p->workers.log, "test", LOG_PREFIX, out, out), 0);
    assert_int_equal(ait_vclock_new(&clock), 0);
    assert_int_equal(ait_loop_set_clock(ait_loop_current(), clock), 0);
    ait_clock_unref(clock);
    assert_int_equal(revision_new(&first, &p->config, 0, &problem), 0);
    assert_int_equal(scheduler_init(&p->scheduler, &p->config, &p->workers, &p->systemd, first), 0);
    revision_unref(first);
    assert_int_equal(ait_scope_enter(scope, AIT_SCOPE_SUPERVISOR), 0);
    p->scope = *scope;
    assert_int_equal(scheduler_start(&p->scheduler, *scope), 0);
    assert_int_equal(ait_scope_spawn(*scope, NULL, direct, p, NULL), 0);
    assert_int_equal(ait_sleep(2 * SEC), 0);
    assert_int_equal(scheduler_n_ready(&p->scheduler), SLOTS);
    assert_true(scheduler_all_were_proved(&p->scheduler) == (p->settle == 0));
    assert_int_equal(ait_sleep(p->settle), 0);
    assert_true(scheduler_all_were_proved(&p->scheduler));
    p->least_ready = p->most_alive = SLOTS;
}

static void close_play(struct play *p)
{
    (void)ait_scope_cancel(p->scope);
    assert_int_equal(ait_scope_exit(p->scope, 0), 0);
    scheduler_done(&p->scheduler);
    assert_int_equal(n_fakes_alive, 0);
    listen_set_close(p->workers.listen);
    log_free(p->workers.log);
    (void)close(p->log);
    p->config.argv = NULL;
    server_config_done(&p->config);
}

static void assert_logged(const struct play *p, const char *line)
{
    static char text[65536];
    ssize_t n = pread(p->log, text, sizeof(text) - 1, 0);

    assert_true(n >= 0);
    text[n] = '\0';
    if (!strstr(text, line))
        fail_msg("not logged: \"%s\"; but:\n%s", line, text);
}

/* Generations of the slots' workers, ready ones only: "0011". */
static const char *generations(const struct play *p)
{
    static char text[SLOTS * 4 + 1];
    unsigned n = 0;

    for (unsigned i = 0; i < p->scheduler.n_slots; i++)
        text[n++] = slot_is_ready(p->scheduler.slots[i])
                        ? (char)('0' + p->scheduler.slots[i]->current->revision->generation)
                        : '-';
    text[n] = '\0';
    return text;
}

/* ---- reloads --------------------------------------------------------------------------------- */

struct reload_case {
    const char *name;
    struct amount max_surge, max_unavailable;
    enum fate fate[SLOTS];
    const char *generations, *state; /* afterwards; NULL: all went well */
    unsigned least_ready, most_alive;
    uint64_t settle;
};

#define N(n)                                                                                       \
    {                                                                                              \
        .value = n                                                                                 \
    }
#define PERCENT(n)                                                                                 \
    {                                                                                              \
        .value = n, .percent = true                                                                \
    }

static const struct reload_case reload_cases[] = {
    {"one at a time", N(1), N(0), {0}, "1111", NULL, 4, 5},
    {"two at a time", N(2), N(0), {0}, "1111", NULL, 4, 6},
    {"a quarter", PERCENT(25), N(0), {0}, "1111", NULL, 4, 5},
    {"all at once", PERCENT(100), N(0), {0}, "1111", NULL, 4, 8},
    {"more than there are", N(9), N(0), {0}, "1111", NULL, 4, 8},
    {"in place", N(0), N(1), {0}, "1111", NULL, 3, 4},
    {"two in place", N(0), PERCENT(50), {0}, "1111", NULL, 2, 4},
    {"the first fails", N(1), N(0), {EXITS}, "0000", "rolled-back", 4, 5},
    {"the first is late", N(1), N(0), {IS_LATE}, "0000", "rolled-back", 4, 5},
    {"the third fails", N(1), N(0), {[2] = EXITS}, "1100", "partial", 4, 5},
    {"the last fails", N(1), N(0), {[3] = EXITS}, "1110", "partial", 4, 5},
    {"one of the second pair", N(2), N(0), {[3] = EXITS}, "1100", "partial", 4, 6},
    {"one of all", PERCENT(100), N(0), {[2] = EXITS}, "0000", "rolled-back", 4, 8},
    {"one of all is late", PERCENT(100), N(0), {[0] = IS_LATE}, "0000", "rolled-back", 4, 8},
    {"in place, the first", N(0), N(1), {EXITS}, "0000", "rolled-back", 3, 4},
    {"in place, the third", N(0), N(1), {[2] = EXITS}, "1100", "partial", 3, 4},
    {"all settle", N(1), N(0), {0}, "1111", NULL, 4, 5, 2 * SEC},
    {"all settle, in place", N(0), N(1), {0}, "1111", NULL, 3, 4, 2 * SEC},
    {"dies while it settles", N(1), N(0), {DIES_SOON}, "0000", "rolled-back", 4, 5, 2 * SEC},
    {"the third does", N(1), N(0), {[2] = DIES_SOON}, "1100", "partial", 4, 5, 2 * SEC},
    {"one of all does",
     PERCENT(100),
     N(0),
     {[2] = DIES_SOON},
     "0000",
     "rolled-back",
     4,
     8,
     2 * SEC},
    {"in place", N(0), N(1), {DIES_SOON}, "0000", "rolled-back", 3, 4, 2 * SEC},
    {"in place, the third does", N(0), N(1), {[2] = DIES_SOON}, "1100", "partial", 3, 4, 2 * SEC},
    /* Committed 1 s after it was started, dead 1 s later, while its predecessor drains. */
    {"dies after the commit", N(1), N(0), {DIES_SOON}, "0000", "rolled-back", 3, 5, 0},
    {"the third dies after it", N(1), N(0), {[2] = DIES_SOON}, "1100", "partial", 3, 5, 0},
    {"in place, dies after it", N(0), N(1), {DIES_SOON}, "0000", "rolled-back", 2, 4, 0},
};

static int play_reload(void *userdata)
{
    const struct reload_case *c = userdata;
    struct play p = {
        .max_surge = c->max_surge, .max_unavailable = c->max_unavailable, .settle = c->settle};
    AIT_SCOPE(scope);

    memcpy(p.fate, c->fate, sizeof(p.fate));
    open_play(&p, &scope);
    scheduler_reload(&p.scheduler);
    assert_int_equal(ait_sleep(600 * SEC), 0);
    if (strcmp(generations(&p), c->generations) != 0 ||
        (c->state == NULL) != (p.scheduler.reload_state == NULL) ||
        (c->state && strcmp(c->state, p.scheduler.reload_state) != 0))
        fail_msg("%s: %s, %s", c->name, generations(&p), p.scheduler.reload_state ?: "done");
    if (p.least_ready < c->least_ready || p.most_alive > c->most_alive)
        fail_msg("%s: %u ready at the worst, %u workers at most", c->name, p.least_ready,
                 p.most_alive);
    assert_int_equal(p.scheduler.n_reloads, 1);
    assert_int_equal(n_fakes_alive, SLOTS);
    close_play(&p);
    return 0;
}

static void test_reloads(void **state)
{
    for (size_t i = 0; i < sizeof(reload_cases) / sizeof(reload_cases[0]); i++)
        assert_int_equal(ait_run(play_reload, (void *)(uintptr_t)&reload_cases[i], 0), 0);
}

/* ---- stories --------------------------------------------------------------------------------- */

typedef void (*story_fn)(struct play *p);

static int tell(void *userdata)
{
    story_fn story = *(story_fn *)userdata;
    struct play p = {.max_surge = N(1)};
    AIT_SCOPE(scope);

    open_play(&p, &scope);
    story(&p);
    close_play(&p);
    return 0;
}

/* However often it was asked for meanwhile: one more. */
static void asked_meanwhile(struct play *p)
{
    scheduler_reload(&p->scheduler);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ait_sleep(SEC), 0);
        scheduler_reload(&p->scheduler);
    }
    assert_int_equal(ait_sleep(600 * SEC), 0);
    assert_string_equal(generations(p), "2222");
    assert_int_equal(p->scheduler.n_reloads, 2);
}

/* The server stops in the middle: nothing is touched that has gone. */
static void stopped_meanwhile(struct play *p)
{
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(SEC / 2), 0);
    assert_int_equal(n_fakes_alive, SLOTS + 1);
}

/* What has nobody comes first: a reload is to mend it. */
static void the_failed_first(struct play *p)
{
    fake_exit(p->scheduler.slots[3]->current, STATUS_CONFIG);
    assert_int_equal(ait_sleep(SEC / 10), 0);
    assert_string_equal(generations(p), "000-");
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(SEC * 3 / 2), 0);
    assert_string_equal(generations(p), "0001");
    assert_int_equal(ait_sleep(600 * SEC), 0);
    assert_string_equal(generations(p), "1111");
}

/* In place, a crashed slot counts as missing: nobody else is stopped until it is back. */
static void crash_counts(struct play *p)
{
    p->config.max_surge.value = 0;
    p->config.max_unavailable.value = 1;
    p->config.backoff = (struct time_range){.base_usec = 20 * SEC, .cap_usec = 20 * SEC};
    fake_exit(p->scheduler.slots[0]->current, 1);
    assert_int_equal(ait_sleep(SEC / 10), 0);
    p->least_ready = SLOTS;
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(600 * SEC), 0);
    assert_string_equal(generations(p), "1111");
    assert_int_equal(p->least_ready, 3);
}

static void make_in_place(struct play *p)
{
    p->config.max_surge.value = 0;
    p->config.max_unavailable.value = 1;
}

/* In place, and all old workers fail again and again: they are what the reload is to mend, and
 * nobody waits for them. */
static void all_crash(struct play *p)
{
    make_in_place(p);
    for (unsigned i = 0; i < SLOTS; i++)
        p->first_fate[i] = EXITS;
    for (unsigned i = 0; i < SLOTS; i++)
        fake_exit(p->scheduler.slots[i]->current, 1);
    assert_int_equal(ait_sleep(SEC), 0);
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(60 * SEC), 0);
    assert_int_equal(p->scheduler.n_reloads, 1);
    assert_string_equal(generations(p), "1111");
}

/* The same of one that begins to while the reload runs. */
static void one_crashes_meanwhile(struct play *p)
{
    make_in_place(p);
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(SEC / 2), 0);
    p->first_fate[3] = EXITS;
    fake_exit(p->scheduler.slots[3]->current, 1);
    assert_int_equal(ait_sleep(60 * SEC), 0);
    assert_string_equal(generations(p), "1111");
    assert_null(p->scheduler.reload_state);
}

/* A new worker fails long after it was committed, while others are replaced: the reload stops, and
 * its slot goes back. */
static void new_ones_crash(struct play *p)
{
    make_in_place(p);
    scheduler_reload(&p->scheduler);
    while (!slot_is_ready(p->scheduler.slots[0]) ||
           p->scheduler.slots[0]->revision->generation != 1)
        assert_int_equal(ait_sleep(SEC / 20), 0);
    assert_int_equal(ait_sleep(4 * SEC), 0); /* another one has its turn */
    fake_exit(p->scheduler.slots[0]->current, 1);
    assert_int_equal(ait_sleep(60 * SEC), 0);
    assert_int_equal(p->scheduler.n_reloads, 1);
    assert_string_equal(generations(p), "0100");
    assert_string_equal(p->scheduler.reload_state, "partial");
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(60 * SEC), 0);
    assert_string_equal(generations(p), "2222");
    assert_null(p->scheduler.reload_state);
}

/* Of two that are ready one is dying when the second comes up, and its slot has not looked yet:
 * nobody is replaced. */
static void dies_at_the_last_moment(struct play *p)
{
    struct slot *first = p->scheduler.slots[0], *second = p->scheduler.slots[1];

    p->config.max_surge.value = 2;
    p->fate[1] = NEVER_READY;
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(3 * SEC), 0);
    assert_int_equal(first->replacement->state, REPLACEMENT_READY);
    fake_ready(second->next);
    fake_dies(first->next);
    assert_int_equal(ait_sleep(600 * SEC), 0);
    assert_string_equal(generations(p), "0000");
    assert_string_equal(p->scheduler.reload_state, "rolled-back");
}

/* What a reload waits for is said, with the limit; and how it ended, in one line. */
static void says_what_it_does(struct play *p)
{
    struct slot *first = p->scheduler.slots[0];

    p->fate[0] = NEVER_READY;
    p->drain = 7 * SEC;
    p->config.settle = 20 * SEC;
    p->scheduler.slots[1]->current->killed = true;
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(6 * SEC), 0);
    assert_logged(p, "slot 0, pid 1004: reload: has waited 5.00s for READY=1 (--ready=auto) of the "
                     "new worker; the limit is --start-timeout=30.00s, and SIGHUP begins anew\n");
    fake_ready(first->next);
    assert_int_equal(ait_sleep(10 * SEC), 0);
    assert_logged(p, "slot 0, pid 1004: reload: has waited 15.00s for the new worker to stay "
                     "alive; the limit is --settle=20.00s, and SIGHUP begins anew\n");
    assert_int_equal(ait_sleep(16 * SEC), 0);
    assert_logged(p, "slot 0: reload: has waited 5.00s for the old worker to end; the limit is "
                     "--stop-timeout=30.00s, and SIGHUP begins anew\n");
    assert_int_equal(ait_sleep(600 * SEC), 0);
    assert_logged(p, "reload: done; 4 of 4 workers were replaced in ");
    assert_logged(p, ", generation 1; of the old ones 3 ended within 7.");
    assert_logged(p, "s, 1 was killed after 7.");
    p->config.settle = 0;
}

/* An old worker that does not end holds up the reload, but not the next one. */
static void old_one_never_ends(struct play *p)
{
    struct worker *stuck = worker_ref(p->scheduler.slots[0]->current);

    p->drain = 1000 * SEC;
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(3 * SEC), 0);
    /* Soon: it may end in a moment. */
    scheduler_reload(&p->scheduler);
    assert_logged(p, "reload: another one follows when this one is over\n");
    assert_int_equal(ait_sleep(SEC), 0);
    assert_int_equal(p->scheduler.n_reloads, 0);
    assert_int_equal(ait_sleep(4 * SEC), 0);
    assert_int_equal(p->scheduler.n_reloads, 1);
    assert_logged(p, "warning: reload: partial; 1 of 4 workers were replaced in ");
    assert_logged(p, ", since another reload was asked for; the others keep running unchanged; the "
                     "next reload begins\n");
    /* Again and again, and each goes on where it can. */
    for (int i = 2; i < 5; i++) {
        assert_int_equal(ait_sleep(8 * SEC), 0);
        scheduler_reload(&p->scheduler);
        assert_int_equal(ait_sleep(SEC), 0);
        assert_int_equal(p->scheduler.n_reloads, i);
    }
    assert_int_equal(stuck->state, WORKER_DRAINING);
    p->drain = 0;
    assert_int_equal(ait_sleep(60 * SEC), 0);
    assert_int_equal(stuck->state, WORKER_EXITED);
    worker_unref(stuck);
    assert_string_equal(generations(p), "5555");
    assert_null(p->scheduler.slots[0]->left);
    assert_int_equal(n_fakes_alive, SLOTS);
}

/* Nor does it keep the next reloads from the other slots. */
static void none_of_the_old_ever_ends(struct play *p)
{
    p->drain = 1000 * SEC;
    for (unsigned i = 0; i < SLOTS; i++) {
        scheduler_reload(&p->scheduler);
        assert_int_equal(ait_sleep(7 * SEC), 0);
    }
    assert_string_equal(generations(p), "1234");
    p->drain = 0;
    assert_int_equal(ait_sleep(60 * SEC), 0);
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(60 * SEC), 0);
    assert_string_equal(generations(p), "5555");
    assert_int_equal(n_fakes_alive, SLOTS);
}

/* The last one that has not ended yet is no reason to say that the reload has failed. */
static void last_old_one_never_ends(struct play *p)
{
    p->config.max_surge = (struct amount){.value = 4};
    p->drain = 1000 * SEC;
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(9 * SEC), 0);
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(SEC), 0);
    assert_logged(p, "reload: done; 4 of 4 workers were replaced in ");
    assert_logged(p, ", generation 1; of the old ones 4 have not ended yet\n");
    p->drain = 0;
    assert_int_equal(ait_sleep(60 * SEC), 0);
    assert_string_equal(generations(p), "2222");
    assert_int_equal(n_fakes_alive, SLOTS);
}

/* A new one that is never ready does not hold up the reload that is to mend it. */
static void new_one_is_never_ready(struct play *p)
{
    p->fate[0] = NEVER_READY;
    p->drain = 1000 * SEC; /* nor does it end */
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(6 * SEC), 0);
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(SEC / 10), 0);
    assert_logged(p, "warning: reload: rolled-back; 0 of 4 workers were replaced in ");
    assert_int_equal(ait_sleep(6 * SEC), 0);
    p->drain = 0;
    assert_int_equal(ait_sleep(60 * SEC), 0);
    assert_string_equal(generations(p), "2222");
    assert_int_equal(n_fakes_alive, SLOTS);
}

/* The last new one is never ready, nor does it end: that reload is not done. */
static void last_new_one_is_never_ready(struct play *p)
{
    p->fate[3] = NEVER_READY;
    scheduler_reload(&p->scheduler);
    while (!p->scheduler.slots[3]->next)
        assert_int_equal(ait_sleep(SEC / 10), 0);
    p->drain = 1000 * SEC;
    assert_int_equal(ait_sleep(6 * SEC), 0);
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(SEC / 10), 0);
    assert_logged(p, "warning: reload: partial; 3 of 4 workers were replaced in ");
    assert_logged(p, ", since another reload was asked for; ");
    p->drain = 0;
    assert_int_equal(ait_sleep(60 * SEC), 0);
    assert_string_equal(generations(p), "2222");
    assert_int_equal(n_fakes_alive, SLOTS);
}

/* One that fails says how many, which, and why. */
static void says_why_it_failed(struct play *p)
{
    p->fate[2] = IS_LATE;
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(60 * SEC), 0);
    assert_logged(p, "reload: partial; 2 of 4 workers were replaced in ");
    assert_logged(p, ", since the new one of slot 2 was not ready within --start-timeout=30.00s; "
                     "the others keep running unchanged; fix the cause and reload again\n");
}

static void more_and_fewer(struct play *p)
{
    for (int i = 0; i < 3; i++)
        scheduler_scale(&p->scheduler, 1);
    assert_int_equal(ait_sleep(10 * SEC), 0);
    assert_string_equal(generations(p), "0000000");
    assert_int_equal(p->workers.n_slots, 7);
    /* A new slot runs what was committed last. */
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(600 * SEC), 0);
    scheduler_scale(&p->scheduler, 1);
    assert_int_equal(ait_sleep(10 * SEC), 0);
    assert_string_equal(generations(p), "11111111");
    for (int i = 0; i < 20; i++)
        scheduler_scale(&p->scheduler, -1);
    assert_int_equal(ait_sleep(600 * SEC), 0);
    assert_string_equal(generations(p), "1");
    assert_int_equal(n_fakes_alive, 1);
}

/* Asked for more while one is leaving, and the other way round: what counts is the sum. */
static void more_meanwhile(struct play *p)
{
    scheduler_scale(&p->scheduler, -1);
    assert_int_equal(ait_sleep(SEC / 100), 0); /* it drains */
    assert_int_equal(p->scheduler.n_slots, SLOTS);
    for (int i = 0; i < 3; i++)
        scheduler_scale(&p->scheduler, 1);
    assert_int_equal(ait_sleep(10 * SEC), 0);
    assert_string_equal(generations(p), "000000");
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(SEC / 2), 0);
    scheduler_scale(&p->scheduler, 1);
    scheduler_scale(&p->scheduler, -1);
    scheduler_scale(&p->scheduler, -1);
    assert_int_equal(ait_sleep(600 * SEC), 0);
    assert_string_equal(generations(p), "11111");
}

/* After a roll back new slots are of the old revision, too. */
static void more_after_a_roll_back(struct play *p)
{
    p->fate[0] = EXITS;
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(60 * SEC), 0);
    scheduler_scale(&p->scheduler, 1);
    assert_int_equal(ait_sleep(10 * SEC), 0);
    assert_string_equal(generations(p), "00000");
    p->fate[0] = COMES_UP;
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(600 * SEC), 0);
    assert_string_equal(generations(p), "22222");
}

/* The same if all have gone back after the reload. */
static void more_after_all_went_back(struct play *p)
{
    p->config.settle = 2 * SEC;
    p->config.max_surge = (struct amount){.value = SLOTS};
    scheduler_reload(&p->scheduler);
    while (p->scheduler.n_reloads == 0)
        assert_int_equal(ait_sleep(SEC / 10), 0);
    assert_string_equal(generations(p), "1111");
    for (unsigned i = 0; i < SLOTS; i++)
        fake_exit(p->scheduler.slots[i]->current, 3);
    assert_int_equal(ait_sleep(10 * SEC), 0);
    assert_string_equal(generations(p), "0000");
    scheduler_scale(&p->scheduler, 1);
    assert_int_equal(ait_sleep(10 * SEC), 0);
    assert_string_equal(generations(p), "00000");
}

/* Whoever asks for something while something else is done is told that it comes. */
static void says_what_comes(struct play *p)
{
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(SEC / 2), 0);
    scheduler_scale(&p->scheduler, -1);
    assert_logged(p, "there will be 3 workers when the reload is over\n");
    assert_int_equal(ait_sleep(600 * SEC), 0);
    scheduler_scale(&p->scheduler, -1);
    assert_int_equal(ait_sleep(SEC / 100), 0); /* it drains */
    scheduler_reload(&p->scheduler);
    assert_logged(p, "reload: follows when the worker that leaves has ended\n");
    assert_int_equal(ait_sleep(600 * SEC), 0);
    assert_string_equal(generations(p), "22");
}

static void refused(struct play *p)
{
    static char absent[] = "no-such-program-here";

    p->config.argv[0] = absent;
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(SEC), 0);
    assert_string_equal(p->scheduler.reload_state, "refused");
    assert_int_equal(p->n_started, SLOTS);
    static char program[] = "true";
    p->config.argv[0] = program;
    scheduler_reload(&p->scheduler);
    assert_int_equal(ait_sleep(600 * SEC), 0);
    assert_null(p->scheduler.reload_state);
    assert_string_equal(generations(p), "1111"); /* what was refused was no generation */
}

static void test_stories(void **state)
{
    static const story_fn stories[] = {asked_meanwhile,
                                       stopped_meanwhile,
                                       the_failed_first,
                                       crash_counts,
                                       all_crash,
                                       one_crashes_meanwhile,
                                       new_ones_crash,
                                       dies_at_the_last_moment,
                                       more_and_fewer,
                                       more_meanwhile,
                                       more_after_a_roll_back,
                                       refused,
                                       says_what_it_does,
                                       says_why_it_failed,
                                       old_one_never_ends,
                                       last_old_one_never_ends,
                                       new_one_is_never_ready,
                                       none_of_the_old_ever_ends,
                                       last_new_one_is_never_ready,
                                       more_after_all_went_back,
                                       says_what_comes};

    for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++)
        assert_int_equal(ait_run(tell, (void *)(uintptr_t)&stories[i], 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reloads),
        cmocka_unit_test(test_stories),
    };

    (void)unsetenv("NOTIFY_SOCKET");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
