/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service.h"

#include <errno.h>
#include <string.h>

static void give_up(const struct service *s, int r)
{
    log_event(s->services->log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0,
              "cannot %s: %s; that has failed %u times in a row, so the server stops", s->what,
              strerror(-r), SERVICE_TRIES);
    s->services->give_up(s->services->userdata);
}

static int serve(void *userdata)
{
    const struct service *s = userdata;
    uint64_t begun, pause = SERVICE_PAUSE;
    unsigned n_failed = 0;
    int r;

    for (;;) {
        begun = ait_now(NULL);
        r = s->run(s->userdata);
        if (r >= 0 || r == -ECANCELED || ait_check_cancel() < 0)
            return r;
        if (ait_now(NULL) - begun >= SERVICE_STABLE) {
            n_failed = 0;
            pause = SERVICE_PAUSE;
        }
        if (++n_failed == SERVICE_TRIES) {
            give_up(s, r);
            return r;
        }
        log_event(s->services->log, LOG_LEVEL_ERROR, LOG_NO_SLOT, 0,
                  "cannot %s: %s; it is tried again", s->what, strerror(-r));
        if (ait_sleep(pause) == -ECANCELED)
            return -ECANCELED;
        pause *= 2;
    }
}

int service_start(struct service *service, struct services *services)
{
    service->services = services;
    return ait_scope_spawn(services->scope, NULL, serve, service,
                           AIT_TASK_OPTIONS(.name = service->what));
}
