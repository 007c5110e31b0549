/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a process in a sandbox answers: a child enters, does one thing, and ends with its errno. */

#include <aiotools-sd/sandbox.h>

/* Made, or the test fails with what the problem says. */
ait_sandbox *inside_sandbox(const ait_sandbox_options *options);
/* fn's result, an errno or 0; a signal is 1000 + its number. Fails where it cannot enter. sandbox
 * may be NULL. */
int inside(ait_sandbox *sandbox, int (*fn)(const void *arg), const void *arg);
/* Skips the case where the kernel's Landlock is older than this ABI, or absent. */
void inside_needs_landlock(int abi);
/* From "policy 1" on. */
ait_policy *inside_policy(const char *text);
