/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the supervisor tells the service manager, sent on in the guardian's name: the manager knows
 * that process as the service's main one, and may believe no other (NotifyAccess=main).
 *
 * Invariants: the order is kept, and one message at a time waits for room in the manager's queue.
 * Nothing here waits. Descriptors go with their message: a BARRIER=1 is answered when the manager
 * has closed what came with it, as if there were no relay.
 */

#include <stdbool.h>

#include "message.h"

struct relay {
    struct guardian_post post;
    int fd; /* connected to the manager while the post waits; else -1 */
};

/* Takes the post over, if it has room: !relay_waits(). */
void relay_put(struct relay *relay, const struct guardian_post *post);
/* For relay.fd, when it can be written to. */
void relay_go_on(struct relay *relay);
static inline bool relay_waits(const struct relay *relay)
{
    return relay->fd >= 0;
}
