/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <errno.h>
#include <stdio.h>

static int reload_on_hangup(void *userdata)
{
    AIT_CLEANUP(ait_signals_closep) ait_signals *signals = NULL;
    sigset_t set;
    int r;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    r = ait_signals_open(&signals, &set);
    while (r >= 0) {
        r = ait_signals_next(signals, NULL);
        if (r > 0)
            puts("reloading");
    }
    return r;
}

int main(void)
{
    return ait_run(reload_on_hangup, NULL, 0) != -ECANCELED;
}
