/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A child whose calls come to an explainer, for its tests: a filter that asks for the calls of a
 * list and allows the rest, without the compiler and without the sandbox around it.
 *
 * A `struct notified` owns the child, its pidfd and the explainer; notified_done() kills and reaps
 * what still runs.
 */

#include <stdatomic.h>

#include "explain/explainer.h"

#define NOTIFIED_CALLS_MAX 16
#define EVENTS_MAX         4096

/* What both processes see. */
struct shared {
    _Atomic uint64_t called; /* CLOCK_MONOTONIC, ns, before the call */
    _Atomic int go;
    _Atomic int result;
    _Atomic unsigned done;
};

struct notified {
    ait_explainer *explainer;
    pid_t pid;
    int pidfd;
    struct shared *shared;
    size_t n_events;
    uint64_t told; /* when the last event was told, ns */
    ait_sandbox_event events[EVENTS_MAX];
};

struct notified_options {
    const int *numbers; /* up to NOTIFIED_CALLS_MAX, ended by -1 */
    ait_policy *policy;
    ait_policy *base;
    bool learning;
    bool killable; /* SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV */
    bool quiet;    /* no events */
    bool crowded;  /* no descriptor is left to take the listener; the soft limit stays */
    /* Runs in the child. */
    int (*run)(struct shared *shared);
};

uint64_t now_ns(void);
/* -EINVAL: this kernel knows no WAIT_KILLABLE_RECV. Everything else fails the test. */
int notified_start(struct notified *n, const struct notified_options *options);
/* Answers until the child has ended; returns its exit status, or 128 and its signal. */
int notified_serve(struct notified *n);
/* Answers what waits, without waiting for more. */
void notified_answer(struct notified *n);
void notified_done(struct notified *n);
uint64_t notified_count(const struct notified *n, int number);
