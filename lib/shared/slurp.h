/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads whole files, or their beginnings, and adds a zero byte. */

#include <stddef.h>
#include <sys/types.h>

/*
 * Reads the rest of an open file into new memory. -EFBIG: it has more than max bytes. If fd is a
 * non-blocking pipe, its writer is waited for, but only for a short time in all: -ETIMEDOUT.
 */
int slurp(int fd, size_t max, char **ret, size_t *ret_n);
/* Opens a file and does the same; flags are those of open(2). */
int slurp_path(const char *path, int flags, size_t max, char **ret, size_t *ret_n);

/*
 * One read of at most size - 1 bytes: enough for the small files of /proc and /sys. Returns the
 * number of bytes.
 */
ssize_t read_text(const char *path, char *buffer, size_t size);
