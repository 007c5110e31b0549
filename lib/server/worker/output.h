/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Transports what a worker writes and sends: lines to the log, notifications to its readiness. */

#include "worker.h"

int output_start(struct worker *w, ait_scope *scope);
/* Waits for the end of its output, as long as output can still arrive. */
void output_finish(struct worker *w);

/*
 * Listens to another socket in place of w->notify, whose path was removed, and to the first one as
 * well: senders may be connected to it. Takes over the descriptor of `fresh` if it succeeds.
 */
int output_renew_notify(struct worker *w, struct notify_socket *fresh);
