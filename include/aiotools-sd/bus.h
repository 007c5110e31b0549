/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_BUS_H
#define AIT_BUS_H

/*
 * sd-bus for tasks: calls that are awaited, methods that are served by tasks, signals as a queue.
 *
 * The connection stays the caller's, and all of sd-bus can be used on it beside this, except what blocks (sd_bus_call(), sd_bus_flush(),
 * sd_bus_process()). It has to be attached to the sd_event of this thread's loop (ait_bus_attach()), else the calls return -EUNATCH.
 * A connection that is closed on this side (sd_bus_close())
 * tells nobody: cancel first who waits for it. Messages are sd-bus's, with its reference counts. Nothing here creates connections, or survives their end.
 */

#include <systemd/sd-bus.h>

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

/* Attaches the connection to the sd_event under this thread's loop. -EBUSY: it is attached to another one. Before the loop's last reference
 * goes the connection is to be closed, or taken off by sd_bus_detach_event(). */
int ait_bus_attach(sd_bus *bus);

/*
 * Sends a method call and waits for the reply, with the arguments of sd_bus_call(): usec 0 is the default of sd-bus, ret_error and ret_reply may be
 * NULL. Returns 0. An error reply is returned as the errno that sd-bus maps it to (-EREMOTEIO where that would be -ECANCELED or -ETIME, which mean
 * something else here), with name and text in ret_error. Where the caller is cancelled a reply is no longer waited for; the call may have been
 * carried out. -ECONNRESET, -ENOTCONN: the connection is gone.
 */
int ait_bus_call(sd_bus *bus, sd_bus_message *m, uint64_t usec, sd_bus_error *ret_error,
                 sd_bus_message **ret_reply);
/* The same, with the message made from types and what follows, as by sd_bus_call_method(). */
int ait_bus_call_method(sd_bus *bus, const char *destination, const char *path, const char *interface,
                        const char *member, sd_bus_error *ret_error, sd_bus_message **ret_reply,
                        const char *types, ...);

enum {
    AIT_BUS_SERVE_DRAIN =
        1 << 0, /* methods that have begun when serving is cancelled are not cancelled, but waited for */
};

typedef struct ait_bus_serve_options {
    size_t size;       /* sizeof(ait_bus_serve_options) */
    unsigned flags;    /* AIT_BUS_SERVE_DRAIN */
    size_t limit;      /* methods that run at a time; further calls are refused (LimitsExceeded). 0: none */
    size_t stack_size; /* of the methods' tasks; 0: 256 KiB */
} ait_bus_serve_options;

#define AIT_BUS_SERVE_OPTIONS(...) AIT_OPTIONS_(ait_bus_serve_options, __VA_ARGS__)

/*
 * Serves an interface of an object until the calling task is cancelled, then takes it off the bus, ends the methods that run, and returns
 * -ECANCELED. In a task of its own it is best spawned with ait_scope_start(), which returns when the interface is there.
 *
 * The vtable is that of sd_bus_add_object_vtable(), and is read until the call returns. Each call of a method runs its handler in a
 * new task that is named after the method: it may wait. As in sd-bus the handler sends the reply itself and returns >= 0; where it returns
 * a negative errno, or has filled in the sd_bus_error, that is sent. Properties are read and set by callbacks, as ever. sd_bus_get_current_message() and its like
 * say nothing in a task. options may be NULL.
 */
int ait_bus_serve(sd_bus *bus, const char *path, const char *interface, const sd_bus_vtable *vtable,
                  void *userdata, const ait_bus_serve_options *options);

/*
 * Messages that match a rule, in the order of their coming; signals above all. When capacity messages wait the oldest is dropped. Waits
 * until the match is installed; from then on nothing is missed. Without a connection to a message bus (peer to peer) nothing has to be installed.
 */
typedef struct ait_bus_signals ait_bus_signals;

int ait_bus_signals_open(ait_bus_signals **ret, sd_bus *bus, const char *match,
                         size_t capacity) AIT_MUST_CHECK;
/* Takes the oldest message, waiting for it: 1, and a reference to it. 0: the connection has ended, or the registration was closed. */
int ait_bus_signals_next(ait_bus_signals *signals, sd_bus_message **ret);
/* How many were dropped. */
uint64_t ait_bus_signals_n_dropped(const ait_bus_signals *signals);
/* Returns NULL. Who waits in ait_bus_signals_next() is sent away. */
ait_bus_signals *ait_bus_signals_close(ait_bus_signals *signals);
AIT_DEFINE_CLEANUP_(ait_bus_signals, ait_bus_signals_close)

AIT_END_DECLS

#endif
