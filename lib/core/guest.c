/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <systemd/sd-event.h>

#include "current.h"
#include "drive.h"
#include "guest.h"
#include "now.h"
#include "scheduler.h"
#include "scope.h"

#define ROUNDS 16 /* productive polls in one dispatch */

static int on_idle(sd_event_source *source, void *userdata);

/* Tells the host when to call again. */
static void guest_rest(struct ait_loop *loop)
{
    uint64_t until = loop_idle_until(loop);

    if (until == 0 || loop->finishing) {
        loop_kick(loop);
        return;
    }
    loop->kick = true;
    if (clock_jumps(&loop->clock)) {
        if (until != UINT64_MAX)
            (void)sd_event_source_set_enabled(loop->event_idle, SD_EVENT_ONESHOT);
        return;
    }
    if (loop->clock.virtual || until == UINT64_MAX) {
        if (loop->armed != UINT64_MAX)
            (void)sd_event_source_set_enabled(loop->event_time, SD_EVENT_OFF);
        loop->armed = UINT64_MAX;
        return;
    }
    if (loop->armed == until)
        return;
    (void)sd_event_source_set_time(loop->event_time, until);
    (void)sd_event_source_set_enabled(loop->event_time, SD_EVENT_ONESHOT);
    loop->armed = until;
}

static void guest_dispatch(struct ait_loop *loop)
{
    uint64_t end = clock_now_real() + BATCH_USEC;

    /* A callback may drop the last reference when no task is live any more. */
    loop->refs++;
    loop->dispatching = true;
    loop->kick = false;
    /*
     * Polls first: after the last round, only the kernel has more events, and the level of our
     * epoll reports them to the host.
     */
    for (unsigned i = 0; i < ROUNDS; i++) {
        int n = loop_poll(loop, 0);

        loop_run_batch(loop);
        loop_fire_timers(loop);
        if (n == 0 && loop_idle_until(loop) != 0)
            break;
        if ((i % 4 == 3 || loop->late) && clock_now_real() >= end)
            break;
    }
    loop->dispatching = false;
    guest_rest(loop);
    ait_loop_unref(loop);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct ait_loop *loop = userdata;

    /* A task that runs the host's loop must not come back to the scheduler below itself. */
    if (!loop->dispatching)
        guest_dispatch(loop);
    return 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct ait_loop *loop = userdata;

    loop->armed = UINT64_MAX;
    if (!loop->dispatching)
        guest_dispatch(loop);
    return 0;
}

/* Nothing else is pending: the virtual clock may jump. */
static int on_idle(sd_event_source *source, void *userdata)
{
    struct ait_loop *loop = userdata;
    uint64_t until = loop_idle_until(loop);

    if (loop->dispatching)
        return 0;
    if (until != 0 && until != UINT64_MAX && clock_jumps(&loop->clock))
        clock_jump(&loop->clock, until);
    guest_dispatch(loop);
    return 0;
}

static int on_exit_event(sd_event_source *source, void *userdata)
{
    struct ait_loop *loop = userdata;

    loop->refs++;
    loop->finishing = true;
    loop->kick = false;
    /*
     * Other ready sources of the sd_event will not be dispatched any more: they would keep us awake
     * for nothing, and keep a virtual clock from jumping.
     */
    loop_unwatch(loop, WATCH_EVENT);
    if (loop->finish)
        loop->finish();
    scope_cancel(&loop->root);
    loop_drain(loop);
    ait_loop_unref(loop);
    return 0;
}

int event_add_exit(struct ait_loop *loop)
{
    int r;

    r = sd_event_add_exit(loop->event, &loop->event_exit, on_exit_event, loop);
    if (r < 0)
        return r;
    /*
     * Before all others: sd-bus closes its connections in exit sources, and tasks that end may
     * have something to say on them.
     */
    return sd_event_source_set_priority(loop->event_exit, INT64_MIN);
}

void guest_done(struct ait_loop *loop)
{
    loop->event_io = sd_event_source_disable_unref(loop->event_io);
    loop->event_time = sd_event_source_disable_unref(loop->event_time);
    loop->event_exit = sd_event_source_disable_unref(loop->event_exit);
    loop->event_idle = sd_event_source_disable_unref(loop->event_idle);
}

static int add_sources(struct ait_loop *loop)
{
    int r;

    r = sd_event_add_io(loop->event, &loop->event_io, loop->epoll_fd, EPOLLIN, on_io, loop);
    if (r < 0)
        return r;
    /* The default accuracy is a quarter of a second. */
    r = sd_event_add_time(loop->event, &loop->event_time, CLOCK_MONOTONIC, 0, 1, on_time, loop);
    if (r < 0)
        return r;
    r = sd_event_source_set_enabled(loop->event_time, SD_EVENT_OFF);
    if (r < 0)
        return r;
    r = sd_event_add_defer(loop->event, &loop->event_idle, on_idle, loop);
    if (r < 0)
        return r;
    r = sd_event_source_set_priority(loop->event_idle, SD_EVENT_PRIORITY_IDLE);
    if (r < 0)
        return r;
    r = sd_event_source_set_enabled(loop->event_idle, SD_EVENT_OFF);
    if (r < 0)
        return r;
    return event_add_exit(loop);
}

AIT_PUBLIC int ait_loop_attach(ait_loop **ret, struct sd_event *event)
{
    struct ait_loop *loop;
    int r;

    if (!event || !ret)
        return -EINVAL;
    r = ait_loop_new(&loop);
    if (r < 0)
        return r;
    loop->guest = true;
    loop->kick = true;
    loop->armed = UINT64_MAX;
    loop->event = sd_event_ref(event);
    r = add_sources(loop);
    if (r < 0) {
        ait_loop_unref(loop);
        return r;
    }
    *ret = loop;
    return 0;
}
