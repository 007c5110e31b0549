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
