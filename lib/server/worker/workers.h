/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the workers of a server share: the log, the sockets, the guardian, and state that concerns
 * all of them.
 *
 * The server fills it in before it starts the first slot, and owns what it points to. It outlives
 * all workers.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <aiotools-sd/aiotools-sd.h>

#include "config/problem.h"
#include "log/log.h"
#include "process/cgroup.h"
#include "process/guardian.h"
#include "process/oom.h"
#include "process/priority.h"
#include "sockets/set.h"
#include "advice.h"

struct worker;

struct workers {
    const char *name; /* of the server */
    struct log *log;
    struct listen_set *listen;
    struct guardian *guardian;
    struct cgroups *groups;   /* control groups; without a descriptor: none */
    const char *directory;    /* the runtime directory */
    struct priority priority; /* what the supervisor had, and workers get */
    unsigned n_slots;         /* AIOTOOLS_SD_WORKERS of the next one */

    /*
     * Called when the first process was started, before anything is logged about it. Until then a
     * failure is reported in one line.
     */
    void (*first_started)(void *userdata);
    void (*before_start)(void *userdata); /* of each worker; may be NULL */
    void *userdata;

    struct worker *living; /* those that have a process */
    bool any_started;      /* a process of ours has run */
    bool failure_reported; /* of a start, once */
    bool steering_told;    /* that connections cannot be steered */
    /* Of listening sockets by address, a bit each, so that nothing is said twice. */
    struct {
        uint64_t shut_down, options, failed;
    } listeners_told;
    bool seen_notify;         /* a worker has sent READY=1: from now on --ready=auto requires it */
    bool told_ungrouped;      /* that a worker has no control group, once */
    bool told_auto;           /* what --ready=auto waits for without it, once */
    uint64_t background_said; /* 1 + the generation of which the log has said that its workers go
                                 into the background */
    struct oom_counter oom;
    uint64_t oom_explained; /* its count for which workers have been found that were killed */
    bool at_once;           /* no grace for any worker any more */
    struct advice advice;   /* what has been said about ends */
    struct problem problem; /* scratch: no suspension between filling and using it */
    _Alignas(16) char buffer[16384]; /* the same */
};
