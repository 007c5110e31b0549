/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shows how many names there are on the bus, and which ones appear and disappear. */
#include <stdio.h>

#include <aiotools-sd/aiotools-sd.h>

static int print_names(sd_bus *bus)
{
    AIT_CLEANUP(sd_bus_message_unrefp) sd_bus_message *call = NULL;
    AIT_CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const char *name;
    int r;

    r = sd_bus_message_new_method_call(bus, &call, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                       "org.freedesktop.DBus", "ListNames");
    if (r >= 0)
        r = ait_bus_call(bus, call, 0, NULL, &reply);
    if (r >= 0)
        r = sd_bus_message_enter_container(reply, 'a', "s");
    while (r >= 0 && (r = sd_bus_message_read(reply, "s", &name)) > 0)
        puts(name);
    return r;
}

static int watch(void *userdata)
{
    AIT_CLEANUP(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    AIT_CLEANUP(ait_bus_signals_closep) ait_bus_signals *signals = NULL;
    sd_bus_message *message;
    int r;

    r = sd_bus_open_user(&bus);
    if (r >= 0)
        r = ait_bus_attach(bus);
    if (r >= 0)
        r = ait_bus_signals_open(&signals, bus, "type='signal',member='NameOwnerChanged'", 100);
    if (r >= 0)
        r = print_names(bus);
    while (r >= 0 && (r = ait_bus_signals_next(signals, &message)) > 0) {
        const char *name = "";

        (void)sd_bus_message_read(message, "s", &name);
        printf("%s comes or goes, %u were missed\n", name,
               (unsigned)ait_bus_signals_n_dropped(signals));
        sd_bus_message_unref(message);
    }
    return r;
}

int main(void)
{
    return ait_run(watch, NULL, 0) < 0;
}
