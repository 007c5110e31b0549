/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The sandbox of the workers, made from the options (config/sandbox-options.h) before any worker is
 * started: reads the policy, opens the paths, compiles and verifies.
 */

#include <stdint.h>

#include <aiotools-sd/sandbox.h>

#include "config/sandbox-options.h"

/* The sandbox that the workers of a revision enter. Zero-initialised, it is empty. */
struct worker_sandbox {
    ait_sandbox *sandbox; /* NULL: none */
    ait_policy *policy;   /* as it was read; kept if the sandbox may have to be made again */
    char **read_only, **read_write; /* the paths that were given, without symbolic links */
    uint64_t identity; /* of the files that workers are confined to; 0: files are not confined */
};

/*
 * Reads the policy, finds the paths, and makes the sandbox. After a failure there is nothing to
 * free.
 */
int worker_sandbox_open(struct worker_sandbox *ret, const struct sandbox_options *o,
                        const char *program, struct problem *ret_problem);
/*
 * Call this before each start. Makes the sandbox again, from the same policy and paths, if a path
 * that files are confined to refers to another file, such as the program after an upgrade: Landlock
 * knows files, not names. On failure nothing changes.
 */
int worker_sandbox_update(struct worker_sandbox *s, const struct sandbox_options *o,
                          const char *program, struct problem *ret_problem);
void worker_sandbox_close(struct worker_sandbox *s);

/*
 * What a program needs in any case: itself, the interpreters in its first line (found in path, for
 * env), the directories of libraries, the files that libc reads, and the harmless devices. Returns
 * NULL-terminated lists, to be freed with strv_free(). Files that do not exist are left out.
 */
int sandbox_needs(const char *program, const char *path, char ***ret_read_only,
                  char ***ret_read_write);
