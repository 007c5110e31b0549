/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <systemd/sd-event.h>

static int on_defer(sd_event_source *source, void *userdata)
{
    return ait_future_resolve(userdata, 42);
}

static int wait_for_callback(void *userdata)
{
    AIT_CLEANUP(ait_future_unrefp) ait_future *future = NULL;
    sd_event *event;
    int r, result = 0;

    r = ait_future_new(&future);
    if (r < 0)
        return r;
    r = ait_loop_get_event(ait_loop_current(), &event);
    if (r < 0)
        return r;
    r = sd_event_add_defer(event, NULL, on_defer, future);
    if (r < 0)
        return r;
    r = ait_await(future, &result);
    return r < 0 ? r : result;
}

int main(void)
{
    return ait_run(wait_for_callback, NULL, 0) != 42;
}
