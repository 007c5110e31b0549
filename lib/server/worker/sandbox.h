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
    /*
     * The paths that were given, without symbolic links, and what a program needs: NULL if files
     * are not confined. Nothing in them lies in a place that a worker may write, so that no worker
     * decides what the next one may reach.
     */
    char **read_only, **read_write;
    char **need_read_only, **need_read_write;
    bool root, own_user; /* as in struct sandbox_program */
    uint64_t identity;   /* of the files that workers are confined to; 0: files are not confined */
};

/* The program of which the needs are found out, and how: as its worker would. */
struct sandbox_program {
    const char *file;      /* without symbolic links */
    const char *path;      /* PATH, for env in its first line; may be NULL */
    const char *directory; /* that relative names of interpreters begin at; NULL: this one */
    bool root;             /* it is root, or reaches the files of others with root's capabilities */
    bool own_user;         /* it has the supervisor's user */
};

/*
 * Reads the policy, finds the paths, and makes the sandbox. After a failure there is nothing to
 * free.
 */
int worker_sandbox_open(struct worker_sandbox *ret, const struct sandbox_options *o,
                        const struct sandbox_program *program, struct problem *ret_problem);
/*
 * Call this before each start. Makes the sandbox again, from the same policy and paths, if a path
 * that files are confined to refers to another file, such as the program after an upgrade: Landlock
 * knows files, not names. On failure nothing changes.
 */
int worker_sandbox_update(struct worker_sandbox *s, const struct sandbox_options *o,
                          struct problem *ret_problem);
void worker_sandbox_close(struct worker_sandbox *s);

/*
 * What a program needs in any case: itself and the interpreters in its first line, n_programs of
 * them, then the directories of libraries and the files that libc reads; and the harmless devices.
 * Returns NULL-terminated lists, to be freed with strv_free(). Files that do not exist are left
 * out. -EAGAIN: somebody holds a lease on one of the programs.
 */
int sandbox_needs(const struct sandbox_program *program, char ***ret_read_only,
                  size_t *ret_n_programs, char ***ret_read_write);
