/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A row of the semantics table: who does what when, and what each of them has to see.
 *
 * A scenario runs one target task on virtual time. It enters a scope S (inside an outer one, where
 * .outer is set), spawns up to two children into S, sleeps body.ms, yields, and leaves. Up to four
 * actors do something to it from outside, at given milliseconds. A caller awaits the target.
 * Everything that is observed is compared with .want, fields left out being 0: a row asserts all
 * that it does not say.
 */

#include "check.h"

/* Where something never happened. */
#define NEVER (-1000000)

enum act_kind {
    ACT_NONE,
    CANCEL_TASK,
    UNCANCEL_TASK,
    CANCEL_SCOPE,
    CLOSE_SCOPE,
    ABORT_SCOPE,
    CANCEL_OUTER,
    SPAWN_INTO_SCOPE,
    CANCEL_CHILD, /* the first one */
    CANCEL_AND_WAIT,
    CANCEL_AND_WAIT_STRICT,
    CANCELLED_CANCEL_AND_WAIT, /* by an actor who is cancelled already */
    CANCEL_CALLER,
    CANCEL_ACTOR, /* the first one */
    ACT_KINDS,
};

struct act {
    int at;
    enum act_kind kind;
    int ret;   /* what it has to return, */
    int until; /* and when; 0: at once */
};

struct scenario {
    const char *name;
    bool before_start; /* the task is cancelled before it has run */
    bool outer;
    unsigned outer_flags;
    int outer_after; /* deadlines, ms from the start; 0: none */
    unsigned flags;
    int after;
    struct {
        int ms;         /* 0: no operation at all */
        int ret;        /* returned where the operations succeed, */
        bool swallow;   /* or in any case */
        bool uncancels; /* between its two operations */
        bool no_exit;   /* leaves by the cleanup attribute alone */
    } body;
    struct {
        bool used;
        int ms;
        int ret; /* where the sleep succeeds, or where it is negative: in any case */
        bool shield;
    } child[2];
    struct act act[4];

    struct {
        int body, again,
            body_at; /* what its first and second operation returned, when it was over */
        int child[2], child_at[2];
        int exit, exit_at;
        int next;       /* the operation after the scope's exit, inside the outer one if any */
        int outer_exit; /* NEVER matters only with .outer */
        int after;      /* the operation after all scopes */
        int count;      /* ait_task_cancelling() at the end */
        bool caught, expired, outer_expired, outer_caught;
        int errors, first_error; /* the scope's list */
        int handled;             /* calls of the error handler */
        int wait, result;        /* of the caller's await */
        int wait_at;
    } want;
};

/* A cmocka test; *state is a const struct scenario. */
void scenario_run(void **state);

/* Runs all rows as a cmocka group. */
int scenarios_run(const char *group, const struct scenario *rows, size_t n);
