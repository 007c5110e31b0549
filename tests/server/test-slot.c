/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A slot, in every state against every request and event: a table, on virtual time, with workers
 * that are none.
 *
 * A row is a state that the slot was brought to, a column what then happens; the cell is what the
 * slot looks like when it has come to rest:
 *
 *     STATE CURRENT/NEXT/OLD REPLACEMENT STEERING
 *
 * where a worker is its revision's generation (0: the first, 1: that of the replacement) and s, r,
 * d for starting, ready, draining, or '-' for none. An empty cell: that cannot happen there.
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

#include <cmocka.h>

#include "slot-stage.h"

#define SEC AIT_USEC_PER_SEC

static struct rate give_up; /* of the next stage */

static struct worker *current(struct stage *s)
{
    return s->slot->current;
}

/* ---- rows: how the slot came to be as it is -------------------------------------------------- */

static void starting(struct stage *s)
{
    (void)s;
}

static void ready(struct stage *s)
{
    fake_ready(current(s));
}

static void stable(struct stage *s)
{
    fake_ready(current(s));
    advance(s->config.stable + 1);
}

/* Its process has ended by itself, and the rest of it is being killed. */
static void dying(struct stage *s)
{
    fake_ready(current(s));
    settle();
    current(s)->state = WORKER_DRAINING;
    (void)ait_event_set(current(s)->changed);
}

static void backoff(struct stage *s)
{
    fake_exit(current(s), 1);
}

static void failed(struct stage *s)
{
    fake_exit(current(s), STATUS_CONFIG);
}

static void ended(struct stage *s)
{
    s->config.restart = RESTART_NO;
    fake_exit(current(s), 0);
}

static void replace(struct stage *s, bool in_place)
{
    s->replacement = (struct replacement){.revision = &s->revisions[1], .in_place = in_place};
    assert_int_equal(slot_replace(s->slot, &s->replacement), 0);
    settle();
}

static void surge_starting(struct stage *s)
{
    ready(s);
    settle();
    replace(s, false);
}

static void surge_ready(struct stage *s)
{
    surge_starting(s);
    fake_ready(s->slot->next);
}

static void surge_committed(struct stage *s)
{
    surge_ready(s);
    settle();
    slot_decide(s->slot, true);
}

static void surge_settling(struct stage *s)
{
    s->config.settle = 2 * SEC;
    surge_ready(s);
}

static void surge_done(struct stage *s)
{
    surge_committed(s);
    settle();
    fake_exit(s->slot->old, 0);
}

static void surge_of_failed(struct stage *s)
{
    failed(s);
    settle();
    replace(s, false);
    fake_ready(s->slot->next);
}

static void failed_settling(struct stage *s)
{
    s->config.settle = 2 * SEC;
    surge_of_failed(s);
}

static void surge_in_backoff(struct stage *s)
{
    backoff(s);
    settle();
    replace(s, false);
}

static void in_place_in_backoff(struct stage *s)
{
    backoff(s);
    settle();
    replace(s, true);
}

static void in_place_waiting(struct stage *s)
{
    ready(s);
    settle();
    replace(s, true);
}

static void in_place_starting(struct stage *s)
{
    in_place_waiting(s);
    fake_exit(current(s), 0);
}

static void in_place_settling(struct stage *s)
{
    s->config.settle = 2 * SEC;
    in_place_starting(s);
    settle();
    fake_ready(s->slot->next);
}

/* ---- columns: what happens; false: it cannot ------------------------------------------------- */

static bool current_ready(struct stage *s)
{
    if (!current(s) || current(s)->state != WORKER_STARTING)
        return false;
    fake_ready(current(s));
    return true;
}

static bool current_exits(struct stage *s, int status)
{
    if (!current(s))
        return false;
    fake_exit(current(s), status);
    return true;
}

static bool current_succeeds(struct stage *s)
{
    return current_exits(s, 0);
}

static bool current_fails(struct stage *s)
{
    return current_exits(s, 1);
}

