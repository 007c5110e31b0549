/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct worker *fakes[FAKES_MAX];
unsigned n_fakes, n_fakes_alive;
int fake_error;

int worker_new(struct worker **ret, const struct worker_params *params)
{
    if (fake_error < 0) {
        int r = fake_error;

        fake_error = 0;
        return r;
    }
    if (n_fakes == FAKES_MAX)
        return -ENOSPC;
    struct worker *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->refs = 1;
    w->all = params->all;
    w->revision = revision_ref(params->revision);
    w->slot = params->slot;
    w->seat = params->seat;
    w->changed = params->changed;
    w->started = ait_now(NULL);
    w->pid = 1000 + (pid_t)n_fakes;
    w->child = (ait_child *)w; /* it was started; nothing looks into it */
    fakes[n_fakes++] = w;
    n_fakes_alive++;
    *ret = w;
    return 0;
}

struct worker *worker_ref(struct worker *w)
{
    if (w)
        w->refs++;
    return w;
}

struct worker *worker_unref(struct worker *w)
{
    if (!w || --w->refs > 0)
        return NULL;
    for (unsigned i = 0; i < n_fakes; i++)
        if (fakes[i] == w)
            fakes[i] = NULL;
    n_fakes_alive--;
    revision_unref(w->revision);
    free(w);
    return NULL;
}

static void set_state(struct worker *w, enum worker_state state)
{
    w->state = state;
    (void)ait_event_set(w->changed);
}

void worker_stop(struct worker *w)
{
    if (w->state == WORKER_EXITED || w->asked_to_stop)
        return;
    w->asked_to_stop = true;
    w->asked = ait_now(NULL);
    set_state(w, WORKER_DRAINING);
}

void worker_expire(struct worker *w)
{
    (void)w;
}

int worker_exit_status(const struct worker *w)
{
    return w->child ? w->info.si_status : w->spawn_status;
}

void worker_describe_end(const struct worker *w, char *buf, size_t n)
{
    if (w->child)
        (void)snprintf(buf, n, "exited with status %d", w->info.si_status);
    else
        (void)snprintf(buf, n, "could not be started");
}

void fake_ready(struct worker *w)
{
    w->became_ready = ait_now(NULL);
    set_state(w, WORKER_READY);
}

void fake_exit(struct worker *w, int status)
{
    w->info.si_code = CLD_EXITED;
    w->info.si_status = status;
    set_state(w, WORKER_EXITED);
}

void fake_cannot_start(struct worker *w, int status)
{
    w->child = NULL;
    w->spawn_status = status;
    set_state(w, WORKER_EXITED);
}

void fake_dies(struct worker *w)
{
    set_state(w, WORKER_DRAINING);
}

void fake_timeout(struct worker *w)
{
    w->start_timed_out = true;
    fake_exit(w, 0);
}
