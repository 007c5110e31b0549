/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A small filter of its own, independent of any policy, that closes ways around Landlock's limit of
 * TCP ports: connecting by sending (MSG_FASTOPEN), protocols that are TCP on the wire but not for
 * Landlock (MPTCP, SMC), io_uring, and system calls of other architectures. Programs fall back to
 * plain TCP.
 */

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

#define CONNECT_FILTER_MAX 48 /* instructions */

/*
 * lenient: other architectures are allowed, as if nothing were denied. Returns the number of
 * instructions.
 */
size_t connect_filter_make(struct sock_filter ret[CONNECT_FILTER_MAX], bool lenient);
