/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Notifications to our own service manager, if there is one: the combined state of the workers.
 * They go through the guardian, which is the process that the manager knows. Nothing here waits,
 * except for up to a second if the manager does not read.
 */

#include <stdbool.h>
#include <stdint.h>

#include "process/guardian.h"

#define SYSTEMD_TEXT_MAX 128

struct systemd {
    struct guardian *guardian;     /* NULL: nobody is told */
    bool reported_ready;           /* READY=1 was sent for the first time */
    bool stopping;                 /* nothing more is sent */
    bool deaf;                     /* a message that must not be lost did not fit the queue */
    char status[SYSTEMD_TEXT_MAX]; /* as it was last sent */
};

/* ready: also sends READY=1. note: text after the numbers, or "". */
void systemd_status(struct systemd *s, bool ready, unsigned n_ready, unsigned n_slots,
                    const char *note);
void systemd_reloading(struct systemd *s);
void systemd_reloaded(struct systemd *s);
/* Stopping may take all of stop_timeout, which is often more than the manager's own timeout. */
void systemd_stopping(struct systemd *s, uint64_t stop_timeout);
