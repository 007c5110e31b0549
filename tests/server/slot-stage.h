/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A slot alone, with fake workers, on virtual time. */

#include "fake-worker.h"
#include "supervise/slot.h"

struct stage {
    struct server_config config;
    struct workers workers;
    struct revision revisions[2];
    struct replacement replacement;
    struct slot *slot;
    ait_event *changed;
    ait_clock *clock;
};

void advance(uint64_t usec);
/* The clock moves when nothing else is to be done. */
void settle(void);

/*
 * The slot, in a scope, with its first worker starting. It need not settle; it listens at the
 * address, and has a seat, unless that is NULL; without give_up it has the default.
 */
void stage_open(struct stage *s, ait_scope **scope, const char *address,
                const struct rate *give_up);
/* Nothing is left of it. */
void stage_close(struct stage *s, ait_scope *scope);
