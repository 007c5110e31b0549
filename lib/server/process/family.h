/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The processes of one worker: those in its control group where it has one, and those that descend
 * from it (process-tree.h). Callers do not see which it is.
 *
 * The group is the exact answer, so the descendants are looked at only when the group is empty:
 * they are then those that have left the group, which root and the server's own user can.
 *
 * Invariants: as in process-tree.h; nothing here blocks.
 *
 * Ownership: a family owns its group, which family_done() removes. The groups of the server are
 * borrowed.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "cgroup.h"
#include "process-tree.h"

struct family {
    struct guardian_tree tree;
    struct cgroup group;          /* without a descriptor: there is none */
    const struct cgroups *groups; /* that it belongs to; NULL: none */
};

#define FAMILY_INIT                                                                                \
    {                                                                                              \
        .group = CGROUP_NONE                                                                       \
    }

/*
 * Makes the group of a worker that is about to be started. Where groups are NULL or closed it has
 * none, which is no failure.
 */
int family_init(struct family *ret, struct cgroups *groups, unsigned slot);
/*
 * The process was started: whether it is in its group. If not, the family goes on without: 0, or 1
 * if it has none.
 */
bool family_settle(struct family *family);
/* -EBUSY: processes are left. */
int family_done(struct family *family);

static inline bool family_has_group(const struct family *family)
{
    return family->group.fd >= 0;
}

/* As guardian_tree_kill() etc. */
ssize_t family_kill(const struct family *family, guardian_known_fn is_known, void *userdata);
ssize_t family_signal(const struct family *family, guardian_known_fn is_known, void *userdata,
                      int signo);
ssize_t family_look(const struct family *family, guardian_known_fn is_known, void *userdata,
                    struct process_names *names);
int family_has(const struct family *family, pid_t pid, guardian_known_fn is_known, void *userdata);
