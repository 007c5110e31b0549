/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The scheduler: planned changes of the slots, one after another, so that they never overlap.
 *
 * It owns the slots and the newest revision that was proved. Requests are flags, which its task
 * carries out: however often a reload is requested meanwhile, one more reload is enough. A reload
 * makes a revision and has the slots replace their workers with it, as many at a time as
 * --max-surge and --max-unavailable permit. It stops at the first replacement that does not become
 * ready.
 *
 * The number of slots that may be replaced is computed from their current states and never stored.
 * So it cannot drift, it follows a change of the number of workers, and it accounts for crashed
 * workers.
 */

#include "slot.h"
#include "systemd.h"

struct scheduler {
    /* parameters of scheduler_init() */
    const struct server_config *config;
    struct workers *workers;
    struct systemd *systemd;

    struct slot **slots;
    unsigned n_slots;
    struct revision *revision; /* for new slots */
    uint64_t generation;       /* the newest one that was tried */

    bool reload_wanted;
    unsigned n_workers_wanted;
    bool reloading;
    bool scaling;       /* a worker comes or leaves */
    unsigned n_reloads; /* that have ended */
    const char
        *reload_state; /* of the last reload, if it failed: "partial", "rolled-back", "refused" */

    ait_scope *scope; /* the slots live in it; NULL before scheduler_start() */
    ait_event
        *changed; /* a slot has changed: set and cleared at once, so check first and then wait */
    ait_event *requested; /* there is work for the task */
};

/*
 * Takes a reference to the revision and makes config->workers slots. Call scheduler_done() even
 * after a failure.
 */
int scheduler_init(struct scheduler *s, const struct server_config *config, struct workers *workers,
                   struct systemd *systemd, struct revision *revision);
/* Starts the slots and the scheduler's task in the scope. Call it inside the loop. */
int scheduler_start(struct scheduler *s, ait_scope *scope);
/* Call it after the scope was left. */
void scheduler_done(struct scheduler *s);

void scheduler_reload(struct scheduler *s);
/* Somebody else has refused one, and said why. */
void scheduler_reload_refused(struct scheduler *s);
/* by is 1 or -1. If the limit is reached, a warning is logged. */
void scheduler_scale(struct scheduler *s, int by);

unsigned scheduler_n_ready(const struct scheduler *s);
/* Slots that have gone back to what they ran before their last replacement. */
unsigned scheduler_n_back(const struct scheduler *s);
/* Each slot has had a worker that stayed alive for --settle. */
bool scheduler_all_were_proved(const struct scheduler *s);
