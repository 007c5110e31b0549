/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * listener-path: the part of the listener that handles socket files.
 *
 * Checking a file, removing it as stale and binding to its name are three calls. They are made
 * under a lock on the directory (flock, which leaves nothing behind), so that of two servers that
 * start at the same time one sees the other. If the lock is not free within a tenth of a second, we
 * continue without it: another process may hold it for ever.
 */

#include "socket.h"

/* Binds and listens. */
int listener_path_bind(int fd, const struct address *a, struct listener_file *ret_file);
void listener_path_unlink(const struct address *a, struct listener_file *file);
