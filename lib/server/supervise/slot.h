/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A slot: the place of one worker. All decisions about that worker are made here.
 *
 * Its task sleeps until something has changed: a worker's state, a request, or the end of a
 * back-off. Then it examines everything and acts: slot_step(). Nobody else writes to a slot. Other
 * code makes a request and waits for the event that reports changes.
 *
 *     current    the worker of this slot: if it ends by itself, it is restarted from the slot's
 *                revision
 *     next       of another revision, being proved; nothing depends on it yet
 *     old        has been replaced, and drains
 *     left       were old, or next and rolled back, and had not ended when they stood in the way of
 *                another replacement
 *
 * To commit is to make next current, and its revision the slot's. To roll back is to drop next. By
 * default a replacement starts before the old worker stops; with in_place it starts afterwards, for
 * workers of which two cannot run at once.
 *
 * Next is proved when it has been ready for --settle: servers say that they are ready before they
 * have loaded their application. Only then it may be committed. While current is not ready, a ready
 * next serves, and is not rolled back; once it is proved it is committed without being asked, since
 * there is nothing to lose.
 *
 * A committed worker stays on trial until the requester withdraws, which is when the whole reload
 * is over, and for --settle after that. If it ends by itself before, the slot goes back to the
 * revision that it had before.
 *
 * Ownership: a slot owns its workers and holds its revision. A struct replacement belongs to the
 * caller, and must stay valid until slot_withdraw().
 */

#include "acceptance.h"
#include "drain.h"
#include "worker/worker.h"

enum slot_state {
    SLOT_ACTIVE,  /* a worker runs, or is about to be started */
    SLOT_BACKOFF, /* waits until the next start */
    SLOT_FAILED,  /* has given up, until a replacement is committed */
    SLOT_ENDED,   /* its worker has completed its work; until a replacement is committed */
};

enum replacement_state {
    REPLACEMENT_ASKED,    /* the slot has not looked yet, or waits until the old worker has ended */
    REPLACEMENT_STARTING, /* next runs, and is not proved */
    REPLACEMENT_READY,    /* next is proved, and waits for the decision to commit */
    REPLACEMENT_COMMITTED, /* the old worker drains */
    REPLACEMENT_DONE,      /* nothing of the old worker is left */
    /* why says how it ended, and is "" if it was rolled back */
    REPLACEMENT_FAILED, /* nothing of next is left */
    REPLACEMENT_DIED,   /* it had been committed, and ended by itself while it was on trial */
};

#define REPLACEMENT_WHY_MAX (WORKER_END_MAX + 64)

struct replacement {
    struct revision *revision;
    bool in_place; /* the old worker ends first */

    /* set by the requester, with slot_decide() */
    bool commit, roll_back;

    /* set by the slot */
    enum replacement_state state;
    pid_t pid;
    bool old_ended, old_killed; /* of the old worker; neither: there was none, or it runs */
    uint64_t old_took;          /* from its stop signal to its end */
    char why[REPLACEMENT_WHY_MAX];
};

static inline bool replacement_has_failed(const struct replacement *r)
{
    return r->state >= REPLACEMENT_FAILED;
}

static inline bool replacement_is_over(const struct replacement *r)
{
    return r->state >= REPLACEMENT_DONE;
}

struct slot {
    /* parameters of slot_new() */
    const struct server_config *config; /* the rules about failures */
    struct workers *workers;
    ait_event *changed; /* the server's: set and cleared after each step */
    unsigned index;

    unsigned seat; /* the listeners of current (sockets/set.h), and what waits at them */
    enum slot_state state;
    struct revision *revision;
    struct worker *current, *next, *old;
    struct worker *left;             /* a list */
    struct replacement *replacement; /* under way; NULL: none */
    struct replacement *trial; /* the one that current is on trial for; NULL: that one is over */
    struct revision *previous; /* to go back to while on trial; NULL: none, or it was no better */
    uint64_t trial_ends;       /* if the replacement is over */
    bool went_back;            /* and nothing was committed since then */
    int status;       /* exit status of the slot: failed 69, 77 or 78; ended: the worker's */
    bool was_proved;  /* some worker of it, at any time */
    bool leaving;     /* gets no new connections, and starts nothing */
    uint64_t wake_at; /* SLOT_BACKOFF: the next start */
    uint64_t look_at; /* a drain: the next look */

    struct acceptance acceptance; /* queues.c looks whether current accepts what waits */
    unsigned n_stuck;             /* how often a worker did not */

    bool old_drains;   /* old gets no new connections, and is not asked to stop yet */
    bool is_successor; /* old was started for what waited at the seat of one that has gone */
    struct drain old_drain, current_drain;

    unsigned n_failures; /* in a row */
    uint64_t *exits;     /* times of unplanned exits, a ring of give_up.count */
    unsigned n_exits;
    struct denial_limits *limits;
    enum steer steer; /* as it was last set */

    ait_task *task;
    ait_scope *scope; /* its workers live in it; NULL: its task does not run */
    ait_event *event; /* something has changed for this slot */
};

int slot_new(struct slot **ret, const struct server_config *config, struct workers *workers,
             ait_event *changed, struct revision *revision, unsigned index, unsigned seat);
struct slot *slot_free(struct slot *slot); /* takes NULL, returns NULL; its task must have ended */
/* Starts its task. Cancelling the task stops the slot's workers; it ends when they have ended. */
int slot_start(struct slot *slot, ait_scope *scope);

/*
 * Requests a replacement; r must stay valid until it is over. -EBUSY: another one is in progress.
 */
int slot_replace(struct slot *slot, struct replacement *r);
/* Decides about a replacement that is ready. Rolling back is also possible before it is ready. */
void slot_decide(struct slot *slot, bool commit);
/*
 * The requester has seen the end of all that it asked for, or is ending, with the server. Workers
 * that were started for a request that is not over end with the slot.
 */
void slot_withdraw(struct slot *slot);
/*
 * Asks the slot to end: new connections go to other slots, the worker accepts those that already
 * wait, then it is stopped and the task ends.
 */
void slot_leave(struct slot *slot);

/* A worker of it serves: current, or next while current does not. */
bool slot_is_ready(const struct slot *slot);
/* Its replacement waits to be committed, and is ready at this moment. */
bool slot_is_proved(const struct slot *slot);
/* The slot will not become ready by itself. */
bool slot_is_over(const struct slot *slot);
/* The slot will not become ready by a replacement in progress either. */
bool slot_is_lost(const struct slot *slot);

/* One step of its task; for tests. */
void slot_step(struct slot *slot);
