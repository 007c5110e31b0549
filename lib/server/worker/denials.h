/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Denied system calls of a worker: answered and logged (--deny=explain).
 *
 * A task per worker waits on the listener of its filter. Each denied call is answered, and then
 * logged as one event with slot, process, thread, call, arguments, command and answer. When the
 * worker ends, one line gives the totals.
 *
 * Invariants:
 * - The listener belongs to this process alone, is CLOEXEC, and ends with the worker.
 * - A loop of denials does not flood the log. For each call a slot may log DENIALS_BURST lines, and
 *   one more each second; identical denials are logged at most once a second. Suppressed ones are
 *   counted. The limits belong to the slot, so a restarted worker does not get new ones.
 * - Answering never suspends, and never waits for the log or another worker.
 *
 * Ownership: the worker owns its explainer, the slot its limits.
 */

#include <aiotools-sd/sandbox.h>

#include "worker.h"

#define DENIALS_BURST 32u

struct denial_limits *denial_limits_free(struct denial_limits *limits);

/* The callback for the worker's explainer; userdata is the worker. */
void denials_event(ait_explainer *explainer, const ait_sandbox_event *event, void *userdata);
/* Does nothing if the worker has no explainer. */
int denials_start(struct worker *w, ait_scope *scope);
/* Call it after the last process has ended: logs the totals, and closes the listener. */
void denials_finish(struct worker *w);
