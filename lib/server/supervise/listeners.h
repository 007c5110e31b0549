/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A task that looks after the listening sockets while the server runs: one that a worker has shut
 * down listens again at once, and the log says who did it. A worker that is stopping may do so to
 * its own.
 *
 * The task sleeps while nothing happens to a listener; traffic does not wake it. What cannot be
 * waited for is looked for by the task of queues.h, which wakes anyway.
 */

#include "worker/workers.h"

/* userdata: struct workers. Ends with its scope. */
int listeners_watch(void *userdata);

/*
 * What nothing reports, for a look every few seconds: sockets that have been connected, programs of
 * groups, and options of shared sockets. Those of a worker's own socket are its business until the
 * next one gets it. On a large stack.
 */
void listeners_look(struct workers *all);

/* After a worker has ended: what it leaves on sockets that others have. */
void listeners_worker_ended(struct workers *all, unsigned slot);
