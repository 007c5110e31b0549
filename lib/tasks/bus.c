/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include <aiotools-sd/block.h>
#include <aiotools-sd/bus.h>
#include <aiotools-sd/io.h>
#include <aiotools-sd/queue.h>

#include "now.h"
#include "options.h"
#include "scheduler.h"
#include "task.h"

#define PUMP_USEC (100 * AIT_USEC_PER_MSEC) /* another task may have taken what we wait for */

AIT_PUBLIC int ait_bus_attach(sd_bus *bus)
{
    struct sd_event *event, *has;
    int r;

    if (!bus)
        return -EINVAL;
    if (!this_loop)
        return loop_foreign();
    r = ait_loop_get_event(this_loop, &event);
    if (r < 0)
        return r;
    has = sd_bus_get_event(bus);
    if (has)
        return has == event ? 0 : -EBUSY;
    r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
    return r < 0 ? r : 0;
}

/* The beginning of each call that waits for the bus. */
static int bus_enter(sd_bus *bus, struct ait_loop **ret_loop, struct ait_task **ret_task)
{
    int r;

    if (!bus)
        return -EINVAL;
    r = op_enter(ret_loop, ret_task);
    if (r < 0)
        return r;
    return (*ret_loop)->event && sd_bus_get_event(bus) == (*ret_loop)->event ? 0 : -EUNATCH;
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* In the frame of the task that waits. */
struct bus_call {
    struct list link; /* in waiting_here */
    sd_bus *bus;
    sd_bus_message *message, *reply;
    uint64_t usec;
    sd_bus_slot *slot;
    struct ait_task *task;
};

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus_call *call = userdata;

    call->reply = sd_bus_message_ref(m);
    task_wake(call->task);
    return 1;
}

/* Calls of this thread that wait, to be told when the sd_event has come to its end. */
static __thread struct list waiting_here;

static void wake_waiting(void)
{
    for (struct list *l = waiting_here.next; l != &waiting_here; l = l->next)
        task_wake(container_of(l, struct bus_call, link)->task);
}

static int bus_process(void *userdata)
{
    return sd_bus_process(userdata, NULL);
}

/*
 * After sd_event_exit(), when nobody dispatches the connection: the task does it, and waits for
 * what sd-bus would wait for. The tasks of several calls may do so side by side.
 */
static int bus_pump(struct bus_call *call)
{
    uint64_t until = UINT64_MAX, now;
    int r, events;

    r = ait_call_on_thread_stack(bus_process, call->bus);
    if (r != 0)
        return r;
    events = sd_bus_get_events(call->bus);
    if (events < 0)
        return events;
    r = sd_bus_get_timeout(call->bus, &until);
    if (r < 0)
        return r;
    now = clock_now_real();
    AIT_MOVE_ON_AFTER(r, until <= now ? 0 : until - now < PUMP_USEC ? until - now : PUMP_USEC)
        r = ait_poll(sd_bus_get_fd(call->bus), (short)events);
    return r < 0 ? r : 0;
}

static int bus_wait(struct bus_call *call, struct ait_loop *loop, const struct wait *wait)
{
    int r = 0;

    if (!waiting_here.next)
        list_init(&waiting_here);
    list_append(&waiting_here, &call->link);
    loop->finish = wake_waiting;
    while (r >= 0 && !call->reply && !call->task->scope->effective) {
        if (unlikely(loop->finishing))
            r = bus_pump(call);
        else
            task_suspend_in(loop, call->task, TASK_PARKED, wait);
    }
    list_remove(&call->link);
    return call->reply ? 0 : r;
}

/* On the thread's stack: it is some pages of it. */
static int bus_send(void *userdata)
{
    struct bus_call *call = userdata;

    return sd_bus_call_async(call->bus, &call->slot, call->message, on_reply, call, call->usec);
}

static int bus_error(sd_bus_message *reply, sd_bus_error *ret_error)
{
    int r = -sd_bus_message_get_errno(reply);

    if (r == 0)
        return 0;
    if (ret_error)
        (void)sd_bus_error_copy(ret_error, sd_bus_message_get_error(reply));
    /* The peer's error has another meaning there: the caller was not cancelled. */
    return r == -ECANCELED || r == -ETIME ? -EREMOTEIO : r;
}

