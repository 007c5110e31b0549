/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * capabilities: names and sets of capabilities, as libcap knows them.
 *
 * A set has one bit per capability (1 << CAP_...). Capabilities that the kernel has and libcap does
 * not know are identified by their number.
 */

#include <stdint.h>

#define CAPABILITY_NAME_SIZE 40

/*
 * "all" (every bit), "none", "service" (AIT_SANDBOX_SERVICE_CAPABILITIES), or names with or without
 * "CAP_", in either case, separated by commas or spaces. A parser as in parse.h.
 */
int parse_capabilities(const char *text, uint64_t *ret, const char **ret_why);

/* Those that are permitted to this process. */
uint64_t capabilities_held(void);

/* "chown" for 0 and so on, in text, which is returned. */
const char *capability_name(unsigned number, char text[CAPABILITY_NAME_SIZE]);
/* The number of capabilities of this kernel: 1 to 64. */
unsigned capability_count(void);
