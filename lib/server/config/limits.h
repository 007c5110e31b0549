/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * limits: what to do when a resource has run out. Whatever was being done, the remedy is the same,
 * and it is the limit's value that an operator needs.
 */

#include <stddef.h>

#define LIMITS_REMEDY_MAX 128

/*
 * A clause such as "the limit of open files is 12; raise it (ulimit -n, LimitNOFILE=)", if the
 * (positive) error comes from a limit of this process. NULL: it does not.
 */
const char *limits_remedy(int error, char buffer[static LIMITS_REMEDY_MAX]);
