/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ait.h"

#include <aiotools-sd/process.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

/*
 * Start and reap, with what a service is given (session, descriptors, signals, parent-death
 * signal), then a wait on the pidfd by a task.
 */

static int start_and_reap(void)
{
    ait_child *child = NULL;
    siginfo_t info;
    int r = ait_spawn(&child, AIT_ARGV("/bin/true"),
                      AIT_SPAWN_OPTIONS(.flags = AIT_SPAWN_SESSION | AIT_SPAWN_STDIN_NULL,
                                        .death_signal = SIGKILL));

    if (r < 0)
        return r;
    r = ait_child_wait(child, &info);
    ait_child_unref(child);
    return r < 0 ? r : info.si_code == CLD_EXITED && info.si_status == 0 ? 0 : -ECHILD;
}

int ait_process(struct bench *b)
{
    int r = bench_grow(b->n);

    for (unsigned s = 0; r >= 0 && s < b->samples; s++) {
        bench_begin(b);
        for (uint64_t i = 0; r >= 0 && i < b->repeats; i++)
            r = start_and_reap();
        bench_end(b, b->repeats);
    }
    return r;
}
