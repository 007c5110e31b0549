/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * This thread's loop, all loops of the process, and what fork() makes of them.
 */

#include "state.h"

extern __thread struct ait_loop *this_loop
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* All loops of the process, for debuggers, which know this name (packaging/gdb). */
extern struct ait_loop *ait_debug_loops __attribute__((visibility("hidden")));

/*
 * The error for a call that needs a loop, if this thread has none: -ECHILD if fork() has taken it
 * away, else -EPERM.
 */
int loop_foreign(void);
/* The error for an object of another thread's loop. That loop may be freed, so it is not read. */
int loop_foreign_object(void);
/* How often this process and its ancestors were forked, as far as they knew of loops. */
extern unsigned loop_fork_generation __attribute__((visibility("hidden")));

static always_inline bool loop_is_this(const struct ait_loop *loop)
{
    return likely(loop == this_loop);
}

/*
 * Called in a child that a task or a callback has forked, when it returns to us. What is left of
 * the loop there is the parent's, and none of its tasks may run twice. Ends the process as after
 * main().
 */
__attribute__((noreturn)) void loop_end_child(int r);

static always_inline void loop_check_child(const struct ait_loop *loop)
{
    if (unlikely(this_loop != loop))
        loop_end_child(0);
}

#define LOOP_CHECK(loop)                                                                           \
    do {                                                                                           \
        if (!loop_is_this(loop))                                                                   \
            return loop_foreign_object();                                                          \
    } while (0)

/* Makes loop this thread's. */
void loop_enlist(struct ait_loop *loop);
/* Makes loop no thread's. */
void loop_delist(struct ait_loop *loop);
