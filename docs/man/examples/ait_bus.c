/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>

static int on_add(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    int32_t a, b;
    int r;

    r = sd_bus_message_read(m, "ii", &a, &b);
    if (r < 0)
        return r;
    if (a < 0 || b < 0)
        return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "I add what is there");
    r = ait_sleep(AIT_USEC_PER_SEC); /* only this task waits */
    return r < 0 ? r : sd_bus_reply_method_return(m, "i", a + b);
}

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Add", "ii", "i", on_add, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

static int service(void *userdata)
{
    AIT_CLEANUP(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    int r;

    r = sd_bus_open_user(&bus);
    if (r >= 0)
        r = ait_bus_attach(bus);
    if (r >= 0)
        r = ait_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                "org.freedesktop.DBus", "RequestName", NULL, NULL, "su",
                                "org.example.Adder", (uint32_t)0);
    if (r < 0)
        return r;
    return ait_bus_serve(bus, "/adder", "org.example.Adder", vtable, NULL,
                         AIT_BUS_SERVE_OPTIONS(.flags = AIT_BUS_SERVE_DRAIN, .limit = 100));
}

int main(void)
{
    return ait_run(service, NULL, 0) < 0; /* until SIGTERM */
}
