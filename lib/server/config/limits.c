/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "limits.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

/* Of those with the same error, the first that is finite counts. */
static const struct {
    int error;
    int limit;
    unsigned unit;
    const char *what, *suffix, *how;
} limits[] = {
    {EMFILE, RLIMIT_NOFILE, 1, "open files", "", "ulimit -n, LimitNOFILE="},
    {ENOMEM, RLIMIT_AS, 1024, "address space", " KiB", "ulimit -v, LimitAS="},
    {ENOMEM, RLIMIT_DATA, 1024, "data", " KiB", "ulimit -d, LimitDATA="},
};

const char *limits_remedy(int error, char buffer[static LIMITS_REMEDY_MAX])
{
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct rlimit limit;

        if (limits[i].error != error ||
            getrlimit((__rlimit_resource_t)limits[i].limit, &limit) < 0 ||
            limit.rlim_cur == RLIM_INFINITY)
            continue;
        (void)snprintf(buffer, LIMITS_REMEDY_MAX, "the limit of %s is %llu%s; raise it (%s)",
                       limits[i].what, (unsigned long long)limit.rlim_cur / limits[i].unit,
                       limits[i].suffix, limits[i].how);
        return buffer;
    }
    return NULL;
}
