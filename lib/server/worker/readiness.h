/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_READINESS_H
#define SERVER_READINESS_H

/*
 * When a worker can serve: by its notifications, or by what --ready says.
 */

#include "worker.h"

/* It can serve. Too late is too late: where its time is over, nothing happens. */
void worker_is_ready(struct worker *w);
/* The task that waits for a pipe or for time, where --ready calls for one. */
int readiness_start(struct worker *w, ait_scope *scope);
/* Reads the notifications that have come. */
int readiness_receive(struct worker *w);

#endif
