/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A client that finds no place is turned away instead of waiting. */
#include <errno.h>
#include <stdio.h>

#include <aiotools-sd/aiotools-sd.h>

int serve_or_refuse(ait_semaphore *places, int (*serve)(void));

int serve_or_refuse(ait_semaphore *places, int (*serve)(void))
{
    AIT_CLEANUP(ait_semaphore_releasep) ait_semaphore *held = NULL;
    int r;

    r = ait_semaphore_try_acquire(places);
    if (r == -EAGAIN)
        return -EBUSY;
    if (r < 0)
        return r;
    held = places;
    printf("%d places are left\n", ait_semaphore_value(places));
    return serve();
}
