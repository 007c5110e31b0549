/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Files that the server needs as long as it runs, and that others remove: cleaners of /tmp, a
 * logout, a worker that tidies up. They are made good at once, with one warning: the runtime
 * directory with its locks, the notification sockets of the workers that run, and the paths of
 * --listen.
 *
 * inotify says when. Where it is refused or used up, a look every few seconds replaces it. What
 * cannot be made good now (a parent directory is gone) is reported once, and tried again later and
 * at each start of a worker.
 *
 * What this is not: a guard against those who may write to these directories. What is in the place
 * of a file is left alone, unless it is a directory or a socket of ours.
 */

#include "rundir.h"
#include "worker/flood.h"
#include "worker/workers.h"

struct upkeep {
    struct rundir *rundir;
    struct workers *workers;
    int inotify;              /* -1: none */
    int newest;               /* of the watches */
    uint64_t pause;           /* until the next try; 0: all is well */
    struct problem told;      /* what was reported */
    struct flood_words words; /* who removes files all the time does not fill the log */
};

void upkeep_init(struct upkeep *u);
/* The task. userdata: struct upkeep. */
int upkeep_watch(void *userdata);
void upkeep_done(struct upkeep *u);

/* Before a worker starts. userdata: struct upkeep. Needs a deep stack. */
void upkeep_look(void *userdata);
