/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_OUTPUT_H
#define SERVER_OUTPUT_H

/*
 * What a worker writes and says, carried to where it belongs: lines to the log, notifications to its readiness.
 */

#include "worker.h"

int output_start(struct worker *w, ait_scope *scope);
/* Waits for the end of its output, for as long as that can still come. */
void output_finish(struct worker *w);

#endif
