/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Tasks that serve as long as the server runs: signals, the guardian, orphans, listeners, files,
 * queues.
 *
 * None of them ends without a word. One that ends with an error is logged and started again, after
 * a pause that doubles. One that cannot live, SERVICE_TRIES times in a row, ends the server in
 * order. One that returns 0 had nothing to do, and -ECANCELED is the end of the server.
 */

#include <aiotools-sd/aiotools-sd.h>

#include "log/log.h"

#define SERVICE_PAUSE  (100 * AIT_USEC_PER_MSEC)
#define SERVICE_TRIES  8u
#define SERVICE_STABLE (60 * AIT_USEC_PER_SEC) /* who has lived so long begins anew */

struct services {
    struct log *log;
    ait_scope *scope;
    void (*give_up)(void *userdata); /* ends the server */
    void *userdata;
};

struct service {
    const char *what; /* it does: "receive signals" */
    ait_task_fn run;
    void *userdata;
    struct services *services;
};

/* The service must not move. */
int service_start(struct service *service, struct services *services);