AIT_PUBLIC int ait_bus_call(sd_bus *bus, sd_bus_message *m, uint64_t usec, sd_bus_error *ret_error,
                            sd_bus_message **ret_reply)
{
    struct bus_call call = {.bus = bus, .message = m, .usec = usec};
    const struct wait wait = {.kind = "reply on bus", .object = bus};
    struct ait_loop *loop;
    int r;

    if (!m)
        return -EINVAL;
    r = bus_enter(bus, &loop, &call.task);
    if (r < 0)
        return r;
    r = ait_call_on_thread_stack(bus_send, &call);
    if (r < 0)
        return r == -ECANCELED || r == -ETIME ? -EREMOTEIO : r;
    r = bus_wait(&call, loop, &wait);
    (void)sd_bus_slot_unref(call.slot);
    if (!call.reply)
        return r < 0 && !call.task->scope->effective ? r : -ECANCELED;
    r = bus_error(call.reply, ret_error);
    if (r >= 0 && ret_reply)
        *ret_reply = call.reply;
    else
        (void)sd_bus_message_unref(call.reply);
    return r;
}

AIT_PUBLIC int ait_bus_call_method(sd_bus *bus, const char *destination, const char *path,
                                   const char *interface, const char *member,
                                   sd_bus_error *ret_error, sd_bus_message **ret_reply,
                                   const char *types, ...)
{
    AIT_CLEANUP(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    va_list ap;
    int r;

    if (!bus || !path || !member)
        return -EINVAL;
    r = sd_bus_message_new_method_call(bus, &m, destination, path, interface, member);
    if (r < 0)
        return r;
    if (types && *types) {
        va_start(ap, types);
        r = sd_bus_message_appendv(m, types, ap);
        va_end(ap);
        if (r < 0)
            return r;
    }
    return ait_bus_call(bus, m, 0, ret_error, ret_reply);
}

/* ---- methods --------------------------------------------------------------------------------- */

/* An interface that is served; in the frame of ait_bus_serve(). */
struct served {
    struct list link; /* in served_here */
    sd_bus_slot *slot;
    struct ait_scope *scope;
    char *vtable;       /* a copy, with our handler in each method */
    const char *source; /* the caller's */
    ait_bus_serve_options options;
    size_t n_running;
    sd_bus_slot *end_slot;
    struct ait_task *task; /* that serves */
    bool ended;            /* the connection */
};

struct method_call {
    struct served *served;
    sd_bus_message *message;
    sd_bus_message_handler_t handler;
    void *userdata; /* as the vtable has it for this method */
    bool begun;
};

/* Of this thread, for the handler to find the one that it was called for: userdata is not ours. */
static __thread struct list served_here;

static const sd_bus_vtable *vtable_at(const char *vtable, size_t i)
{
    return (const sd_bus_vtable *)(vtable +
                                   i * ((const sd_bus_vtable *)vtable)->x.start.element_size);
}

static void method_refuse(sd_bus_message *m)
{
    (void)sd_bus_reply_method_errorf(m, SD_BUS_ERROR_NO_REPLY, "The service is shutting down");
}

static void method_free(void *userdata)
{
    struct method_call *call = userdata;

    if (!call->begun)
        method_refuse(call->message);
    call->served->n_running--;
    (void)sd_bus_message_unref(call->message);
    free(call);
}

static int method_main(void *userdata)
{
    AIT_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    struct method_call *call = userdata;
    int r;

    call->begun = true;
    r = call->handler(call->message, call->userdata, &error);
    if (r == -ECANCELED && ait_check_cancel() < 0 && !sd_bus_error_is_set(&error))
        method_refuse(call->message);
    else if (r < 0 || sd_bus_error_is_set(&error))
        (void)sd_bus_reply_method_errno(call->message, r, &error);
    return r < 0 ? r : 0;
}

static int method_spawn(struct served *s, sd_bus_message_handler_t handler, sd_bus_message *m,
                        void *userdata)
{
    struct method_call *call = malloc(sizeof(*call));
    bool drain = s->options.flags & AIT_BUS_SERVE_DRAIN;
    int r;

    if (!call)
        return -ENOMEM;
    *call = (struct method_call){
        .served = s, .message = sd_bus_message_ref(m), .handler = handler, .userdata = userdata};
    r = task_spawn(s->scope, NULL, method_main, call,
                   AIT_TASK_OPTIONS(.name = sd_bus_message_get_member(m), .destroy = method_free,
                                    .stack_size = s->options.stack_size,
                                    .flags = drain ? AIT_TASK_SHIELD : 0),
                   (const void *)(uintptr_t)handler);
    if (r < 0) {
        (void)sd_bus_message_unref(m);
        free(call);
        return r;
    }
    s->n_running++;
    return 1;
}

static sd_bus_message_handler_t handler_of(const struct served *s, const char *member)
{
    for (size_t i = 1; vtable_at(s->source, i)->type != _SD_BUS_VTABLE_END; i++) {
        const sd_bus_vtable *entry = vtable_at(s->source, i);

        if (entry->type == _SD_BUS_VTABLE_METHOD && strcmp(entry->x.method.member, member) == 0)
            return entry->x.method.handler;
    }
    return NULL;
}

static struct served *served_by(const sd_bus_slot *slot)
{
    for (struct list *l = served_here.next; l != &served_here; l = l->next) {
        struct served *s = container_of(l, struct served, link);

        if (s->slot == slot)
            return s;
    }
    return NULL;
}

/* Stands in the vtable for each handler. */
static int on_method(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct served *s = served_by(sd_bus_get_current_slot(sd_bus_message_get_bus(m)));
    sd_bus_message_handler_t handler = s ? handler_of(s, sd_bus_message_get_member(m)) : NULL;
    int r;

    if (!handler)
        return 0;
    if (s->options.limit > 0 && s->n_running >= s->options.limit)
        return sd_bus_error_setf(error, SD_BUS_ERROR_LIMITS_EXCEEDED, "%zu calls are being served",
                                 s->n_running);
    r = method_spawn(s, handler, m, userdata);
    if (r == -ESHUTDOWN || r == -ECANCELED) {
        method_refuse(m);
        return 1;
    }
    return r;
}

static int on_served_end(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct served *s = userdata;

    s->ended = true;
    task_wake(s->task);
    return 0;
}

/* sd-bus's own message when the peer has hung up, or the connection is closed. */
static int match_end(sd_bus *bus, sd_bus_slot **ret, sd_bus_message_handler_t on_end,
                     void *userdata)
{
    return sd_bus_match_signal(bus, ret, NULL, "/org/freedesktop/DBus/Local",
                               "org.freedesktop.DBus.Local", "Disconnected", on_end, userdata);
}

static int served_register(struct served *s, sd_bus *bus, const char *path, const char *interface,
                           void *userdata)
{
    size_t n = 0, size;
    int r;

    while (vtable_at(s->source, n++)->type != _SD_BUS_VTABLE_END)
        continue;
    size = n * ((const sd_bus_vtable *)s->source)->x.start.element_size;
    s->vtable = malloc(size);
    if (!s->vtable)
        return -ENOMEM;
    memcpy(s->vtable, s->source, size);
    for (size_t i = 1; i < n; i++) {
        sd_bus_vtable *entry = (sd_bus_vtable *)vtable_at(s->vtable, i);

        if (entry->type == _SD_BUS_VTABLE_METHOD && entry->x.method.handler)
            entry->x.method.handler = on_method;
    }
    r = sd_bus_add_object_vtable(bus, &s->slot, path, interface, (const sd_bus_vtable *)s->vtable,
                                 userdata);
    if (r >= 0)
        r = match_end(bus, &s->end_slot, on_served_end, s);
    if (r < 0)
        return r;
    if (!served_here.next)
        list_init(&served_here);
    list_append(&served_here, &s->link);
    return 0;
}

static void served_done(struct served *s)
{
    list_remove(&s->link);
    s->slot = sd_bus_slot_unref(s->slot);
    s->end_slot = sd_bus_slot_unref(s->end_slot);
    free(s->vtable);
}

static int served_wait(struct served *s, struct ait_loop *loop, const void *bus)
{
    const struct wait wait = {.kind = "calls on bus", .object = bus};

    while (!s->ended && !s->task->scope->effective)
        task_suspend_in(loop, s->task, TASK_PARKED, &wait);
    return s->task->scope->effective ? -ECANCELED : -ECONNRESET;
}

AIT_PUBLIC int ait_bus_serve(sd_bus *bus, const char *path, const char *interface,
                             const sd_bus_vtable *vtable, void *userdata,
                             const ait_bus_serve_options *options)
{
    struct served s = {.source = (const char *)vtable};
    struct ait_loop *loop;
    AIT_SCOPE(scope);
    int r;

    if (!path || !interface || !vtable || vtable->type != _SD_BUS_VTABLE_START)
        return -EINVAL;
    r = options_copy(&s.options, sizeof(s.options), options);
    if (r < 0)
        return r;
    if (s.options.flags & ~(unsigned)AIT_BUS_SERVE_DRAIN)
        return -EINVAL;
    r = bus_enter(bus, &loop, &s.task);
    if (r < 0)
        return r;
    list_init(&s.link);
    r = ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR);
    if (r < 0)
        return r;
    s.scope = scope;
    r = served_register(&s, bus, path, interface, userdata);
    if (r >= 0) {
        (void)ait_task_started(0);
        r = served_wait(&s, loop, bus);
    }
    served_done(&s);
    return ait_scope_exit(scope, r);
}

