/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_WORKER_SANDBOX_H
#define SERVER_WORKER_SANDBOX_H

/*
 * The sandbox of the workers, made from the options (config/sandbox-options.h) before any worker is started: reads the policy, opens the
 * paths, compiles and verifies.
 */

#include <stdint.h>

#include <aiotools-sd/sandbox.h>

#include "config/sandbox-options.h"

/* What the workers of a revision enter. Zero-initialised it is empty. */
struct worker_sandbox {
    ait_sandbox *sandbox;           /* NULL: none */
    ait_policy *policy;             /* as it was read; kept where a sandbox may have to be made again */
    char **read_only, **read_write; /* the paths that were given, without symbolic links */
    uint64_t identity;              /* of the files that are confined to; 0: they are not */
};

/* Reads the policy, finds the paths, and makes the sandbox. On failure nothing is left to be freed. */
int worker_sandbox_open(struct worker_sandbox *ret, const struct sandbox_options *o, const char *program,
                        struct problem *ret_problem);
/* To be called before each start: makes the sandbox anew, of the same policy and paths, where a path that files are
 * confined to has become another file, such as the program after an installation: Landlock knows files, not names. On
 * failure all is as it was. */
int worker_sandbox_update(struct worker_sandbox *s, const struct sandbox_options *o, const char *program,
                          struct problem *ret_problem);
void worker_sandbox_close(struct worker_sandbox *s);

/*
 * What a program cannot do without: itself, the interpreters that its first line names (along path, for env), the folders of libraries, what libc reads, and
 * the harmless devices. NULL-terminated lists in one allocation each, to be freed with strv_free(); those that do not exist are left out.
 */
int sandbox_needs(const char *program, const char *path, char ***ret_read_only, char ***ret_read_write);

#endif
