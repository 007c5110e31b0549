/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a parent does while its child goes on without CLONE_VFORK (clone-exec.h): it takes the listener of the child's sandbox, if that has one, and waits for
 * the exec. A child that somebody has stopped meanwhile is resumed, and after some seconds given up.
 */

#include <aiotools-sd/sandbox.h>

#include "clone-exec.h"

struct hand_over {
    ait_sandbox *
        sandbox; /* one that explains or learns, borrowed; NULL: there is no listener, and we wait for the exec alone */
    ait_sandbox_event_cb cb; /* of the explainer */
    void *userdata;
    int socket[2]; /* ours and the child's, which is close-on-exec: it is over when the child execs or ends */
    ait_explainer *explainer; /* the result; it belongs to us until it is taken */
    int error;                /* negative errno where there is none */
};

#define HAND_OVER_INIT                                                                                       \
    {                                                                                                        \
        .socket = { -1, -1 }                                                                                 \
    }

int hand_over_open(struct hand_over *h);
/* For exec_plan.meanwhile. That the child has ended without it is no failure of ours. */
int hand_over_take(struct hand_over *h, const struct exec_plan *plan, pid_t pid);
void hand_over_done(struct hand_over *h);
