/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From a preset to a finished seccomp program in a file. Uses libseccomp, whose memory is not given back in
 * full: call it in a process that ends soon.
 *
 * The program begins with six instructions of our own (architecture, newest known number; the x32 bit lies above
 * every number), libseccomp's follow. Jumps are relative, so the two parts are simply written one after the other. */

#include <sys/types.h>

#include "sandbox.h"

/* Writes the program to fd. *ret_step names what failed. */
int filter_write(enum sandbox_preset preset, int fd, const char **ret_step);

/* The program for designed ENOSYS: what is newer than we know, and what the policy answers with ENOSYS whatever the
 * arguments. Without libseccomp. Returns its length, or -E2BIG. */
ssize_t filter_quiet(struct sock_filter *ret, size_t size);
