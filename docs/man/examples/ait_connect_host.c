/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>

int connect_in_time(int *ret_fd, const char *host);

int connect_in_time(int *ret_fd, const char *host)
{
    AIT_SCOPE(limit);
    int r;

    r = ait_scope_enter_after(&limit, 0, 5 * AIT_USEC_PER_SEC);
    if (r < 0)
        return r;
    r = ait_connect_host(ret_fd, host, "https", NULL);
    return ait_scope_exit(limit, r); /* -ETIME */
}
