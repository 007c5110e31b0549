/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * drain: the time between the moment from which a worker gets no new connections and its stop
 * signal. Many servers drop what they have just accepted when they are told to stop.
 *
 * A worker is drained when the queue of its listeners has been empty for --drain. It is also given
 * up if it accepts nothing for DRAIN_PATIENCE while connections wait, or after DRAIN_LIMIT: d->left
 * says how many wait then. A worker that is still starting is given its time.
 *
 * The caller looks again and again, and asks drain_next() when. Pure; no clock, no sockets.
 */

#include <aiotools-sd/aiotools-sd.h>
#include <sys/types.h>

#define DRAIN_PAUSE    (20 * AIT_USEC_PER_MSEC) /* between two looks */
#define DRAIN_PATIENCE (5 * AIT_USEC_PER_SEC)
#define DRAIN_LIMIT    (60 * AIT_USEC_PER_SEC)

struct drain {
    bool begun;
    uint64_t end;         /* of all patience */
    uint64_t empty_since; /* if nothing is left */
    uint64_t accepted_at; /* when the queue was last seen to get shorter */
    size_t left;          /* connections that wait */
};

/*
 * One look. pending: connections that wait now; accepts: the worker can be expected to accept.
 * True if the worker may be stopped. A zeroed struct begins.
 */
bool drain_look(struct drain *d, size_t pending, bool accepts, uint64_t now, uint64_t moment);
uint64_t drain_next(const struct drain *d, uint64_t now, uint64_t moment);
