/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Structs that can grow. The first member of each is its size, set by whoever made it, so that a program and the library may come from different versions:
 * members are only ever added, and at the end.
 *
 * Never in padding: a member that is added begins where the struct ended before. An older caller's padding is not zero, and a newer one's must not look like
 * a member that is not known. Hence no such struct has padding at its end.
 */

#include <stddef.h>
#include <string.h>

/* No struct is ever that large: a larger size was never set. */
#define OPTIONS_MAX 4096

/* Whether the struct behind p, of any version, has the member. */
#define OPTIONS_HAVE(p, member) ((p)->size >= offsetof(__typeof__(*(p)), member) + sizeof((p)->member))

int options_copy_other(void *to, size_t now, const void *from);

/*
 * Copies a caller's options, of any version, to ours, of which now is the size; NULL: all zero. What a smaller one lacks is zero. -EINVAL: not even its size is
 * in it, or no struct has that size; -E2BIG: a larger one has members that we do not know, and they are not zero.
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

/* Whether it can be filled, as options_fill() does it: 0, or -EINVAL. */
int options_check(const void *to);

/*
 * Fills what a caller has given room for, of any version, from ours, of which now is the size: as many bytes as the caller's size says, and that stays. What of it we do not
 * know becomes zero.
 */
int options_fill(void *to, const void *from, size_t now);
