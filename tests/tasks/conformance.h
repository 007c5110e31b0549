/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Rows of the conformance table of docs/aiotools.md: what a program does, as a trace of words with
 * their times.
 *
 * A row runs a task on virtual time; what it and its children tell by trace() has to equal .trace:
 * "word@ms word@ms". A row either describes its program (.plan, .levels) or brings a function of
 * its own (.run). The names are those that the page refers to.
 */

#include "check.h"

/* A task that sleeps and then returns ret. Where it is cancelled it may take time to clean up, in a
 * shield. */
struct job {
    const char *name; /* traced when it is over; "name-cancelled" where it was cut short */
    int ms;
    int ret;
    int cleanup_ms;
    int cleanup_ret; /* 0: the cancellation is passed on */
};

#define MAX_JOBS   6
#define MAX_LEVELS 6

/* One task, one scope with children, and somebody who cancels the task and waits for it. */
struct plan {
    unsigned flags;
    int after;         /* deadline of the scope, in ms; 0: none */
    int outer_after;   /* the same of a scope around it; 0: no such scope */
    bool outer_checks; /* it asks whether it is cancelled, behind the scope inside */
    struct job jobs[MAX_JOBS];
    int ms, ms_more;      /* what the body sleeps, in two parts */
    int ret;              /* of the body */
    int tail_ms;          /* what the task sleeps behind the scope */
    int cancel_at;        /* 0: nobody cancels */
    int more_at, more_of; /* a third party cancels too, so many times */
};

/* Scopes inside scopes, each sleeping before and after the next one; at the last level the sleep is
 * cancelled. */
struct level {
    bool used;
    unsigned flags;
    int child_ms; /* 0: no child */
};

struct row {
    const char *name;
    const struct plan *plan;
    struct level levels[MAX_LEVELS];
    bool by_tasks; /* each level is a task in the scope of the one above */
    int cancel_at; /* of the levels */
    ait_task_fn run;
    const char *trace;
};

void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "ECANCELED" for -ECANCELED, figures for the rest. */
const char *outcome(int r);

/* The body of a struct job. */
int job_main(void *userdata);
/* Spawns it into the scope under its own name. */
void job_spawn(ait_scope *scope, ait_task **ret_task, const struct job *job);

int conformance_run(const char *group, const struct row *rows, size_t n);
