/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_SCHEDULER_H
#define SERVER_SCHEDULER_H

/*
 * The scheduler: planned changes of the slots, one after the other, so that they never overlap.
 *
 * It owns the slots and the newest revision that is proved. What is wanted of it is counted (however often a reload was asked for meanwhile, one
 * more is enough); its task does it. A reload makes a revision, and has the slots replace their workers by it, as many at a time as --max-surge
 * and --max-unavailable let it; it stops at the first that does not become ready.
 *
 * How many may be replaced is computed from the slots at the time, never kept beside them: so it cannot drift, follows a change of the number of workers, and
 * counts those that have crashed.
 */

#include "slot.h"
#include "systemd.h"

struct scheduler {
    /* what it was made with */
    const struct server_config *config;
    struct workers *workers;
    struct systemd *systemd;

    struct slot **slots;
    unsigned n_slots;
    struct revision *revision; /* of new slots */
    uint64_t generation;       /* the newest that was tried */

    bool reload_wanted;
    unsigned n_workers_wanted;
    bool reloading;
    unsigned n_reloads;       /* that have ended */
    const char *reload_state; /* of the last reload, where it failed: "partial", "rolled-back", "refused" */

    ait_scope *scope; /* that the slots live in; NULL before scheduler_start() */
    ait_event *
        changed; /* something has changed in a slot: set and cleared at once, to be waited for after a look */
    ait_event *requested; /* there is something to do */
};

/* Takes a reference of the revision, and makes config->workers slots. On failure scheduler_done() all the same. */
int scheduler_init(struct scheduler *s, const struct server_config *config, struct workers *workers,
                   struct systemd *systemd, struct revision *revision);
/* Inside the loop: starts the slots and its own task in the scope. */
int scheduler_start(struct scheduler *s, ait_scope *scope);
/* After the scope has been left. */
void scheduler_done(struct scheduler *s);

void scheduler_reload(struct scheduler *s);
/* by: 1 or -1. What cannot be is said in the log. */
void scheduler_scale(struct scheduler *s, int by);

unsigned scheduler_n_ready(const struct scheduler *s);
bool scheduler_all_were_ready(const struct scheduler *s);

#endif
