/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The worker's process between clone and exec. Internal to spawn.
 *
 * It runs in the parent's memory on a stack of its own while the parent waits (CLONE_VM; with CLONE_VFORK, but where the
 * parent has to take the sandbox's listener meanwhile, or the child changes its user): raw system calls only (raw.h), nothing allocated, nothing locked; it writes to the plan and to the report alone. The first
 * step that fails ends it, and the report says which. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "process/message.h"
#include "spawn.h"

enum spawn_step {
    SPAWN_STEP_NONE,
    SPAWN_STEP_SESSION,
    SPAWN_STEP_SIGNALS,
    SPAWN_STEP_GUARDIAN,
    SPAWN_STEP_FDS,
    SPAWN_STEP_RLIMIT,
    SPAWN_STEP_NICE,
    SPAWN_STEP_GROUPS,
    SPAWN_STEP_GID,
    SPAWN_STEP_UID,
    SPAWN_STEP_DIRECTORY,
    SPAWN_STEP_DEATH_SIGNAL,
    SPAWN_STEP_PARENT,
    SPAWN_STEP_SANDBOX,
    SPAWN_STEP_EXEC,
};

struct spawn_report {
    enum spawn_step step; /* SPAWN_STEP_NONE: it execs */
    int error;
    const char *sandbox_step;
};

struct spawn_fd {
    int source;
    int copy; /* the child's */
    int target;
    int flags; /* O_CLOEXEC: only until the exec */
};

struct spawn_plan {
    const struct spawn_params *params;
    struct spawn_fd *fds; /* targets ascend */
    size_t n_fds;
    uint64_t changed_signals; /* bit per signal that is not at its default */
    bool change_account;
    int socket; /* target of the one over which the sandbox's listener goes, and whose end tells of the exec; -1: none */
    pid_t parent;
    struct guardian_registration *registration; /* NULL: no guardian */
    struct spawn_report *report;                /* shared memory, in case memory is not */
};

/* For clone(): never returns. */
int spawn_child(void *plan);
