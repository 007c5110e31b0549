/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_START_H
#define SERVER_START_H

/*
 * The start of a worker's process, from its revision.
 */

#include "worker.h"

/* Starts it and says so; where it cannot, says why, and leaves the exit status that calls for in w->spawn_status. Deep. */
int worker_begin(struct worker *w);
/* A worker may shut its listener down when it stops; then it is shut down for its successor, too. */
void worker_repair_listeners(struct worker *w);

#endif