/* ---- signals --------------------------------------------------------------------------------- */

struct ait_bus_signals {
    ait_queue *queue;
    sd_bus_slot *match, *end;
    struct ait_task *installing;
    bool installed;
    int result; /* of installing it */
};

static void message_unref(void *userdata)
{
    (void)sd_bus_message_unref(userdata);
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct ait_bus_signals *s = userdata;

    if (ait_queue_try_put(s->queue, sd_bus_message_ref(m)) < 0)
        (void)sd_bus_message_unref(m);
    return 0;
}

static int on_installed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct ait_bus_signals *s = userdata;

    s->installed = true;
    s->result = bus_error(m, NULL);
    if (s->installing)
        task_wake(s->installing);
    return 1;
}

static int on_end(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct ait_bus_signals *s = userdata;

    (void)ait_queue_close(s->queue);
    return 0;
}

struct install {
    struct ait_bus_signals *signals;
    sd_bus *bus;
    const char *match;
};

/* Also on the thread's stack. */
static int install(void *userdata)
{
    struct install *i = userdata;
    int r;

    r = sd_bus_add_match_async(i->bus, &i->signals->match, i->match, on_signal, on_installed,
                               i->signals);
    if (r < 0)
        return r;
    return match_end(i->bus, &i->signals->end, on_end, i->signals);
}

