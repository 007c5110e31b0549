/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_BUS_H
#define AIT_BUS_H

/*
 * sd-bus for tasks: calls that are awaited, methods that are served by tasks, signals in a queue.
 *
 * The connection stays the caller's. All of sd-bus may be used on it as well, except the calls that
 * block: sd_bus_call(), sd_bus_flush(), sd_bus_process(). The connection must be attached to the
 * sd_event of this thread's loop by ait_bus_attach(); otherwise the calls return -EUNATCH. Closing
 * a connection on this side (sd_bus_close()) does not wake waiters: cancel them first. Messages are
 * sd-bus's own, with its reference counts. Nothing here makes connections, or outlives them.
 */

#include <systemd/sd-bus.h>

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

/*
 * Attaches the connection to the sd_event of this thread's loop. -EBUSY: it is attached to another
 * one. Close the connection, or detach it with sd_bus_detach_event(), before the loop's last
 * reference is dropped.
 */
int ait_bus_attach(sd_bus *bus);

/*
 * Sends a method call and waits for the reply. The arguments are those of sd_bus_call(): usec 0 is
 * sd-bus's default timeout, and ret_error and ret_reply may be NULL. Returns 0 on success. An error
 * reply is returned as the errno that sd-bus maps it to, with its name and text in ret_error;
 * -ECANCELED and -ETIME, which have other meanings here, are replaced by -EREMOTEIO. If the caller
 * is cancelled, the reply is no longer awaited, but the call may have been carried out.
 * -ECONNRESET, -ENOTCONN: the connection is closed.
 */
int ait_bus_call(sd_bus *bus, sd_bus_message *m, uint64_t usec, sd_bus_error *ret_error,
                 sd_bus_message **ret_reply);
/*
 * The same; the message is made from types and the following arguments, as in sd_bus_call_method().
 */
int ait_bus_call_method(sd_bus *bus, const char *destination, const char *path,
                        const char *interface, const char *member, sd_bus_error *ret_error,
                        sd_bus_message **ret_reply, const char *types, ...);

enum {
    AIT_BUS_SERVE_DRAIN =
        1
        << 0, /* when serving is cancelled, methods that have begun are waited for, not cancelled */
};

typedef struct ait_bus_serve_options {
    size_t size;    /* sizeof(ait_bus_serve_options) */
    unsigned flags; /* AIT_BUS_SERVE_DRAIN */
    size_t limit;   /* methods that run at a time; further calls are refused (LimitsExceeded). 0: no
                       limit */
    size_t stack_size; /* of the tasks that run methods; 0: 256 KiB */
} ait_bus_serve_options;

#define AIT_BUS_SERVE_OPTIONS(...) AIT_OPTIONS_(ait_bus_serve_options, __VA_ARGS__)

/*
 * Serves an interface of an object until the calling task is cancelled, or the connection has
 * ended. Then it removes the interface from the bus, ends the methods that run, and returns
 * -ECANCELED or -ECONNRESET. To serve in a task of its own, spawn that task with ait_scope_start(),
 * which returns when the interface is available.
 *
 * The vtable is that of sd_bus_add_object_vtable(), and is read until the call returns. Each method
 * call runs its handler in a new task named after the method, which may wait. As in sd-bus, the
 * handler sends the reply itself and returns >= 0. If it returns a negative errno or fills in the
 * sd_bus_error, that error is sent. Properties are read and set by callbacks, as in sd-bus.
 * sd_bus_get_current_message() and similar calls return nothing in a task. options may be NULL.
 */
int ait_bus_serve(sd_bus *bus, const char *path, const char *interface, const sd_bus_vtable *vtable,
                  void *userdata, const ait_bus_serve_options *options);

/*
 * A queue of messages that match a rule, signals above all, in order of arrival. If capacity
 * messages are waiting, the oldest is dropped. Waits until the match is installed; no message is
 * missed from then on. On a peer-to-peer connection, without a message bus, there is nothing to
 * install.
 */
typedef struct ait_bus_signals ait_bus_signals;

int ait_bus_signals_open(ait_bus_signals **ret, sd_bus *bus, const char *match,
                         size_t capacity) AIT_MUST_CHECK;
/*
 * Waits for the oldest message and takes it. Returns 1 and a reference to the message. Returns 0 if
 * the connection has ended or the registration was closed.
 */
int ait_bus_signals_next(ait_bus_signals *signals, sd_bus_message **ret);
/* The number of messages that were dropped. */
uint64_t ait_bus_signals_n_dropped(const ait_bus_signals *signals);
/* Returns NULL. Tasks that wait in ait_bus_signals_next() are woken and get 0. */
ait_bus_signals *ait_bus_signals_close(ait_bus_signals *signals);
AIT_DEFINE_CLEANUP_(ait_bus_signals, ait_bus_signals_close)

AIT_END_DECLS

#endif
