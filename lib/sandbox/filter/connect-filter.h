/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What would go around Landlock's limit of TCP ports, closed by a small filter of its own that does not depend on any policy: connecting by sending
 * (MSG_FASTOPEN), protocols that are TCP on the wire and not for Landlock (MPTCP, SMC), io_uring, and system calls of other architectures.
 * Programs fall back to plain TCP.
 */

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

#define CONNECT_FILTER_MAX 48 /* instructions */

/* lenient: other architectures are let through, as where nothing is denied. Returns how many instructions there are. */
size_t connect_filter_make(struct sock_filter ret[CONNECT_FILTER_MAX], bool lenient);
