/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The handle of a child process, for the modules that make one (process-spawn.c, process-fork.c).
 *
 * child_new() comes first and child_init() last, so that nothing can fail once there is a process.
 * The handle owns pidfd and our ends of the pipes; the process belongs to nobody (process.h).
 */

#include <signal.h>

#include <aiotools-sd/process.h>

#include "macros.h"

struct ait_child {
    uint32_t refs;
    pid_t pid;
    int pidfd;
    int stdio[3]; /* our ends; -1: none */
    pid_t parent; /* whose child it is */
    bool reaped;
    bool group; /* it leads its own process group, which ends with it */
    int stop_signal;
    uint64_t stop_usec;
    siginfo_t info; /* once reaped */
};

struct ait_child *child_new(int stop_signal, uint64_t stop_usec);
/* Takes pidfd over. */
void child_init(struct ait_child *c, pid_t pid, int pidfd, bool group);
/*
 * Terminates the process, whether the caller is cancelled or not. Call it in a task. Returns 1 if
 * the process had to be killed.
 */
int child_stop(struct ait_child *c);
/* Kills a process that no other code knows of yet, and waits for it, which is short. */
void child_discard(pid_t pid);