static bool current_is_hopeless(struct stage *s)
{
    return current_exits(s, STATUS_CONFIG);
}

static bool cannot_start(struct stage *s)
{
    if (!current(s) || current(s)->state != WORKER_STARTING)
        return false;
    fake_cannot_start(current(s), STATUS_SANDBOX);
    return true;
}

static bool next_ready(struct stage *s)
{
    if (!s->slot->next || s->slot->next->state != WORKER_STARTING)
        return false;
    fake_ready(s->slot->next);
    return true;
}

static bool next_fails(struct stage *s)
{
    if (!s->slot->next)
        return false;
    fake_exit(s->slot->next, 1);
    return true;
}

static bool next_late(struct stage *s)
{
    if (!s->slot->next || s->slot->next->state != WORKER_STARTING)
        return false;
    fake_timeout(s->slot->next);
    return true;
}

static bool old_ends(struct stage *s)
{
    if (!s->slot->old)
        return false;
    fake_exit(s->slot->old, 0);
    return true;
}

static bool time_passes(struct stage *s)
{
    (void)s;
    advance(3600 * SEC);
    return true;
}

static bool ask(struct stage *s, bool in_place)
{
    struct replacement another = {.revision = &s->revisions[1]};

    if (s->slot->replacement) {
        assert_int_equal(slot_replace(s->slot, &another), -EBUSY);
        return false;
    }
    replace(s, in_place);
    return true;
}

static bool asked_to_surge(struct stage *s)
{
    return ask(s, false);
}

static bool asked_in_place(struct stage *s)
{
    return ask(s, true);
}

static bool commit(struct stage *s)
{
    slot_decide(s->slot, true);
    return s->slot->replacement != NULL;
}

static bool roll_back(struct stage *s)
{
    slot_decide(s->slot, false);
    return s->slot->replacement != NULL;
}

static bool leave(struct stage *s)
{
    slot_leave(s->slot);
    /* What is queued is given time; then its worker is stopped. */
    advance(10 * SEC);
    assert_int_equal(ait_task_is_done(s->slot->task), 1);
    return true;
}

static bool server_stops(struct stage *s)
{
    assert_true(ait_task_cancel(s->slot->task) >= 0);
    settle();
    assert_int_equal(ait_task_is_done(s->slot->task), 1);
    return true;
}

/* ---- the table ------------------------------------------------------------------------------- */

enum {
    READY,
    SUCCEEDS,
    FAILS,
    HOPELESS,
    NO_START,
    NEXT_READY,
    NEXT_FAILS,
    NEXT_LATE,
    OLD_ENDS,
    TIME,
    SURGE,
    IN_PLACE,
    COMMIT,
    ROLL_BACK,
    LEAVE,
    STOP,
    EVENTS
};

static const struct {
    const char *name;
    bool (*happens)(struct stage *s);
} events[EVENTS] = {
    [READY] = {"current becomes ready", current_ready},
    [SUCCEEDS] = {"current exits with 0", current_succeeds},
    [FAILS] = {"current exits with 1", current_fails},
    [HOPELESS] = {"current exits with 78", current_is_hopeless},
    [NO_START] = {"current cannot be started (77)", cannot_start},
    [NEXT_READY] = {"next becomes ready", next_ready},
    [NEXT_FAILS] = {"next exits with 1", next_fails},
    [NEXT_LATE] = {"next is not ready in time", next_late},
    [OLD_ENDS] = {"old has drained", old_ends},
    [TIME] = {"an hour passes", time_passes},
    [SURGE] = {"asked to replace, new before old", asked_to_surge},
    [IN_PLACE] = {"asked to replace, old before new", asked_in_place},
    [COMMIT] = {"commit", commit},
    [ROLL_BACK] = {"roll back", roll_back},
    [LEAVE] = {"asked to leave", leave},
    [STOP] = {"the server stops", server_stops},
};

struct row {
    const char *name;
    void (*reach)(struct stage *s);
    const char *cells[EVENTS];
};

