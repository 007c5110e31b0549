/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Ends all children of the calling process, and with them all its descendants: what has lost its
 * parent comes to us, if we are a subreaper.
 *
 * Invariants:
 * - Signals are sent by pid, and only to own children that were not reaped, whose pids cannot be
 *   reused. So only one thread may do this, and nobody else may wait for these children.
 * - Nobody can outrun this for long. A process that has got SIGKILL cannot fork any more. Chains of
 *   processes that fork and exit are caught by looking again at once.
 * - That nothing is left is proved by the kernel (ECHILD), not by a look into /proc.
 *
 * What this is not: a search for processes that are not our descendants.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef bool (*children_spare_fn)(pid_t pid, void *userdata);

/*
 * Calls fn for each child. Uses no memory of the heap if the kernel lists children
 * (CONFIG_PROC_CHILDREN). Negative: /proc cannot be read.
 */
int children_each(void (*fn)(pid_t pid, void *userdata), void *userdata);

/*
 * Kills and reaps children, again and again, for at most `usec`. Returns 0 if none is left except
 * those that spare() claims, 1 if some are, and a negative errno if they cannot be listed. spare
 * may be NULL. *ret_reaped, which may be NULL, is how many have ended: 0 means that nothing moves.
 */
int children_end(children_spare_fn spare, void *userdata, uint64_t usec, uint64_t *ret_reaped);

/* Microseconds of the monotonic clock. */
uint64_t children_now(void);
