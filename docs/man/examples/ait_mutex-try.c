/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Work that is skipped if another task is already doing it. */
#include <errno.h>

#include <aiotools-sd/aiotools-sd.h>

int refresh(ait_mutex *busy, int (*work)(void));

int refresh(ait_mutex *busy, int (*work)(void))
{
    AIT_CLEANUP(ait_mutex_unlockp) ait_mutex *locked = NULL;
    int r;

    if (ait_mutex_is_locked(busy) > 0)
        return 0;
    r = ait_mutex_try_lock(busy);
    if (r < 0)
        return r == -EBUSY ? 0 : r;
    locked = busy;
    return work();
}
