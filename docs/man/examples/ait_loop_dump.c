/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>

int dump_on_signal(void *userdata);

int dump_on_signal(void *userdata)
{
    AIT_CLEANUP(ait_signals_closep) ait_signals *signals = NULL;
    sigset_t set;
    int r;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    r = ait_signals_open(&signals, &set);
    while (r >= 0 && (r = ait_signals_next(signals, NULL)) >= 0)
        r = ait_loop_dump(ait_loop_current(), NULL, AIT_DUMP_STACKS);
    return r;
}
