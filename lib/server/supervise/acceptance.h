/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * acceptance: whether anybody accepts the connections that wait in a queue, as far as its length
 * tells.
 *
 * Any decrease proves it. One that is not seen may be hidden by new connections, so the looks get
 * closer before anybody is accused: from 8 seconds on every 20 ms, and after two seconds of that
 * every 200 ms. If many connections come meanwhile, or the queue is full and may be filled again at
 * once, even that proves nothing, and the caller looks for other evidence, or is patient for a
 * minute.
 *
 * Pure; no clock, no sockets. Zeroed: nothing waits.
 */

#include <aiotools-sd/aiotools-sd.h>

struct acceptance {
    size_t waiting;   /* at the last look */
    uint64_t since;   /* no decrease was seen since then; if something waits */
    unsigned n_close; /* looks from the first suspicion on */
    size_t came;      /* new connections that were seen meanwhile */
    uint64_t cpu;     /* the caller's: time that the worker had used then */
    bool busy;        /* the caller's: it has used more since */
    bool stuck;       /* the caller's: it is accused */
};

enum acceptance_finding {
    ACCEPTANCE_UNKNOWN,
    ACCEPTANCE_SEEN,      /* somebody accepts, or nothing waits */
    ACCEPTANCE_SUSPICION, /* the first close look */
    ACCEPTANCE_HIDDEN,    /* none seen, but many new ones come */
    ACCEPTANCE_NONE,
};

enum acceptance_finding acceptance_look(struct acceptance *a, size_t waiting, bool full,
                                        uint64_t now);
/* How long until the next look. */
uint64_t acceptance_pause(const struct acceptance *a);
