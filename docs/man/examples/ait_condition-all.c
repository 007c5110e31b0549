/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All waiting tasks check again. */
#include <aiotools-sd/aiotools-sd.h>

int shut_down(ait_mutex *mutex, ait_condition *changed, int *closing);

int shut_down(ait_mutex *mutex, ait_condition *changed, int *closing)
{
    int r;

    r = ait_mutex_lock(mutex);
    if (r < 0)
        return r;
    *closing = 1;
    (void)ait_condition_notify_all(changed);
    return ait_mutex_unlock(mutex);
}