static const struct row rows[] = {
    {"starting",
     starting,
     {
         [READY] = "active 0r/-/- - ready",
         [SUCCEEDS] = "backoff -/-/- - wait",
         [FAILS] = "backoff -/-/- - wait",
         [HOPELESS] = "failed -/-/- - away",
         [NO_START] = "failed -/-/- - away",
         [TIME] = "active 0s/-/- - wait",
         [SURGE] = "active 0s/1s/- starting wait",
         [IN_PLACE] = "active 0d/-/- asked wait",
         [LEAVE] = "active -/-/- - away",
         [STOP] = "active -/-/- - wait",
     }},
    {"ready",
     ready,
     {
         [SUCCEEDS] = "backoff -/-/- - wait",
         [FAILS] = "backoff -/-/- - wait",
         [HOPELESS] = "failed -/-/- - away",
         [TIME] = "active 0r/-/- - ready",
         [SURGE] = "active 0r/1s/- starting ready",
         [IN_PLACE] = "active 0d/-/- asked wait",
         [LEAVE] = "active -/-/- - away",
         [STOP] = "active -/-/- - ready",
     }},
    {"stable",
     stable,
     {
         [SUCCEEDS] = "active 0s/-/- - wait",
         [FAILS] = "active 0s/-/- - wait",
         [HOPELESS] = "failed -/-/- - away",
         [TIME] = "active 0r/-/- - ready",
         [SURGE] = "active 0r/1s/- starting ready",
         [IN_PLACE] = "active 0d/-/- asked wait",
         [LEAVE] = "active -/-/- - away",
         [STOP] = "active -/-/- - ready",
     }},
    {"dying",
     dying,
     {
         [SUCCEEDS] = "backoff -/-/- - wait",
         [FAILS] = "backoff -/-/- - wait",
         [HOPELESS] = "failed -/-/- - away",
         [TIME] = "active 0d/-/- - wait",
         [SURGE] = "active 0d/1s/- starting wait",
         [IN_PLACE] = "active 0d/-/- asked wait",
         [LEAVE] = "active -/-/- - away",
         [STOP] = "active -/-/- - wait",
     }},
    {"backoff",
     backoff,
     {
         [TIME] = "active 0s/-/- - wait",
         [SURGE] = "backoff -/1s/- starting wait",
         [IN_PLACE] = "backoff -/1s/- starting wait",
         [LEAVE] = "backoff -/-/- - away",
         [STOP] = "backoff -/-/- - wait",
     }},
    {"failed",
     failed,
     {
         [TIME] = "failed -/-/- - away",
         [SURGE] = "failed -/1s/- starting away",
         [IN_PLACE] = "failed -/1s/- starting away",
         [LEAVE] = "failed -/-/- - away",
         [STOP] = "failed -/-/- - away",
     }},
    {"ended",
     ended,
     {
         [TIME] = "ended -/-/- - away",
         [SURGE] = "ended -/1s/- starting away",
         [IN_PLACE] = "ended -/1s/- starting away",
         [LEAVE] = "ended -/-/- - away",
         [STOP] = "ended -/-/- - away",
     }},
    {"surge, next starting",
     surge_starting,
     {
         [SUCCEEDS] = "backoff -/1s/- starting wait",
         [FAILS] = "backoff -/1s/- starting wait",
         [HOPELESS] = "failed -/1s/- starting away",
         [NEXT_READY] = "active 0r/1r/- ready ready",
         [NEXT_FAILS] = "active 0r/-/- failed ready",
         [NEXT_LATE] = "active 0r/-/- failed ready",
         [TIME] = "active 0r/1s/- starting ready",
         [COMMIT] = "active 0r/1s/- starting ready",
         [ROLL_BACK] = "active 0r/1d/- starting ready",
         [LEAVE] = "active -/-/- starting away",
         [STOP] = "active -/-/- starting ready",
     }},
    {"surge, next ready",
     surge_ready,
     {
         [SUCCEEDS] = "active 1r/-/- done ready",
         [FAILS] = "active 1r/-/- done ready",
         [HOPELESS] = "active 1r/-/- done ready",
         [NEXT_FAILS] = "active 0r/-/- failed ready",
         [TIME] = "active 0r/1r/- ready ready",
         [COMMIT] = "active 1r/-/0d committed ready",
         [ROLL_BACK] = "active 0r/1d/- ready ready",
         [LEAVE] = "active -/-/- ready away",
         [STOP] = "active -/-/- ready ready",
     }},
    {"surge, committed",
     surge_committed,
     {
         [SUCCEEDS] = "active 0s/-/0d died wait",
         [FAILS] = "active 0s/-/0d died wait",
         [HOPELESS] = "active 0s/-/0d died wait",
         [OLD_ENDS] = "active 1r/-/- done ready",
         [TIME] = "active 1r/-/0d committed ready",
         [COMMIT] = "active 1r/-/0d committed ready",
         [ROLL_BACK] = "active 1r/-/0d committed ready",
         [LEAVE] = "active -/-/- committed away",
         [STOP] = "active -/-/- committed ready",
     }},
    {"surge, next settling",
     surge_settling,
     {
         [SUCCEEDS] = "backoff -/1r/- starting ready",
         [FAILS] = "backoff -/1r/- starting ready",
         [HOPELESS] = "failed -/1r/- starting ready",
         [NEXT_FAILS] = "active 0r/-/- failed ready",
         [TIME] = "active 0r/1r/- ready ready",
         [COMMIT] = "active 0r/1r/- starting ready",
         [ROLL_BACK] = "active 0r/1d/- starting ready",
         [LEAVE] = "active -/-/- starting away",
         [STOP] = "active -/-/- starting ready",
     }},
    {"surge, done, on trial",
     surge_done,
     {
         [SUCCEEDS] = "active 0s/-/- died wait",
         [FAILS] = "active 0s/-/- died wait",
         [HOPELESS] = "active 0s/-/- died wait",
         [TIME] = "active 1r/-/- done ready",
         [SURGE] = "active 1r/1s/- starting ready",
         [IN_PLACE] = "active 1d/-/- asked wait",
         [LEAVE] = "active -/-/- done away",
         [STOP] = "active -/-/- done ready",
     }},
    {"surge of a failed slot, done, on trial",
     surge_of_failed,
     {
         [SUCCEEDS] = "backoff -/-/- died wait",
         [FAILS] = "backoff -/-/- died wait",
         [HOPELESS] = "failed -/-/- died away",
         [TIME] = "active 1r/-/- done ready",
         [SURGE] = "active 1r/1s/- starting ready",
         [IN_PLACE] = "active 1d/-/- asked wait",
         [LEAVE] = "active -/-/- done away",
         [STOP] = "active -/-/- done ready",
     }},
    {"surge of a failed slot, next settling",
     failed_settling,
     {
         [NEXT_FAILS] = "failed -/-/- failed away",
         [TIME] = "active 1r/-/- done ready",
         [COMMIT] = "failed -/1r/- starting ready",
         [ROLL_BACK] = "failed -/1r/- starting ready",
         [LEAVE] = "failed -/-/- starting away",
         [STOP] = "failed -/-/- starting ready",
     }},
    {"surge in back-off",
     surge_in_backoff,
     {
         [NEXT_READY] = "active 1r/-/- done ready",
         [NEXT_FAILS] = "backoff -/-/- failed wait",
         [NEXT_LATE] = "backoff -/-/- failed wait",
         [TIME] = "active 0s/1s/- starting wait",
         [COMMIT] = "backoff -/1s/- starting wait",
         [ROLL_BACK] = "backoff -/1d/- starting wait",
         [LEAVE] = "backoff -/-/- starting away",
         [STOP] = "backoff -/-/- starting wait",
     }},
    {"in place in back-off",
     in_place_in_backoff,
     {
         [NEXT_READY] = "active 1r/-/- done ready",
         [NEXT_FAILS] = "backoff -/-/- failed wait",
         [NEXT_LATE] = "backoff -/-/- failed wait",
         [TIME] = "backoff -/1s/- starting wait",
         [COMMIT] = "backoff -/1s/- starting wait",
         [ROLL_BACK] = "backoff -/1d/- starting wait",
         [LEAVE] = "backoff -/-/- starting away",
         [STOP] = "backoff -/-/- starting wait",
     }},
    {"in place, current draining",
     in_place_waiting,
     {
         [SUCCEEDS] = "active -/1s/- starting wait",
         [FAILS] = "active -/1s/- starting wait",
         [HOPELESS] = "active -/1s/- starting wait",
         [TIME] = "active 0d/-/- asked wait",
         [COMMIT] = "active 0d/-/- asked wait",
         [ROLL_BACK] = "active 0d/-/- failed wait",
         [LEAVE] = "active -/-/- asked away",
         [STOP] = "active -/-/- asked wait",
     }},
    {"in place, next starting",
     in_place_starting,
     {
         [NEXT_READY] = "active 1r/-/- done ready",
         [NEXT_FAILS] = "active 0s/-/- failed wait",
         [NEXT_LATE] = "active 0s/-/- failed wait",
         [TIME] = "active -/1s/- starting wait",
         [COMMIT] = "active -/1s/- starting wait",
         [ROLL_BACK] = "active -/1d/- starting wait",
         [LEAVE] = "active -/-/- starting away",
         [STOP] = "active -/-/- starting wait",
     }},
    {"in place, next settling",
     in_place_settling,
     {
         [NEXT_FAILS] = "active 0s/-/- failed wait",
         [TIME] = "active 1r/-/- done ready",
         [COMMIT] = "active -/1r/- starting ready",
         [ROLL_BACK] = "active -/1r/- starting ready",
         [LEAVE] = "active -/-/- starting away",
         [STOP] = "active -/-/- starting ready",
     }},
};

