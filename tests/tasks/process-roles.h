/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The programs that tests of processes start: the test itself, with a role as its argument. */

#include <aiotools-sd/aiotools-sd.h>
#include <stdbool.h>

extern char self[4096];

#define ROLE(...) AIT_ARGV(self, __VA_ARGS__)

/* False if main() has nothing more to do than to return `ret_status`: a role was played, or nothing
 * can be tested here. */
bool roles_begin(int argc, char **argv, int *ret_status);

/* ait_run_process() with a text for its input. */
int run_role(ait_process_result *ret, char *const argv[], const char *input,
             const ait_spawn_options *options);

/* Starts a role and waits until it says that it is there. */
ait_child *start_role(const char *role, unsigned flags);
