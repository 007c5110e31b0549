/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* When a worker is ready: by its notifications, or as --ready says. */

#include "worker.h"

/* The worker can serve. Has no effect if its start timeout is over. */
void worker_is_ready(struct worker *w);
/* Starts the task that waits for a pipe or a delay, if --ready needs one. */
int readiness_start(struct worker *w, ait_scope *scope);
/*
 * Reads a batch of the notifications that have arrived. 1: there may be more; 0: there are none;
 * negative: the socket is broken. *ret_pause is how long, in microseconds, none should be read
 * (flood.h).
 */
int readiness_receive(struct worker *w, uint64_t *ret_pause);
int readiness_receive_former(struct worker *w, uint64_t *ret_pause);
