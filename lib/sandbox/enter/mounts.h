/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A mount namespace of a process's own, in which all is read-only but some paths. Landlock does not
 * see how modes, owners, times and attributes of files are changed; a mount that is read-only
 * refuses all of that, also for root.
 *
 * Invariants: found out once, by a child that tries, so that entering is not expected to fail.
 * Paths keep the flags of the mounts below them. Mounts that are made or removed outside later are
 * not seen inside.
 *
 * What this is not: descriptors that are open already keep the mounts that they were opened on. It
 * hides nothing, and devices and sockets work on a read-only mount as before.
 */

#include <stdbool.h>
#include <stddef.h>

#define MOUNTS_MAX 64

struct mounts {
    char **paths; /* what can be written, without symbolic links; ends with NULL */
    bool used;    /* entering makes the namespace */
};

/*
 * used is false where it cannot be had: without privileges, by an outer sandbox, or with too many
 * paths. It is also false if everything may be written. *ret_error: why it cannot, a negative
 * errno; 0: it can, or need not. Only -ENOMEM is returned.
 */
int mounts_prepare(struct mounts *ret, const char *const *read_write, int *ret_error);
void mounts_done(struct mounts *mounts);

/* Raw system calls only. Before Landlock, which refuses to mount. */
int mounts_enter(const struct mounts *mounts);
