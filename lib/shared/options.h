/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Structs that can grow. The first member of each is its size, set by the code that made it, so
 * that a program and the library may come from different versions. Members are only ever added, at
 * the end.
 *
 * They are never added in padding: a new member begins where the struct ended before. An older
 * caller's padding is not zero, and a newer one's must not look like an unknown member. Hence no
 * such struct has padding at its end.
 */

#include <stddef.h>
#include <string.h>

/* No struct is ever that large: a larger size is uninitialised memory. */
#define OPTIONS_MAX 4096

/* Whether the struct at p, of any version, has the member. */
#define OPTIONS_HAVE(p, member)                                                                    \
    ((p)->size >= offsetof(__typeof__(*(p)), member) + sizeof((p)->member))

int options_copy_other(void *to, size_t now, const void *from);

/*
 * Copies a caller's options, of any version, to ours, whose size is now. NULL: all zero. Members
 * that a smaller struct lacks become zero. -EINVAL: the size does not even cover itself, or no
 * struct has that size. -E2BIG: a larger struct has unknown members that are not zero.
 */
static inline int options_copy(void *to, size_t now, const void *from)
{
    if (!from) {
        memset(to, 0, now);
        memcpy(to, &now, sizeof(now));
        return 0;
    }
    if (__builtin_expect(*(const size_t *)from == now, 1)) {
        memcpy(to, from, now);
        return 0;
    }
    return options_copy_other(to, now, from);
}

/* Whether options_fill() can fill it: 0, or -EINVAL. */
int options_check(const void *to);

/*
 * Fills a caller's struct, of any version, from ours, whose size is now. Writes as many bytes as
 * the caller's size says, and keeps that size. Members that we do not know become zero.
 */
int options_fill(void *to, const void *from, size_t now);
