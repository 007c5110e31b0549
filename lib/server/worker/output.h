/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Transports what a worker writes and sends: lines to the log, notifications to its readiness. */

#include "worker.h"

int output_start(struct worker *w, ait_scope *scope);
/* Waits for the end of its output, as long as output can still arrive. */
void output_finish(struct worker *w);
