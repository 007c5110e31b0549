/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the service manager above us is told, where there is one: the sum of what the workers say.
 */

#include <time.h>

#include <systemd/sd-daemon.h>

#include "trim.h"
#include "supervise.h"

static unsigned n_ready(const struct server *server)
{
    unsigned n = 0;

    for (unsigned i = 0; i < server->n_slots; i++)
        n += server->slots[i]->current && server->slots[i]->current->state == WORKER_READY;
    return n;
}

static bool all_were_ready(const struct server *server)
{
    for (unsigned i = 0; i < server->n_slots; i++)
        if (!server->slots[i]->was_ready)
            return false;
    return true;
}

void upstream_update(struct server *server)
{
    const char *ready = "";

    if (server->stopping)
        return;
    if (!server->told_ready && all_were_ready(server)) {
        server->told_ready = true;
        ready = "READY=1\n";
        log_event(server->log, LOG_LEVEL_INFO, LOG_NO_SLOT, 0, "all %u workers are ready", server->n_slots);
        settle();
    }
    (void)sd_notifyf(false, "%sSTATUS=%u of %u workers ready%s%s", ready, n_ready(server), server->n_slots,
                     server->reload_state && !server->reloading ? ", the last reload: " : "",
                     server->reloading ? ", reloading" : server->reload_state ?: "");
}

void upstream_reloading(struct server *server)
{
    struct timespec ts;

    /* Until it has been told that we are ready, READY=1 at the end of the reload would mean that. */
    if (!server->told_ready)
        return;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    (void)sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%llu",
                     (unsigned long long)ts.tv_sec * 1000000 + (unsigned long long)ts.tv_nsec / 1000);
}

void upstream_reloaded(struct server *server)
{
    if (server->told_ready)
        (void)sd_notify(false, "READY=1");
    upstream_update(server);
    settle();
}

/* The stop may take all of --stop-timeout, and the manager's own patience is often less. */
void upstream_stopping(struct server *server)
{
    uint64_t usec = server->config->stop_timeout;

    if (usec >= AIT_USEC_INFINITY - 10 * AIT_USEC_PER_SEC)
        (void)sd_notify(false, "STOPPING=1");
    else
        (void)sd_notifyf(false, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu",
                         (unsigned long long)(usec + 10 * AIT_USEC_PER_SEC));
}
