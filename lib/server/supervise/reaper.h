/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A task that reaps orphans: what workers start, and what then loses its parent, becomes a child of
 * the supervisor.
 *
 * A worker can make as many of them as it likes, so the cost is bounded: SIGCHLD is read at most
 * every REAPER_PAUSE, and signals that come meanwhile are one. After a look that took long, the
 * next one comes REAPER_SHARE times as much later.
 */

#include <aiotools-sd/aiotools-sd.h>

#include "worker/workers.h"

#define REAPER_PAUSE      (10 * AIT_USEC_PER_MSEC)
#define REAPER_SHARE      20
#define REAPER_SHARE_BUSY 4

/* SIGCHLD stays pending until the task runs. */
void reaper_block(void);
/* The task. userdata: struct workers. */
int reaper_watch(void *userdata);
