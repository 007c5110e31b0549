/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * System calls that do the same by different ways: whoever allows one of them has not closed the others' purpose, and whoever denies one has not ended it.
 *
 * A table and nothing else. Names that this architecture does not have stand in it, too.
 */

#include <stddef.h>

#define FAMILY_MEMBERS_MAX 14

struct family {
    const char *purpose; /* "open a file" */
    const char *members[FAMILY_MEMBERS_MAX];
};

extern const struct family families[];
extern const size_t n_families;
