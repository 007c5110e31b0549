/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Starts a worker's process from its revision. */

#include "worker.h"

/*
 * Starts the process. On failure, here and below, logs the reason, and sets w->spawn_status to the
 * exit status for it. Needs a deep stack.
 */
int worker_begin(struct worker *w);
/*
 * Waits until the process has executed its program, and logs that. Until then there is w->spawn. If
 * the program cannot be executed, the process is left to be killed.
 */
int worker_await_exec(struct worker *w);
/* Gives up a wait that is not over. */
void worker_abandon_exec(struct worker *w);
/* What the kernel may be waiting for, with a remedy. */
#define WORKER_HOLD_MAX 320
const char *worker_describe_hold(const struct worker *w, char buffer[static WORKER_HOLD_MAX]);
