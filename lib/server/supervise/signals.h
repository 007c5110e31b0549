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
};

/*
 * Call it before anything is made that a signal's default action would leave behind. Signals stay
 * pending until signals_start().
 */
void signals_block(const struct signals *s);
/* Returns when the task is listening. s must outlive the scope. */
int signals_start(struct signals *s, ait_scope *scope);
