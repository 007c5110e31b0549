/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ait.h"

#include <aiotools-sd/process.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/spawn.h"

/*
 * Start and reap as the supervisor does it: the server layer's spawn with all that belongs to it
 * (session, descriptors, signals, parent-death signal), then a wait on the pidfd by a task.
 */

static int start_and_reap(const struct spawn_params *params)
{
    ait_child *child = NULL;
    siginfo_t info;
    pid_t pid;
    int pidfd, r;

    r = spawn_worker(params, &pid, &pidfd, NULL, NULL);
    if (r < 0)
        return r;
    r = ait_child_adopt(&child, pid, pidfd);
    if (r < 0) {
        close(pidfd);
        return r;
    }
    r = ait_child_wait(child, &info);
    ait_child_unref(child);
    return r < 0 ? r : info.si_code == CLD_EXITED && info.si_status == 0 ? 0 : -ECHILD;
}

int ait_process(struct bench *b)
{
    char *argv[] = {"true", NULL};
    const struct spawn_environment_params environment = {
        .base = environ, .name = "bench", .workers = 1};
    struct spawn_params params = SPAWN_PARAMS_INIT;
    int r;

    params.path = "/bin/true";
    params.argv = argv;
    r = bench_grow(b->n);
    if (r >= 0)
        r = spawn_environment_new(&environment, &params.environment);
    for (unsigned s = 0; r >= 0 && s < b->samples; s++) {
        bench_begin(b);
        for (uint64_t i = 0; r >= 0 && i < b->repeats; i++)
            r = start_and_reap(&params);
        bench_end(b, b->repeats);
    }
    spawn_environment_free(params.environment);
    return r;
}
