/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One call of gather, race or a completion, run as a task.
 *
 * A call ends when its task ends, not when its function returns: by then the tasks that it spawned
 * have ended as well. The task's destroy function reports the end; it runs whether the task was
 * begun or not.
 */

#include <aiotools-sd/gather.h>

#include "state.h"

struct call {
    ait_call what;
    size_t index;
    int result;                       /* -ECANCELED until its function has returned */
    ait_destroy_fn destroy;           /* once it has begun, when its options may be gone */
    void (*ended)(struct call *call); /* called on the task's stack; must not suspend */
};

/* Whether it can be begun: 0, or -EINVAL, -E2BIG. */
int call_check(const ait_call *what);
int call_check_all(const ait_call *calls, size_t n);

void call_init(struct call *call, const ait_call *what, size_t index,
               void (*ended)(struct call *call));
/* Begins it in scope. On failure ended() is not called. */
int call_begin(struct call *call, struct ait_scope *scope, const void *site);
/* Releases the userdata. */
void call_destroy(const ait_call *what);

/* Gives a result to options->discard. */
void call_discard(struct ait_loop *loop, const ait_gather_options *options,
                  const struct call *call);
