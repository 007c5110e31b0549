/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A file system whose files hang: `flush` when it is closed, `program` when it is read. What waits
 * for it goes on when it ends. It is the least of a FUSE server, in a process of its own.
 *
 * Needs root and /dev/fuse.
 */

#include <sys/types.h>

struct stuck_fs {
    pid_t pid; /* of the server; its end frees all that wait */
};

/* directory: to mount it on. Negative errno: it cannot be had here. */
int stuck_fs_start(struct stuck_fs *ret, const char *directory);
void stuck_fs_end(struct stuck_fs *fs, const char *directory);
