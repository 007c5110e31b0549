/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_WORKERS_H
#define SERVER_WORKERS_H

/*
 * What the workers of a server have in common: the log, the sockets, the guardian, and what is true of all of them at once.
 *
 * The server fills it in before it starts the first slot, and owns what it points to. It outlives all workers.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <aiotools-sd/aiotools-sd.h>

#include "config/problem.h"
#include "log/log.h"
#include "process/guardian.h"
#include "sockets/set.h"

struct worker;

struct workers {
    const char *name; /* of the server */
    struct log *log;
    struct listen_set *listen;
    struct guardian *guardian;
    const char *directory; /* the runtime directory */
    unsigned n_slots;      /* AIOTOOLS_SD_WORKERS of the next one */

    /* Called when the first process has been started, before anything is said of it; until then a failure is a matter of one line. */
    void (*first_started)(void *userdata);
    void *userdata;

    struct worker *living;  /* those with a process */
    bool any_started;       /* a process of ours has run */
    bool failure_reported;  /* of a start, once */
    bool seen_notify;       /* READY=1 has come from a worker: from now on --ready=auto requires it */
    bool at_once;           /* no grace for anybody any more */
    struct problem problem; /* scratch: no suspension between filling and using it */
    _Alignas(16) char buffer[16384]; /* the same */
};

/* Takes away what is left of everybody's stop timeout, now and from now on. */
void workers_expire_all(struct workers *all);

/* Whether it is one of the processes that somebody of ours looks after: a worker or the guardian. userdata: struct workers. */
bool workers_know_pid(pid_t pid, void *userdata);

/* Another guardian in the place of one that has died. It knows all workers but those that are being started. */
int workers_renew_guardian(struct workers *all);
/* A task that does so whenever it dies. userdata: struct workers. */
int workers_watch_guardian(void *userdata);

/* "1.04s", "350ms"; buf as large as FORMAT_TIME_MAX. Returns buf. */
#define FORMAT_TIME_MAX 32
const char *format_time(uint64_t usec, char *buf);

#endif
