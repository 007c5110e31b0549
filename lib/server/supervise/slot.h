/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_SLOT_H
#define SERVER_SLOT_H

/*
 * A slot: the place of one worker, and the only one who decides about it.
 *
 * Its task sleeps until something has changed (a worker's state, a request, the end of a back-off), looks at everything, and does what follows:
 * slot_step(). Nobody else writes to a slot; whoever wants something of it makes a request and waits for the event that tells of changes.
 *
 *     current    the worker that the slot is about: it is restarted from the slot's revision when it ends by itself
 *     next       of another revision, being proved; nothing depends on it yet
 *     old        has been replaced, and drains
 *
 * To commit is to make next current, and its revision the slot's; to roll back is to drop next. A replacement comes before the old worker
 * goes (the default), or after it where two at once cannot be (in_place). A slot that has nobody ready commits a next that is, without being told to: it has nothing to lose.
 *
 * Ownership: a slot owns its workers and holds its revision. A struct replacement is the caller's; the slot forgets it when it is over.
 */

#include "worker/worker.h"

enum slot_state {
    SLOT_ACTIVE,  /* a worker runs, or is about to be started */
    SLOT_BACKOFF, /* the next start has its time */
    SLOT_FAILED,  /* given up, until a replacement is committed */
    SLOT_ENDED,   /* its worker has done its work; likewise */
};

enum replacement_state {
    REPLACEMENT_ASKED,     /* the slot has not looked yet, or waits for the old worker's end */
    REPLACEMENT_STARTING,  /* next runs */
    REPLACEMENT_READY,     /* next is ready; it waits for somebody to say commit */
    REPLACEMENT_COMMITTED, /* the old worker drains */
    REPLACEMENT_DONE,      /* nothing of the old worker is left */
    REPLACEMENT_FAILED, /* nothing of next is left; why says what became of it, "" where it was rolled back */
};

struct replacement {
    struct revision *revision;
    bool in_place; /* the old one ends first */

    /* written by whoever asked, with slot_decide() */
    bool commit, roll_back;

    /* written by the slot */
    enum replacement_state state;
    pid_t pid;
    char why[WORKER_END_MAX];
};

static inline bool replacement_is_over(const struct replacement *r)
{
    return r->state == REPLACEMENT_DONE || r->state == REPLACEMENT_FAILED;
}

struct slot {
    /* what it was made with */
    const struct server_config *config; /* the rules about failures */
    struct workers *workers;
    ait_event *changed; /* the server's: set and cleared after each step */
    unsigned index;

    enum slot_state state;
    struct revision *revision;
    struct worker *current, *next, *old;
    struct replacement *replacement; /* under way; NULL: none */
    int status;       /* exit status that the slot stands for: failed 69, 77 or 78; ended: the worker's */
    bool was_ready;   /* ever */
    bool leaving;     /* nothing new goes there, and nothing is started */
    uint64_t wake_at; /* SLOT_BACKOFF: the next start */

    unsigned n_failures; /* in a row */
    uint64_t *exits;     /* times of unplanned exits, a ring of give_up.count */
    unsigned n_exits;
    struct denial_limits *limits;
    enum steer steer; /* as it was set last */

    ait_task *task;
    ait_scope *scope; /* its workers live in it; NULL: its task does not run */
    ait_event *event; /* something has changed for it */
};

int slot_new(struct slot **ret, const struct server_config *config, struct workers *workers,
             ait_event *changed, struct revision *revision, unsigned index);
struct slot *slot_free(struct slot *slot); /* takes NULL, returns NULL; its task must have ended */
/* Its task. Cancelling it stops its workers; the task ends when they have. */
int slot_start(struct slot *slot, ait_scope *scope);

/* Asks for a replacement; r must stay until it is over. -EBUSY: one is under way. */
int slot_replace(struct slot *slot, struct replacement *r);
/* What becomes of one that is ready; roll_back also of one that is not. */
void slot_decide(struct slot *slot, bool commit);
/* Forgets it: whoever asked is going away, with the server. What was started for it ends with the slot. */
void slot_withdraw(struct slot *slot);
/* Asks it to end: new connections go elsewhere, those that wait already are its worker's to take, then the worker is stopped and the task ends. */
void slot_leave(struct slot *slot);

bool slot_is_ready(const struct slot *slot);
/* It will not become ready by itself. */
bool slot_is_over(const struct slot *slot);
/* Nor by a replacement that is under way. */
bool slot_is_lost(const struct slot *slot);

/* One look at everything, by its task; for tests. */
void slot_step(struct slot *slot);

#endif
