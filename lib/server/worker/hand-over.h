/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a parent learns of a child that has not exec'ed yet (clone-exec.h): it takes the listener of
 * the child's sandbox, if there is one, and sees the exec.
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
void hand_over_close_far(struct hand_over *h); /* the child's end, in the parent */
/*
 * Does not wait. 1: the child has exec'ed or ended; it is not an error if it ends before it has
 * sent the listener. 0: not yet. Negative: the listener cannot be taken; kill the child.
 */
int hand_over_look(struct hand_over *h);
/*
 * For exec_plan.meanwhile: waits. If the child is stopped, it is resumed; after some seconds the
 * start is given up.
 */
int hand_over_take(struct hand_over *h, const struct exec_plan *plan, pid_t pid);
void hand_over_done(struct hand_over *h);
