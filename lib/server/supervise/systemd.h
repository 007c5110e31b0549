/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_SYSTEMD_H
#define SERVER_SYSTEMD_H

/*
 * What the service manager above us is told, where there is one: the sum of what the workers say. Nothing here waits, but for a second where
 * the manager's queue is full.
 */

#include <stdbool.h>
#include <stdint.h>

#define SYSTEMD_TEXT_MAX 128

struct systemd {
    bool told_ready;               /* READY=1, for the first time */
    bool stopping;                 /* nothing more to tell */
    bool deaf;                     /* there was no room for what must not be lost */
    char status[SYSTEMD_TEXT_MAX]; /* as it was said last */
};

/* ready: READY=1 goes with it. note: "" or what stands behind the numbers. */
void systemd_status(struct systemd *s, bool ready, unsigned n_ready, unsigned n_slots, const char *note);
void systemd_reloading(struct systemd *s);
void systemd_reloaded(struct systemd *s);
/* The stop may take all of stop_timeout, and the manager's own patience is often less. */
void systemd_stopping(struct systemd *s, uint64_t stop_timeout);

#endif
