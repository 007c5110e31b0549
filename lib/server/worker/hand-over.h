/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a parent does while its child continues without CLONE_VFORK (clone-exec.h): it takes the
 * listener of the child's sandbox, if there is one, and waits for the exec. If the child is stopped
 * meanwhile, it is resumed; after some seconds the start is given up.
 */

#include <aiotools-sd/sandbox.h>

#include "clone-exec.h"

struct hand_over {
    ait_sandbox *sandbox; /* explains or learns, borrowed; NULL: there is no listener, and only the
                             exec is awaited */
    ait_sandbox_event_cb cb; /* of the explainer */
    void *userdata;
    int socket[2]; /* our end and the child's, which is close-on-exec: it closes when the child
                      execs or ends */
    ait_explainer *explainer; /* the result; owned here until it is taken */
    int error;                /* negative errno if there is none */
};

#define HAND_OVER_INIT                                                                             \
    {                                                                                              \
        .socket = { -1, -1 }                                                                       \
    }

int hand_over_open(struct hand_over *h);
/* For exec_plan.meanwhile. It is not an error if the child ends before it has sent the listener. */
int hand_over_take(struct hand_over *h, const struct exec_plan *plan, pid_t pid);
void hand_over_done(struct hand_over *h);
