/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A revision: what a worker runs, and how, with all names looked up.
 *
 * The server makes one at its start and one per reload, from the same configuration: program,
 * working directory, symbolic links, environment files, user database and policy are read again. A
 * slot that has committed a worker of a revision keeps the revision, and starts further workers
 * from it until a later one is committed. So a worker that crashes is restarted unchanged, whatever
 * the names refer to by then. To roll back is to drop a reference.
 *
 * Invariants: immutable, except for its sandbox, which is made again from the same policy if a file
 * that it is confined to was replaced. The configuration outlives all revisions.
 *
 * What this is not: it holds no number of workers, no sockets and no rules about failures. Those
 * belong to the server.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/config.h"
#include "sandbox.h"

struct revision {
    unsigned refs;
    const struct server_config *config; /* arguments, readiness, timeouts */
    uint64_t generation;
    char *program;      /* an absolute path, as it was found */
    char *real_program; /* the same without symbolic links */
    dev_t device;       /* of the file */
    ino_t inode;
    char *directory;         /* without symbolic links; NULL: ours */
    char **env;              /* NULL-terminated; the files' variables, then --env's */
    struct account *account; /* the user to become; NULL: the user does not change */
    struct account storage;
    struct worker_sandbox sandbox;
};

/*
 * Looks everything up and proves it: the account can execute the program, and the policy compiles
 * and verifies. Blocks on files and name services, and needs a deep stack.
 */
int revision_new(struct revision **ret, const struct server_config *config, uint64_t generation,
                 struct problem *ret_problem);
struct revision *revision_ref(struct revision *r);
struct revision *revision_unref(struct revision *r); /* returns NULL, takes NULL */

/*
 * The path to execute now: the path as it was found, as long as it leads to the same file; if a
 * link on the way was switched, the real path of the file. *ret_replaced: the file itself was
 * replaced, and the one that this revision was made with is gone.
 */
const char *revision_program(const struct revision *r, bool *ret_replaced);
/* Makes the sandbox again if necessary. */
int revision_refresh(struct revision *r, struct problem *ret_problem);

/* The user and group of the workers. */
uid_t revision_uid(const struct revision *r);
gid_t revision_gid(const struct revision *r);