static const char *worker_text(const struct worker *w, char buf[4])
{
    static const char letters[] = {[WORKER_STARTING] = 's',
                                   [WORKER_READY] = 'r',
                                   [WORKER_DRAINING] = 'd',
                                   [WORKER_EXITED] = 'x'};

    if (!w)
        return "-";
    (void)snprintf(buf, 4, "%u%c", (unsigned)w->revision->generation, letters[w->state]);
    return buf;
}

static void describe(const struct stage *s, char *buf, size_t n)
{
    static const char *const states[] = {"active", "backoff", "failed", "ended"};
    static const char *const replacements[] = {"asked", "starting", "ready", "committed",
                                               "done",  "failed",   "died"};
    static const char *const steers[] = {"away", "wait", "ready"};
    const struct slot *slot = s->slot;
    char current[4], next[4], old[4];

    (void)snprintf(
        buf, n, "%s %s/%s/%s %s %s", states[slot->state], worker_text(slot->current, current),
        worker_text(slot->next, next), worker_text(slot->old, old),
        s->replacement.revision ? replacements[s->replacement.state] : "-", steers[slot->steer]);
}

struct cell {
    const struct row *row;
    unsigned event;
};

static int play(void *userdata)
{
    const struct cell *cell = userdata;
    const char *expected = cell->row->cells[cell->event];
    struct stage s = {0};
    char found[80] = "";
    AIT_SCOPE(scope);

    stage_open(&s, &scope, NULL, &give_up);
    cell->row->reach(&s);
    settle();
    if (events[cell->event].happens(&s)) {
        settle();
        describe(&s, found, sizeof(found));
    }
    if (strcmp(found, expected ? expected : "") != 0)
        fail_msg("%s, %s: \"%s\", wanted \"%s\"", cell->row->name, events[cell->event].name, found,
                 expected ? expected : "");
    stage_close(&s, scope);
    return 0;
}

