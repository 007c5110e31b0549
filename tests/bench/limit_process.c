/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "limit.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Start and reap from a parent of n MiB: vfork, which shares the memory, and fork, which copies its
 * page tables.
 */

_Noreturn static void become_true(void)
{
    execl("/bin/true", "true", (char *)NULL);
    _exit(127);
}

static pid_t start_by_vfork(void)
{
    pid_t pid = vfork();

    if (pid == 0)
        become_true();
    return pid;
}

static pid_t start_by_fork(void)
{
    pid_t pid = fork();

    if (pid == 0)
        become_true();
    return pid;
}

static int start_and_reap(struct bench *b, pid_t (*start)(void))
{
    int status, r = bench_grow(b->n);

    for (unsigned s = 0; r >= 0 && s < b->samples; s++) {
        bench_begin(b);
        for (uint64_t i = 0; r >= 0 && i < b->repeats; i++) {
            pid_t pid = start();

            if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
                r = -ECHILD;
        }
        bench_end(b, b->repeats);
    }
    return r;
}

int limit_vfork(struct bench *b)
{
    return start_and_reap(b, start_by_vfork);
}

int limit_fork(struct bench *b)
{
    return start_and_reap(b, start_by_fork);
}
