/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Signals: a task receives them, and a table says what they do. */

#include <aiotools-sd/aiotools-sd.h>

struct signal_action {
    int signo;
    void (*act)(void *userdata); /* deep; must not wait */
};

struct signals {
    const struct signal_action *actions; /* the last one's act is NULL */
    void *userdata;
    int sender; /* of the one that is acted upon */
};

/*
 * Call it before anything is made that a signal's default action would leave behind. Signals stay
 * pending until the task receives them, also if it fails and is started again.
 */
void signals_block(const struct signals *s);
/* The task. userdata: struct signals. */
int signals_receive(void *userdata);
