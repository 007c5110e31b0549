/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "systemd.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <aiotools-sd/base.h>

#define PATIENCE      1000 /* ms, for messages that must not be lost */
/* From the end of the last worker to ours: daemons that are left, and the readers of the log. */
#define AFTER_WORKERS (45 * AIT_USEC_PER_SEC)

/* ---- sending --------------------------------------------------------------------------------- */

/*
 * The guardian sends it on. If too much waits, the first message that must not be lost waits for up
 * to a second, and later ones do not wait until one was accepted. False: there was no room.
 */
static bool say(struct systemd *s, bool important, const char *text)
{
    const char *manager = getenv("NOTIFY_SOCKET");

    if (!s->guardian || !manager || !*manager)
        return true;
    int r = guardian_notify(s->guardian, text, NULL, 0);
    if (r == -EAGAIN && important && !s->deaf) {
        (void)poll(&(struct pollfd){.fd = s->guardian->fd, .events = POLLOUT}, 1, PATIENCE);
        r = guardian_notify(s->guardian, text, NULL, 0);
        s->deaf = r == -EAGAIN;
    }
    if (r != -EAGAIN)
        s->deaf = false;
    return r != -EAGAIN;
}

__attribute__((format(printf, 3, 4))) static bool sayf(struct systemd *s, bool important,
                                                       const char *format, ...)
{
    char text[SYSTEMD_TEXT_MAX];
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    return say(s, important, text);
}

/* ---- what there is to say -------------------------------------------------------------------- */

void systemd_status(struct systemd *s, bool ready, unsigned n_ready, unsigned n_slots,
                    const char *note)
{
    char text[SYSTEMD_TEXT_MAX];

    if (s->stopping)
        return;
    s->reported_ready |= ready;
    (void)snprintf(text, sizeof(text), "%sSTATUS=%u of %u workers ready%s",
                   ready ? "READY=1\n" : "", n_ready, n_slots, note);
    /* Most changes change nothing here. */
    if (strcmp(text, s->status) != 0 && say(s, ready, text))
        (void)strcpy(s->status, text);
}

void systemd_reloading(struct systemd *s)
{
    struct timespec ts;

    /*
     * Before the manager knows that we are ready, READY=1 at the end of the reload would be taken
     * for that.
     */
    if (!s->reported_ready || s->stopping)
        return;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    (void)sayf(s, true, "RELOADING=1\nMONOTONIC_USEC=%llu",
               (unsigned long long)ts.tv_sec * 1000000 + (unsigned long long)ts.tv_nsec / 1000);
}

void systemd_reloaded(struct systemd *s)
{
    if (s->reported_ready && !s->stopping)
        (void)say(s, true, "READY=1");
}

void systemd_stopping(struct systemd *s, uint64_t stop_timeout)
{
    s->stopping = true;
    if (stop_timeout >= AIT_USEC_INFINITY - AFTER_WORKERS)
        (void)say(s, true, "STOPPING=1");
    else
        (void)sayf(s, true, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu",
                   (unsigned long long)(stop_timeout + AFTER_WORKERS));
}