static void test_table(void **state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (unsigned event = 0; event < EVENTS; event++) {
            struct cell cell = {&rows[i], event};

            n_fakes = 0;
            give_up = (struct rate){.count = 20, .usec = 300 * SEC};
            assert_int_equal(ait_run(play, &cell, 0), 0);
        }
}

/* ---- longer stories -------------------------------------------------------------------------- */

typedef void (*story_fn)(struct stage *s);

static int tell(void *userdata)
{
    story_fn story = *(story_fn *)userdata;
    struct stage s = {0};
    AIT_SCOPE(scope);

    stage_open(&s, &scope, NULL, &give_up);
    story(&s);
    stage_close(&s, scope);
    return 0;
}

static void play_story(story_fn story, struct rate limit)
{
    n_fakes = 0;
    give_up = limit;
    assert_int_equal(ait_run(tell, &story, 0), 0);
}

/* A reload is rolled back, and then an old worker dies: it comes back as it was. */
static void crash_after_roll_back(struct stage *s)
{
    surge_starting(s);
    fake_exit(s->slot->next, 1);
    settle();
    assert_int_equal(s->replacement.state, REPLACEMENT_FAILED);
    assert_string_equal(s->replacement.why, "exited with status 1");
    assert_int_equal(s->revisions[1].refs, 1);
    fake_exit(current(s), 1);
    advance(3600 * SEC);
    assert_ptr_equal(current(s)->revision, &s->revisions[0]);
}

