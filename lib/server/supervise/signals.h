/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_SIGNALS_H
#define SERVER_SIGNALS_H

/*
 * Signals, taken by a task and carried out by a table.
 */

#include <aiotools-sd/aiotools-sd.h>

struct signal_action {
    int signo;
    void (*act)(void *userdata); /* deep; must not wait */
};

struct signals {
    const struct signal_action *actions; /* the last one's act is NULL */
    void *userdata;
};

/* Before anything is made that a signal's default action would leave behind. They wait for signals_start(). */
void signals_block(const struct signals *s);
/* Returns when somebody listens. s must outlive the scope. */
int signals_start(struct signals *s, ait_scope *scope);

#endif
