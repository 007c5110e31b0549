/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * listener-path: the part of the listener that handles socket files.
 *
 * Checking a file, removing it as stale and binding to its name are three calls. They are made
 * under a lock on the directory (flock, which leaves nothing behind), so that of two servers that
 * start at the same time one sees the other. If the lock is not free within a tenth of a second, we
 * continue without it: another process may hold it for ever.
 *
 * A path that was removed cannot be bound again to the socket that workers listen on. So each
 * socket file has a second name, a hard link in the same directory: for "/run/x.sock" it is
 * "/run/.x.sock.spare". From it the path is made again, with the owner and mode that it had. Where
 * the file system has no hard links there is none.
 */

#include "socket.h"

/* Binds and listens. */
int listener_path_bind(int fd, const struct address *a, struct listener_file *ret_file);
void listener_path_unlink(const struct address *a, struct listener_file *file);

/* See listener_restore(). */
int listener_path_restore(const struct address *a, const struct listener_file *file);

/* The last component of the spare's name. */
#define LISTENER_SPARE_MAX 128
void listener_path_spare(const char *path, char ret[static LISTENER_SPARE_MAX]);
