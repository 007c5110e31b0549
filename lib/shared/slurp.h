/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whole files, and their beginnings, with a zero byte behind what was read. */

#include <stddef.h>
#include <sys/types.h>

/*
 * All that is left of an open file, in new memory. -EFBIG: that is more than max bytes. Where fd is non-blocking and a pipe, each piece is waited for,
 * but not for long: -ETIMEDOUT.
 */
int slurp(int fd, size_t max, char **ret, size_t *ret_n);
/* The same of a file that is opened for it; flags are those of open(2). */
int slurp_path(const char *path, int flags, size_t max, char **ret, size_t *ret_n);

/* One read of at most size - 1 bytes: enough for the small files of /proc and /sys. Returns how many there were. */
ssize_t read_text(const char *path, char *buffer, size_t size);
