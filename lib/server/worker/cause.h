/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Why a worker may have ended unasked, where its exit status alone does not tell: it has gone into
 * the background, or the OOM killer has ended it. The log says so, with the remedy.
 */

#include "worker.h"

/*
 * When its main process has ended by itself, before anything is done about what it has left behind.
 * Needs a deep stack.
 */
int cause_background(void *userdata);
/* When it has been reaped. The same. Sets w->end_cause. */
int cause_kill(void *userdata);