/* And once the reload is over, as the new one. */
static void crash_after_commit(struct stage *s)
{
    surge_done(s);
    settle();
    slot_withdraw(s->slot);
    settle();
    assert_int_equal(s->revisions[0].refs, 1);
    fake_exit(current(s), 1);
    advance(3600 * SEC);
    assert_ptr_equal(current(s)->revision, &s->revisions[1]);
}

/* Ready, and dead before it was proved: not once has the slot had a worker that works. */
static void proved_at_last(struct stage *s)
{
    s->config.settle = 2 * SEC;
    for (int i = 0; i < 3; i++) {
        ready(s);
        advance(2 * SEC - 10);
        fake_exit(current(s), 3);
        advance(3600 * SEC);
        assert_false(s->slot->was_proved);
    }
    ready(s);
    advance(2 * SEC - 10);
    assert_false(s->slot->was_proved);
    settle();
    /* Nothing but time has changed. */
    advance(10);
    settle();
    assert_true(s->slot->was_proved);
}

/* A worker that is ready since it has been alive for some time has proved that much already. */
static void age_is_a_proof(struct stage *s)
{
    s->config.settle = 2 * SEC;
    advance(5 * SEC);
    current(s)->ready_by_age = true;
    ready(s);
    settle();
    assert_true(s->slot->was_proved);
    replace(s, false);
    advance(SEC);
    s->slot->next->ready_by_age = true;
    fake_ready(s->slot->next);
    settle();
    assert_int_equal(s->replacement.state, REPLACEMENT_STARTING);
    advance(SEC);
    assert_int_equal(s->replacement.state, REPLACEMENT_READY);
}

/* What runs to its end need not stay. */
static void a_job_need_not_settle(struct stage *s)
{
    s->config.settle = 2 * SEC;
    s->config.restart = RESTART_NO;
    ready(s);
    settle();
    assert_true(s->slot->was_proved);
}

/* Decided before it was proved: as soon as it is. And what it died of says how soon. */
static void commit_waits_for_the_proof(struct stage *s)
{
    surge_settling(s);
    slot_decide(s->slot, true);
    advance(2 * SEC - 10);
    assert_int_equal(s->replacement.state, REPLACEMENT_STARTING);
    advance(10);
    settle();
    assert_int_equal(s->replacement.state, REPLACEMENT_COMMITTED);
    fake_exit(current(s), 3);
    settle();
    assert_int_equal(s->replacement.state, REPLACEMENT_DIED);
    assert_non_null(strstr(s->replacement.why, "exited with status 3, 2.0"));
    assert_ptr_equal(current(s)->revision, &s->revisions[0]);
    assert_int_equal(s->revisions[1].refs, 1);
}

