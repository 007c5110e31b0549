/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_REVISION_H
#define SERVER_REVISION_H

/*
 * A revision: what a worker runs, and how, with everything that has a name looked up.
 *
 * The server makes one when it starts and one a reload, from the same configuration: program, working directory, symbolic links, environment
 * files, user database and policy are read anew. A slot that has committed a worker of a revision keeps it, and starts each further
 * worker from it until a later one is committed: a worker that crashes comes back as it was, whatever the names lead to by then. To roll
 * back is to drop a reference.
 *
 * Invariants: immutable but for its sandbox, which is made again of the same policy where a file that it is confined to has been replaced.
 * The configuration outlives all revisions.
 *
 * What this is not: it has no number of workers, no sockets and no rule about failures. Those are the server's.
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
    struct account *account; /* whom to become; NULL: nobody else */
    struct account storage;
    struct worker_sandbox sandbox;
};

/* Looks everything up and proves it: the program can be executed by the account, the policy compiles and verifies. Blocks on files and name services; deep. */
int revision_new(struct revision **ret, const struct server_config *config, uint64_t generation,
                 struct problem *ret_problem);
struct revision *revision_ref(struct revision *r);
struct revision *revision_unref(struct revision *r); /* returns NULL, takes NULL */

/* The path to execute now: as it was found, while that leads to the same file; where a link on the way has been switched, the path of the file itself.
 * *ret_replaced: another file is in its place, and the one that this revision was made with is gone. */
const char *revision_program(const struct revision *r, bool *ret_replaced);
/* Makes the sandbox anew where it has to be. */
int revision_refresh(struct revision *r, struct problem *ret_problem);

/* Who the workers are. */
uid_t revision_uid(const struct revision *r);
gid_t revision_gid(const struct revision *r);

#endif
