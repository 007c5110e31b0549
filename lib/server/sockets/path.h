/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_LISTENER_PATH_H
#define SERVER_LISTENER_PATH_H

/*
 * listener-path: the part of listener.h that deals with socket files.
 *
 * Looking at a file, removing it as stale and binding to its name are three calls. They are made under a lock on the
 * folder (flock, nothing is left behind), so that of two servers that start at once one sees the other. A lock that
 * cannot be had in a tenth of a second is done without: somebody else may hold it for ever.
 */

#include "socket.h"

/* Binds and listens. */
int listener_path_bind(int fd, const struct address *a, struct listener_file *ret_file);
void listener_path_unlink(const struct address *a, struct listener_file *file);

#endif