/* For --settle after the reload was over, the slot can still go back. */
static void crash_soon_after_the_reload(struct stage *s)
{
    surge_done(s);
    settle();
    s->config.settle = 2 * SEC;
    slot_withdraw(s->slot);
    memset(&s->replacement, 0xff, sizeof(s->replacement));
    advance(2 * SEC - 10);
    fake_exit(current(s), 3);
    settle();
    assert_ptr_equal(current(s)->revision, &s->revisions[0]);
    assert_int_equal(s->revisions[1].refs, 1);
    assert_int_equal(s->slot->n_exits, 0);
    assert_true(s->slot->went_back);
    assert_int_equal((int)s->replacement.state, -1);
}

/* And not any more. Nothing but time has passed. */
static void crash_later_after_the_reload(struct stage *s)
{
    surge_done(s);
    settle();
    s->config.settle = 2 * SEC;
    slot_withdraw(s->slot);
    advance(2 * SEC + 10);
    assert_int_equal(s->revisions[0].refs, 1);
    fake_exit(current(s), 3);
    advance(3600 * SEC);
    assert_ptr_equal(current(s)->revision, &s->revisions[1]);
    assert_false(s->slot->went_back);
}

/* A replacement that is to be rolled back is the only one that serves: it stays until the old one
 * is back. */
static void serves_until_the_old_one_is_back(struct stage *s)
{
    surge_settling(s);
    s->config.settle = 3600 * SEC;
    fake_exit(current(s), 1);
    settle();
    slot_decide(s->slot, false);
    advance(SEC);
    assert_true(slot_is_ready(s->slot));
    assert_int_equal(s->slot->next->state, WORKER_READY);
    fake_ready(current(s));
    settle();
    assert_int_equal(s->slot->next->state, WORKER_DRAINING);
    fake_exit(s->slot->next, 0);
    settle();
    assert_int_equal(s->replacement.state, REPLACEMENT_FAILED);
    assert_string_equal(s->replacement.why, "");
}

/* The n-th failure in a row waits min(CAP, BASE * 1.5^(n-1)), within 5 %; one that was stable
 * begins anew. */
static void waits_grow(struct stage *s)
{
    double wanted = 100e3;

    for (int i = 0; i < 15; i++) {
        uint64_t before = ait_now(NULL);

        fake_exit(current(s), 1);
        settle();
        double wait = (double)(s->slot->wake_at - before);
        if (wait < wanted * 0.949 || wait > wanted * 1.051)
            fail_msg("failure %d waits %.0f us, wanted %.0f", i, wait, wanted);
        advance(s->slot->wake_at - ait_now(NULL));
        settle();
        assert_non_null(current(s));
        wanted = wanted * 1.5 > 30e6 ? 30e6 : wanted * 1.5;
    }
    stable(s);
    fake_exit(current(s), 1);
    settle();
    assert_int_equal(s->slot->state, SLOT_ACTIVE);
    fake_exit(current(s), 1);
    settle();
    assert_true(s->slot->wake_at - ait_now(NULL) < 106000);
}

/* The rest is over while a replacement in place is being proved: it is that one's turn, and when it
 * has failed the old one starts at once. */
static void rest_ends_in_place(struct stage *s)
{
    in_place_in_backoff(s);
    advance(3600 * SEC);
    assert_null(current(s));
    fake_exit(s->slot->next, 1);
    settle();
    assert_int_equal(s->replacement.state, REPLACEMENT_FAILED);
    assert_ptr_equal(current(s)->revision, &s->revisions[0]);
}

/* --give-up=3/1min: the third within a minute, and not the third ever. */
static void gives_up(struct stage *s)
{
    for (int i = 0; i < 5; i++) {
        fake_exit(current(s), 1);
        settle();
        assert_int_equal(s->slot->state, SLOT_BACKOFF);
        advance(31 * SEC);
    }
    for (int i = 0; i < 2; i++) {
        fake_exit(current(s), 1);
        advance(SEC);
    }
    assert_int_equal(s->slot->state, SLOT_FAILED);
    assert_int_equal(s->slot->status, STATUS_UNAVAILABLE);
    /* A commit forgets what was. */
    replace(s, false);
    fake_ready(s->slot->next);
    settle();
    assert_int_equal(s->replacement.state, REPLACEMENT_DONE);
    fake_exit(current(s), 1);
    settle();
    assert_int_equal(s->slot->state, SLOT_BACKOFF);
}

