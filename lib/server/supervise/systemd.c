/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "systemd.h"

#include <time.h>

#include <systemd/sd-daemon.h>

#include <aiotools-sd/base.h>

void systemd_status(struct systemd *s, bool ready, unsigned n_ready, unsigned n_slots, const char *note)
{
    if (s->stopping)
        return;
    s->told_ready |= ready;
    (void)sd_notifyf(false, "%sSTATUS=%u of %u workers ready%s", ready ? "READY=1\n" : "", n_ready, n_slots,
                     note);
}

void systemd_reloading(struct systemd *s)
{
    struct timespec ts;

    /* Until it has been told that we are ready, READY=1 at the end of the reload would mean that. */
    if (!s->told_ready || s->stopping)
        return;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    (void)sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%llu",
                     (unsigned long long)ts.tv_sec * 1000000 + (unsigned long long)ts.tv_nsec / 1000);
}

void systemd_reloaded(struct systemd *s)
{
    if (s->told_ready && !s->stopping)
        (void)sd_notify(false, "READY=1");
}

void systemd_stopping(struct systemd *s, uint64_t stop_timeout)
{
    s->stopping = true;
    if (stop_timeout >= AIT_USEC_INFINITY - 10 * AIT_USEC_PER_SEC)
        (void)sd_notify(false, "STOPPING=1");
    else
        (void)sd_notifyf(false, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu",
                         (unsigned long long)(stop_timeout + 10 * AIT_USEC_PER_SEC));
}