/*
 * Messages of a peer connection, and sd-bus's own, need no daemon: there is no answer to wait for.
 */
static bool is_installed_there(sd_bus *bus, const char *match)
{
    return sd_bus_is_bus_client(bus) > 0 && !strstr(match, "org.freedesktop.DBus.Local");
}

static int signals_install(struct ait_bus_signals *s, struct ait_loop *loop, sd_bus *bus,
                           const char *match)
{
    const struct wait wait = {.kind = "match on bus", .object = bus};
    struct install i = {.signals = s, .bus = bus, .match = match};
    struct ait_task *t = loop->current;
    int r;

    r = ait_call_on_thread_stack(install, &i);
    if (r < 0 || !is_installed_there(bus, match))
        return r < 0 ? r : 0;
    s->installing = t;
    while (!s->installed && !t->scope->effective)
        task_suspend_in(loop, t, TASK_PARKED, &wait);
    s->installing = NULL;
    return s->installed ? s->result : -ECANCELED;
}

AIT_PUBLIC int ait_bus_signals_open(ait_bus_signals **ret, sd_bus *bus, const char *match,
                                    size_t capacity)
{
    AIT_CLEANUP(ait_bus_signals_closep) ait_bus_signals *s = NULL;
    struct ait_loop *loop;
    struct ait_task *t;
    int r;

    if (!ret || !match || capacity == 0)
        return -EINVAL;
    r = bus_enter(bus, &loop, &t);
    if (r < 0)
        return r;
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    r = ait_queue_new(&s->queue, capacity, AIT_QUEUE_DROP_OLDEST, message_unref);
    if (r >= 0)
        r = signals_install(s, loop, bus, match);
    if (r < 0)
        return r;
    *ret = s;
    s = NULL;
    return 0;
}

AIT_PUBLIC int ait_bus_signals_next(ait_bus_signals *signals, sd_bus_message **ret)
{
    void *m = NULL;
    int r;

    if (!signals || !ret)
        return -EINVAL;
    r = ait_queue_get(signals->queue, &m);
    if (r > 0)
        *ret = m;
    return r;
}

AIT_PUBLIC uint64_t ait_bus_signals_n_dropped(const ait_bus_signals *signals)
{
    return signals ? ait_queue_n_dropped(signals->queue) : 0;
}

AIT_PUBLIC ait_bus_signals *ait_bus_signals_close(ait_bus_signals *signals)
{
    if (!signals)
        return NULL;
    (void)sd_bus_slot_unref(signals->match);
    (void)sd_bus_slot_unref(signals->end);
    if (signals->queue)
        (void)ait_queue_close(signals->queue);
    (void)ait_queue_unref(signals->queue);
    free(signals);
    return NULL;
}