/* 0/TIME, N/0: never. */
static void never_gives_up(struct stage *s)
{
    for (int i = 0; i < 50; i++) {
        fake_exit(current(s), 1);
        settle();
        assert_int_equal(s->slot->state, SLOT_BACKOFF);
        advance(40 * SEC);
    }
}

/* The N-th exit within exactly TIME of the first is the last, for each N. */
static void gives_up_at_the_nth(struct stage *s)
{
    unsigned n = s->config.give_up.count;

    s->config.backoff = (struct time_range){.base_usec = 1, .cap_usec = 1};
    for (unsigned i = 1; i < n; i++) {
        fake_exit(current(s), 1);
        settle();
        assert_int_equal(s->slot->state, SLOT_BACKOFF);
        advance(60 * SEC / (n - 1) - 1); /* settle() takes one */
    }
    assert_int_equal(s->slot->state, SLOT_ACTIVE);
    fake_exit(current(s), 1);
    settle();
    assert_int_equal(s->slot->state, SLOT_FAILED);
}

/* One microsecond later it is not. */
static void too_slow_to_give_up(struct stage *s)
{
    unsigned n = s->config.give_up.count;

    s->config.backoff = (struct time_range){.base_usec = 1, .cap_usec = 1};
    for (unsigned i = 1; i <= n; i++) {
        fake_exit(current(s), 1);
        settle();
        assert_int_equal(s->slot->state, SLOT_BACKOFF);
        advance(60 * SEC / (n - 1));
    }
}

static void no_memory_for_a_worker(struct stage *s)
{
    fake_exit(current(s), 1);
    fake_error = -ENOMEM;
    advance(s->slot->wake_at > ait_now(NULL) ? s->slot->wake_at - ait_now(NULL) + SEC : SEC);
    assert_int_equal(s->slot->state, SLOT_BACKOFF);
    assert_null(current(s));
    advance(s->config.backoff.cap_usec);
    assert_non_null(current(s));
    settle();
    ready(s);
    settle();
    fake_error = -ENOMEM;
    replace(s, false);
    assert_int_equal(s->replacement.state, REPLACEMENT_FAILED);
    assert_non_null(strstr(s->replacement.why, "memory"));
    assert_non_null(current(s));
}

/* Whoever asked has gone with the server: what it owned is not touched again. */
static void withdrawn(struct stage *s)
{
    surge_ready(s);
    settle();
    slot_withdraw(s->slot);
    memset(&s->replacement, 0xff, sizeof(s->replacement));
    fake_exit(current(s), 1);
    settle();
    fake_ready(s->slot->next);
    settle();
    assert_int_equal((int)s->replacement.state, -1);
}

static void test_stories(void **state)
{
    static const story_fn stories[] = {crash_after_roll_back,
                                       crash_after_commit,
                                       waits_grow,
                                       rest_ends_in_place,
                                       no_memory_for_a_worker,
                                       withdrawn,
                                       proved_at_last,
                                       age_is_a_proof,
                                       a_job_need_not_settle,
                                       commit_waits_for_the_proof,
                                       serves_until_the_old_one_is_back,
                                       crash_soon_after_the_reload,
                                       crash_later_after_the_reload};

    for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++)
        play_story(stories[i], (struct rate){.count = 20, .usec = 300 * SEC});
    play_story(gives_up, (struct rate){.count = 3, .usec = 60 * SEC});
    play_story(never_gives_up, (struct rate){.count = 0, .usec = 60 * SEC});
    play_story(never_gives_up, (struct rate){.count = 3, .usec = 0});
    for (unsigned n = 2; n <= 5; n++) {
        play_story(gives_up_at_the_nth, (struct rate){.count = n, .usec = 60 * SEC});
        play_story(too_slow_to_give_up, (struct rate){.count = n, .usec = 60 * SEC});
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_stories),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
