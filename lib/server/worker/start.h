/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Starts a worker's process from its revision. */

#include "worker.h"

/*
 * Starts the process and logs that. On failure logs the reason, and sets w->spawn_status to the
 * exit status for it. -EPIPE: nothing was done or logged, since the guardian is dead. Needs a deep
 * stack.
 */
int worker_begin(struct worker *w);
/*
 * A worker may shut down its listener when it stops, which also shuts it down for its successor.
 * This repairs it.
 */
void worker_repair_listeners(struct worker *w);
