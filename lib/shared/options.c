/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdbool.h>

#include "options.h"

static bool all_zero(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

/* The size of a struct is a multiple of its alignment: none ends inside a pointer. */
static bool no_size(size_t size)
{
    return size == 0 || size % sizeof(size);
}

int options_copy_other(void *to, size_t now, const void *from)
{
    size_t size = *(const size_t *)from;

    if (no_size(size))
        return -EINVAL;
    if (size > now &&
        (size > OPTIONS_MAX || !all_zero((const unsigned char *)from + now, size - now)))
        return -E2BIG;
    memset(to, 0, now);
    memcpy(to, from, size < now ? size : now);
    memcpy(to, &now, sizeof(now));
    return 0;
}

int options_check(const void *to)
{
    size_t size = *(const size_t *)to;

    return no_size(size) || size > OPTIONS_MAX ? -EINVAL : 0;
}

int options_fill(void *to, const void *from, size_t now)
{
    size_t size = *(const size_t *)to;

    if (options_check(to) < 0)
        return -EINVAL;
    if (size > now)
        memset((char *)to + now, 0, size - now);
    memcpy((char *)to + sizeof(size), (const char *)from + sizeof(size),
           (size < now ? size : now) - sizeof(size));
    return 0;
}
