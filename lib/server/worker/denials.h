/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_DENIALS_H
#define SERVER_DENIALS_H

/*
 * What the sandbox denies a worker, answered and told (--deny=explain).
 *
 * A task a worker waits on the listener of its filter. Each denied call is answered, and named in the log by one event with slot, process, thread, call,
 * arguments, command and answer; at the worker's end one line tells how many there were.
 *
 * Invariants:
 *  - The listener is this process's alone, CLOEXEC, and ends with the worker.
 *  - A loop of denials does not flood the log: a slot and call has DENIALS_BURST lines, one more each second, the very same one no more than once a
 *    second; and what was left out is counted. The limits belong to the slot, so that a worker that dies and comes back has no new ones.
 *  - Answering suspends nothing and waits for nobody: no log, and no other worker.
 *
 * Ownership: the worker owns its explainer, the slot its limits.
 */

#include <aiotools-sd/sandbox.h>

#include "worker.h"

#define DENIALS_BURST 32u

struct denial_limits *denial_limits_free(struct denial_limits *limits);

/* The callback for the worker's explainer; userdata is the worker. */
void denials_event(ait_explainer *explainer, const ait_sandbox_event *event, void *userdata);
/* Nothing to do where the worker has no explainer. */
int denials_start(struct worker *w, ait_scope *scope);
/* After its last process has ended: tells the totals, and gives the listener back. */
void denials_finish(struct worker *w);

#endif
