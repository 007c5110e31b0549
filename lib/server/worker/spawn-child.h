/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a worker's process does between clone and exec (clone-exec.h). Internal to spawn. */

#include "clone-exec.h"
#include "spawn.h"

enum spawn_step {
    SPAWN_STEP_SESSION,
    SPAWN_STEP_OOM,
    SPAWN_STEP_SIGNALS,
    SPAWN_STEP_PREPARE_SANDBOX,
    SPAWN_STEP_FDS,
    SPAWN_STEP_RLIMIT,
    SPAWN_STEP_NICE,
    SPAWN_STEP_GROUPS,
    SPAWN_STEP_GID,
    SPAWN_STEP_UID,
    SPAWN_STEP_DIRECTORY,
    SPAWN_STEP_DEATH_SIGNAL,
    SPAWN_STEP_PARENT,
    SPAWN_STEP_ENVIRONMENT,
    SPAWN_STEP_UNBLOCK,
    SPAWN_STEP_SANDBOX,
    SPAWN_STEP_EXEC,
    SPAWN_N_STEPS,
};

struct spawn_plan {
    struct exec_plan exec; /* first */
    const struct spawn_params *params;
    int null_fd; /* opened again in the sandbox */
    int socket;  /* target of the one over which the sandbox's listener goes, and whose end tells of
                    the exec; always there */
};

extern const exec_step spawn_steps[SPAWN_N_STEPS];
