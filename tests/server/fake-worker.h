/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A worker without a process, in the place of worker/worker.c: it changes its state when a test
 * says so, and remembers what it was asked.
 */

#include "worker/worker.h"

#define FAKES_MAX 4096

/* In the order in which they were made. */
extern struct worker *fakes[FAKES_MAX];
extern unsigned n_fakes;
/* The next worker_new() fails with this error, once. */
extern int fake_error;
/* Those that are not freed yet. */
extern unsigned n_fakes_alive;

void fake_ready(struct worker *w);
void fake_exit(struct worker *w, int status);
/* It could not be started, with the exit status that calls for. */
void fake_cannot_start(struct worker *w, int status);
/* Its process has ended; the rest of it is being killed. */
void fake_dies(struct worker *w);
void fake_timeout(struct worker *w);
