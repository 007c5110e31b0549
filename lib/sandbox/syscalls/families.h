/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Groups of system calls that serve the same purpose. Allowing one of them does not allow the
 * others, and denying one does not prevent the purpose.
 *
 * It is only a table. It includes names that this architecture does not have.
 */

#include <stddef.h>

#define FAMILY_MEMBERS_MAX 14

struct family {
    const char *purpose; /* "open a file" */
    const char *members[FAMILY_MEMBERS_MAX];
};

extern const struct family families[];
extern const size_t n_families;
