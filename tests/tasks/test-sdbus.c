/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * sd-bus by tasks, without a daemon: two connections over a socketpair on one sd_event, once with
 * the loop of the library and once with that of a host. The message bus of the last tests is a few
 * lines of our own.
 */

#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "check.h"

#define DEADLINE  (20 * AIT_USEC_PER_SEC)
#define PATH      "/test"
#define INTERFACE "org.example.Test"

static sd_event *event;
static sd_bus *server, *client;
static unsigned n_begun, n_cancelled;
static bool client_is_bus_client;

/* ---- what is served -------------------------------------------------------------------------- */

struct object {
    int32_t factor, other_factor;
    uint32_t count;
};

static struct object object;

static int multiply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const int32_t *factor = userdata;
    int32_t n = 0;
    int r;

    n_begun++;
    r = sd_bus_message_read(m, "i", &n);
    if (r >= 0)
        r = ait_sleep(AIT_USEC_PER_MSEC);
    if (r < 0)
        return r;
    return sd_bus_reply_method_return(m, "i", n * *factor);
}

static int refuse(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    int32_t n = 0;
    int r;

    r = sd_bus_message_read(m, "i", &n);
    if (r < 0)
        return r;
    if (n == 0)
        return sd_bus_error_set(error, "org.example.Error.Zero", "It is zero");
    /* By name, for what a handler's result is not sent as. */
    if (n < 0)
        return sd_bus_error_setf(
            error, n == -ETIME ? "System.Error.ETIME" : "System.Error.ECANCELED", "So");
    return -n;
}

static int hang(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    int r;

    n_begun++;
    r = ait_sleep(AIT_USEC_INFINITY);
    n_cancelled += r == -ECANCELED;
    return r;
}

/* Takes as long as it is told to, in milliseconds. */
static int slow(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    uint32_t msec = 0;
    int r;

    n_begun++;
    r = sd_bus_message_read(m, "u", &msec);
    if (r >= 0)
        r = ait_sleep(MS(msec));
    return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

/* Asks back, and gets no answer, or asks a peer that answers. */
static int ask_back(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    AIT_CLEANUP(sd_bus_message_unrefp) sd_bus_message *call = NULL;
    int r;

    n_begun++;
    r = ait_sleep(MS(30));
    if (r >= 0)
        r = sd_bus_message_new_method_call(sd_bus_message_get_bus(m), &call, NULL, "/peer",
                                           INTERFACE, "Nothing");
    if (r >= 0)
        r = ait_bus_call(sd_bus_message_get_bus(m), call, MS(50), NULL, NULL);
    return r == -ECANCELED ? r : sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("AskBack", "u", "", ask_back, 0),
    SD_BUS_METHOD_WITH_OFFSET("Multiply", "i", "i", multiply, offsetof(struct object, factor), 0),
    SD_BUS_METHOD_WITH_OFFSET("MultiplyOther", "i", "i", multiply,
                              offsetof(struct object, other_factor), 0),
    SD_BUS_METHOD("Fail", "i", "", refuse, 0),
    SD_BUS_METHOD("Hang", "", "", hang, 0),
    SD_BUS_METHOD("Slow", "u", "", slow, 0),
    SD_BUS_PROPERTY("Count", "u", NULL, offsetof(struct object, count), 0),
    SD_BUS_SIGNAL("Tick", "u", 0),
    SD_BUS_VTABLE_END,
};

static const ait_bus_serve_options *serve_options;

static int serve(void *userdata)
{
    const char *path = userdata;

    return ait_bus_serve(server, path, INTERFACE, vtable, &object, serve_options);
}

static ait_task *start_serving(const ait_bus_serve_options *options)
{
    ait_task *task = NULL;

    object = (struct object){.factor = 2, .other_factor = 3, .count = 42};
    serve_options = options;
    CHECK_EQ(ait_scope_start(ait_scope_current(), &task, serve, (void *)PATH, NULL), 0);
    return task;
}

static void stop_serving(ait_task *task)
{
    int result = 0;

    CHECK_EQ(ait_cancel_and_wait(task, &result), 0);
    CHECK_EQ(result, -ECANCELED);
    ait_task_unref(task);
}

/* ---- running, in both kinds of loop ---------------------------------------------------------- */

static sd_bus *bus_open(int fd, bool is_server)
{
    sd_id128_t id = SD_ID128_MAKE(01, 23, 45, 67, 89, ab, cd, ef, 01, 23, 45, 67, 89, ab, cd, ef);
    sd_bus *bus = NULL;

    assert_true(sd_bus_new(&bus) >= 0);
    assert_true(sd_bus_set_fd(bus, fd, fd) >= 0);
    assert_true(sd_bus_set_anonymous(bus, true) >= 0);
    if (is_server)
        assert_true(sd_bus_set_server(bus, true, id) >= 0);
    else
        assert_true(sd_bus_set_bus_client(bus, client_is_bus_client) >= 0);
    assert_true(sd_bus_start(bus) >= 0);
    assert_int_equal(ait_bus_attach(bus), 0);
    assert_int_equal(ait_bus_attach(bus), 0);
    return bus;
}

static int limited(void *userdata)
{
    int (**body)(void) = userdata;
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter_after(&scope, AIT_SCOPE_SUPERVISOR, DEADLINE), 0);
    CHECK_EQ(ait_scope_exit(scope, (*body)()), 0);
    return sd_event_exit(event, 4);
}

static void run_in(int (*body)(void), bool guest)
{
    ait_loop *loop = NULL;
    int fds[2];

    n_begun = n_cancelled = 0;
    if (guest) {
        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(ait_loop_attach(&loop, event), 0);
    } else {
        assert_int_equal(ait_loop_new(&loop), 0);
        assert_int_equal(ait_loop_get_event(loop, &event), 0);
        sd_event_ref(event);
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    server = bus_open(fds[0], true);
    client = bus_open(fds[1], false);
    assert_int_equal(ait_task_spawn(NULL, limited, &body, NULL), 0);
    assert_int_equal(guest ? sd_event_loop(event) : ait_loop_run(loop), 4);
    server = sd_bus_close_unref(server);
    client = sd_bus_close_unref(client);
    ait_loop_unref(loop);
    event = sd_event_unref(event);
    check_assert();
}

static void run_both(int (*body)(void))
{
    run_in(body, false);
    run_in(body, true);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static int call_int(const char *method, int32_t n, int32_t *ret, sd_bus_error *error)
{
    AIT_CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    int r;

    r = ait_bus_call_method(client, NULL, PATH, INTERFACE, method, error, &reply, "i", n);
    if (r >= 0 && ret)
        r = sd_bus_message_read(reply, "i", ret);
    return r < 0 ? r : 0;
}

static int caller(void *userdata)
{
    int32_t n = (int32_t)(intptr_t)userdata, product = 0;

    CHECK_EQ(call_int("Multiply", n, &product, NULL), 0);
    CHECK_EQ(product, n * 2);
    return 0;
}

static int call_many(void)
{
    ait_task *task = start_serving(NULL);
    int32_t product = 0;
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST), 0);
    for (intptr_t i = 1; i <= 50; i++)
        CHECK_EQ(ait_scope_spawn(scope, NULL, caller, (void *)i, NULL), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(n_begun, 50);
    CHECK_EQ(call_int("MultiplyOther", 5, &product, NULL), 0);
    CHECK_EQ(product, 15);
    CHECK_EQ(call_int("Multiply", 5, NULL, NULL), 0);
    stop_serving(task);
    return 0;
}

static void test_calls(void **unused)
{
    run_both(call_many);
}

static const struct {
    const char *method;
    int32_t argument;
    int error;
    const char *name;
} error_cases[] = {
    {"Fail", EACCES, -EACCES, SD_BUS_ERROR_ACCESS_DENIED},
    {"Fail", ENOTTY, -ENOTTY, "System.Error.ENOTTY"},
    {"Fail", 0, -EIO, "org.example.Error.Zero"},
    {"Fail", ECANCELED, -EREMOTEIO, "System.Error.ECANCELED"},
    {"Fail", -ECANCELED, -EREMOTEIO, "System.Error.ECANCELED"},
    {"Fail", -ETIME, -EREMOTEIO, "System.Error.ETIME"},
    {"NoSuch", 1, -EBADR, SD_BUS_ERROR_UNKNOWN_METHOD},
};

static int errors_main(void)
{
    ait_task *task = start_serving(NULL);

    for (unsigned i = 0; i < ELEMENTS(error_cases); i++) {
        AIT_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = call_int(error_cases[i].method, error_cases[i].argument, NULL, &error);

        CHECK_EQ(r, error_cases[i].error);
        if (!CHECK(sd_bus_error_has_name(&error, error_cases[i].name)))
            (void)fprintf(stderr, "%s(%d): %s\n", error_cases[i].method, error_cases[i].argument,
                          error.name);
        CHECK_EQ(call_int(error_cases[i].method, error_cases[i].argument, NULL, NULL), r);
    }
    stop_serving(task);
    return 0;
}

static void test_errors(void **unused)
{
    run_both(errors_main);
}

static int property_main(void)
{
    AIT_CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    ait_task *task = start_serving(NULL);
    uint32_t count = 0;

    CHECK_EQ(ait_bus_call_method(client, NULL, PATH, "org.freedesktop.DBus.Properties", "Get", NULL,
                                 &reply, "ss", INTERFACE, "Count"),
             0);
    CHECK(sd_bus_message_read(reply, "v", "u", &count) >= 0);
    CHECK_EQ(count, 42);
    stop_serving(task);
    return 0;
}

static void test_property(void **unused)
{
    run_both(property_main);
}

static int call_hang(void *unused)
{
    return ait_bus_call_method(client, NULL, PATH, INTERFACE, "Hang", NULL, NULL, NULL);
}

static int wait_until_begun(unsigned n)
{
    int r = 0;

    while (n_begun < n && r >= 0)
        r = ait_sleep(AIT_USEC_PER_MSEC);
    return r;
}

/* A call that is cancelled leaves nothing behind, and others go on. */
static int cancelled_call_main(void)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *call = NULL;
    ait_task *task = start_serving(NULL);
    int32_t product = 0;
    int result = 0;

    CHECK_EQ(ait_task_spawn(&call, call_hang, NULL, NULL), 0);
    CHECK_EQ(wait_until_begun(1), 0);
    CHECK_EQ(ait_cancel_and_wait(call, &result), 0);
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(call_int("Multiply", 4, &product, NULL), 0);
    CHECK_EQ(product, 8);
    /* Refused at entry: the server hears nothing of it. */
    n_begun = 0;
    {
        AIT_SCOPE(scope);

        CHECK_EQ(ait_scope_enter(&scope, 0), 0);
        CHECK_EQ(ait_scope_cancel(scope), 0);
        CHECK_EQ(call_hang(NULL), -ECANCELED);
    }
    CHECK_EQ(call_int("Multiply", 4, NULL, NULL), 0);
    CHECK_EQ(n_begun, 1);
    stop_serving(task);
    /* The method that hung was told. */
    CHECK_EQ(n_cancelled, 1);
    return 0;
}

static void test_cancelled_call(void **unused)
{
    run_both(cancelled_call_main);
}

/* sd-bus's own limit, and the end of the connection. */
static int lost_reply_main(void)
{
    AIT_CLEANUP(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    AIT_CLEANUP(ait_task_unrefp) ait_task *call = NULL;
    ait_task *task = start_serving(NULL);
    int result = 0;

    CHECK(sd_bus_message_new_method_call(client, &m, NULL, PATH, INTERFACE, "Hang") >= 0);
    CHECK_EQ(ait_bus_call(client, m, MS(5), NULL, NULL), -ETIMEDOUT);
    CHECK_EQ(ait_task_spawn(&call, call_hang, NULL, NULL), 0);
    CHECK_EQ(wait_until_begun(2), 0);
    sd_bus_close(server);
    CHECK_EQ(ait_task_wait(call, &result), 0);
    CHECK(result < 0 && result != -ECANCELED);
    CHECK(call_hang(NULL) < 0);
    stop_serving(task);
    return 0;
}

static void test_lost_reply(void **unused)
{
    run_both(lost_reply_main);
}

/* ---- serving --------------------------------------------------------------------------------- */

static int call_slow(void *userdata)
{
    return ait_bus_call_method(client, NULL, PATH, INTERFACE, "Slow", NULL, NULL, "u",
                               (uint32_t)(uintptr_t)userdata);
}

/* Serving ends while a method runs: with its call refused, or, draining, answered. */
static int stop_main(bool drain)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *call = NULL;
    ait_task *task = start_serving(AIT_BUS_SERVE_OPTIONS(.flags = drain ? AIT_BUS_SERVE_DRAIN : 0));
    int result = 99;

    CHECK_EQ(ait_task_spawn(&call, call_slow, (void *)(uintptr_t)(drain ? 20 : 100000), NULL), 0);
    CHECK_EQ(wait_until_begun(1), 0);
    stop_serving(task);
    CHECK_EQ(ait_task_wait(call, &result), 0);
    CHECK_EQ(result, drain ? 0 : -ETIMEDOUT); /* what sd-bus makes of NoReply */
    CHECK_EQ(call_int("Multiply", 1, NULL, NULL), -EBADR);
    return 0;
}

static int stop_hard_main(void)
{
    return stop_main(false);
}

static int stop_gently_main(void)
{
    return stop_main(true);
}

static void test_stop(void **unused)
{
    run_both(stop_hard_main);
    run_both(stop_gently_main);
}

static ait_task *to_be_stopped;
static bool stop_at_once;

static int on_stop(sd_event_source *source, void *userdata)
{
    CHECK_EQ(ait_task_cancel(to_be_stopped), 1);
    return 0;
}

/* Comes before the method does: stops serving now, or right after the method's task has been
 * spawned, before it can begin. */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    sd_event_source *source = NULL;

    if (sd_bus_message_is_method_call(m, INTERFACE, "Slow") <= 0)
        return 0;
    if (stop_at_once)
        return on_stop(NULL, NULL), 0;
    CHECK(sd_event_add_defer(event, &source, on_stop, NULL) >= 0);
    CHECK(sd_event_source_set_priority(source, -100) >= 0);
    CHECK(sd_event_source_set_floating(source, true) >= 0);
    sd_event_source_unref(source);
    return 0;
}

static int unbegun_main(void)
{
    AIT_CLEANUP(sd_bus_slot_unrefp) sd_bus_slot *filter = NULL;

    CHECK(sd_bus_add_filter(server, &filter, on_message, NULL) >= 0);
    to_be_stopped = start_serving(AIT_BUS_SERVE_OPTIONS(.flags = 0));
    CHECK_EQ(call_slow((void *)(uintptr_t)1), -ETIMEDOUT);
    CHECK_EQ(n_begun, 0);
    stop_serving(to_be_stopped);
    return 0;
}

/* Only a host's loop runs its own sources before ours. */
static void test_unbegun(void **unused)
{
    stop_at_once = true;
    run_both(unbegun_main);
    stop_at_once = false;
    run_in(unbegun_main, true);
}

static int limit_main(void)
{
    AIT_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    ait_task *task = start_serving(AIT_BUS_SERVE_OPTIONS(.limit = 2)), *calls[2];
    int result = 99;

    for (int i = 0; i < 2; i++)
        CHECK_EQ(ait_task_spawn(&calls[i], call_slow, (void *)(uintptr_t)20, NULL), 0);
    CHECK_EQ(wait_until_begun(2), 0);
    CHECK(call_int("Multiply", 1, NULL, &error) < 0);
    CHECK(sd_bus_error_has_name(&error, SD_BUS_ERROR_LIMITS_EXCEEDED));
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(ait_task_wait(calls[i], &result), 0);
        CHECK_EQ(result, 0);
        ait_task_unref(calls[i]);
    }
    CHECK_EQ(call_int("Multiply", 1, NULL, NULL), 0);
    stop_serving(task);
    return 0;
}

static void test_limit(void **unused)
{
    run_both(limit_main);
}

/* Two objects, one vtable, one userdata: each has its own tasks. */
static int two_objects_main(void)
{
    ait_task *task = start_serving(NULL), *other = NULL;

    CHECK_EQ(ait_scope_start(ait_scope_current(), &other, serve, (void *)"/other", NULL), 0);
    CHECK_EQ(ait_scope_start(ait_scope_current(), NULL, serve, (void *)"/other", NULL), -EEXIST);
    stop_serving(task);
    CHECK_EQ(call_int("Multiply", 1, NULL, NULL), -EBADR);
    CHECK_EQ(ait_bus_call_method(client, NULL, "/other", INTERFACE, "Multiply", NULL, NULL, "i", 1),
             0);
    stop_serving(other);
    return 0;
}

static void test_two_objects(void **unused)
{
    run_both(two_objects_main);
}

/* ---- signals --------------------------------------------------------------------------------- */

#define MATCH "type='signal',interface='" INTERFACE "',member='Tick'"

static void emit(uint32_t n)
{
    CHECK(sd_bus_emit_signal(server, PATH, INTERFACE, "Tick", "u", n) >= 0);
}

/* When a reply has come, so have all signals that were sent before it. */
static int roundtrip(void)
{
    return call_int("Multiply", 1, NULL, NULL);
}

static uint32_t next_tick(ait_bus_signals *signals)
{
    AIT_CLEANUP(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    uint32_t n = UINT32_MAX;

    if (CHECK_EQ(ait_bus_signals_next(signals, &m), 1))
        CHECK(sd_bus_message_read(m, "u", &n) >= 0);
    return n;
}

static int next_of(void *userdata)
{
    sd_bus_message *m = NULL;
    int r = ait_bus_signals_next(userdata, &m);

    CHECK(!m);
    return r;
}

static int signals_main(void)
{
    AIT_CLEANUP(ait_bus_signals_closep) ait_bus_signals *signals = NULL;
    AIT_CLEANUP(ait_task_unrefp) ait_task *waiter = NULL;
    ait_task *task = start_serving(NULL);
    int result = 99;

    CHECK_EQ(ait_bus_signals_open(&signals, client, MATCH, 4), 0);
    for (uint32_t i = 0; i < 4; i++)
        emit(i);
    for (uint32_t i = 0; i < 4; i++)
        CHECK_EQ(next_tick(signals), i);
    CHECK_EQ(ait_bus_signals_n_dropped(signals), 0);
    for (uint32_t i = 0; i < 7; i++)
        emit(i);
    CHECK_EQ(roundtrip(), 0);
    CHECK_EQ(ait_bus_signals_n_dropped(signals), 3);
    for (uint32_t i = 3; i < 7; i++)
        CHECK_EQ(next_tick(signals), i);
    /* A waiter that is cancelled takes nothing. */
    CHECK_EQ(ait_task_spawn(&waiter, next_of, signals, NULL), 0);
    CHECK_EQ(ait_sleep(AIT_USEC_PER_MSEC), 0);
    CHECK_EQ(ait_cancel_and_wait(waiter, &result), 0);
    CHECK_EQ(result, -ECANCELED);
    emit(8);
    CHECK_EQ(next_tick(signals), 8);
    stop_serving(task);
    return 0;
}

/* Who waits is told of the end: of the queue, of the connection. */
static int signals_end_main(void)
{
    AIT_CLEANUP(ait_bus_signals_closep) ait_bus_signals *signals = NULL;
    ait_bus_signals *closed = NULL;
    ait_task *waiters[2];
    int result = 99;

    CHECK_EQ(ait_bus_signals_open(&signals, client, MATCH, 4), 0);
    CHECK_EQ(ait_bus_signals_open(&closed, client, MATCH, 4), 0);
    CHECK_EQ(ait_task_spawn(&waiters[0], next_of, signals, NULL), 0);
    CHECK_EQ(ait_task_spawn(&waiters[1], next_of, closed, NULL), 0);
    CHECK_EQ(ait_sleep(AIT_USEC_PER_MSEC), 0);
    CHECK(!ait_bus_signals_close(closed));
    sd_bus_close(server);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(ait_task_wait(waiters[i], &result), 0);
        CHECK_EQ(result, 0);
        ait_task_unref(waiters[i]);
    }
    return 0;
}

static void test_signals(void **unused)
{
    run_both(signals_main);
    run_both(signals_end_main);
}

/* ---- a message bus, as far as a match needs one ---------------------------------------------- */

static const char *daemon_match;
static bool daemon_refuses;

static int on_hello(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    return sd_bus_reply_method_return(m, "s", ":1.1");
}

static int on_add_match(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const char *match = NULL;
    int r;

    r = sd_bus_message_read(m, "s", &match);
    if (r < 0)
        return r;
    CHECK(strstr(match, INTERFACE));
    daemon_match = MATCH;
    r = ait_sleep(AIT_USEC_PER_MSEC);
    if (r >= 0 && daemon_refuses)
        return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "No");
    return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int on_remove_match(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable daemon_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Hello", "", "s", on_hello, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("AddMatch", "s", "", on_add_match, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("RemoveMatch", "s", "", on_remove_match, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

static int serve_daemon(void *unused)
{
    return ait_bus_serve(server, "/org/freedesktop/DBus", "org.freedesktop.DBus", daemon_vtable,
                         NULL, NULL);
}

static int open_signals(void *unused)
{
    ait_bus_signals *signals = NULL;
    int r = ait_bus_signals_open(&signals, client, MATCH, 4);

    CHECK_EQ(r < 0, !signals);
    ait_bus_signals_close(signals);
    return r;
}

static int daemon_main(void)
{
    AIT_CLEANUP(ait_bus_signals_closep) ait_bus_signals *signals = NULL;
    AIT_CLEANUP(ait_task_unrefp) ait_task *opener = NULL;
    ait_task *task = NULL;
    int result = 0;

    daemon_match = NULL;
    CHECK_EQ(ait_scope_start(ait_scope_current(), &task, serve_daemon, NULL, NULL), 0);
    CHECK_EQ(ait_bus_signals_open(&signals, client, MATCH, 4), 0);
    CHECK(daemon_match);
    emit(1);
    CHECK_EQ(next_tick(signals), 1);
    daemon_refuses = true;
    CHECK_EQ(open_signals(NULL), -EACCES);
    daemon_refuses = false;
    /* Cancelled while the daemon thinks. */
    daemon_match = NULL;
    CHECK_EQ(ait_task_spawn(&opener, open_signals, NULL, NULL), 0);
    while (!daemon_match)
        CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(ait_cancel_and_wait(opener, &result), 0);
    CHECK_EQ(result, -ECANCELED);
    emit(2);
    CHECK_EQ(next_tick(signals), 2);
    signals = ait_bus_signals_close(signals);
    stop_serving(task);
    return 0;
}

static void test_daemon(void **unused)
{
    client_is_bus_client = true;
    run_both(daemon_main);
    client_is_bus_client = false;
}

/* ---- misuse ---------------------------------------------------------------------------------- */

/* ---- the end of the connection, for all who wait --------------------------------------------- */

static int wait_signals(void *userdata)
{
    AIT_CLEANUP(ait_bus_signals_closep) ait_bus_signals *signals = NULL;
    AIT_CLEANUP(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r;

    r = ait_bus_signals_open(&signals, server, "type='signal',member='Tock'", 4);
    CHECK_EQ(ait_task_started(0), 1);
    return r < 0 ? r : ait_bus_signals_next(signals, &m);
}

static int serve_after_end(void *userdata)
{
    return ait_bus_serve(server, PATH "/late", INTERFACE, vtable, &object, NULL);
}

/* The peer hangs up, while a method of it runs, too. */
static int hangup_main(void)
{
    ait_task *tasks[3] = {start_serving(NULL)};
    AIT_CLEANUP(ait_task_unrefp) ait_task *call = NULL;
    int results[3] = {99, 99, 99};

    CHECK_EQ(ait_scope_start(ait_scope_current(), &tasks[1], serve, (void *)(PATH "/other"), NULL),
             0);
    CHECK_EQ(ait_scope_start(ait_scope_current(), &tasks[2], wait_signals, NULL, NULL), 0);
    CHECK_EQ(ait_task_spawn(&call, call_hang, NULL, NULL), 0);
    CHECK_EQ(wait_until_begun(1), 0);
    sd_bus_close(client);
    for (size_t i = 0; i < ELEMENTS(tasks); i++) {
        CHECK_EQ(ait_task_wait(tasks[i], &results[i]), 0);
        ait_task_unref(tasks[i]);
    }
    CHECK_EQ(results[0], -ECONNRESET);
    CHECK_EQ(results[1], -ECONNRESET);
    CHECK_EQ(results[2], 0);
    CHECK_EQ(n_cancelled, 1);
    CHECK_EQ(serve_after_end(NULL), -EUNATCH); /* sd-bus has detached it */
    CHECK_EQ(ait_cancel_and_wait(call, NULL), 0);
    return 0;
}

static void test_hangup(void **unused)
{
    run_both(hangup_main);
}

/* ---- among tasks that compute ---------------------------------------------------------------- */

#define N_TICKS 40

static unsigned n_turns; /* of the busy ones */

static int computes(void *userdata)
{
    struct timespec begin, now;

    while (ait_yield() >= 0) {
        n_turns++;
        (void)clock_gettime(CLOCK_MONOTONIC, &begin);
        do
            (void)clock_gettime(CLOCK_MONOTONIC, &now);
        while ((now.tv_sec - begin.tv_sec) * 1000000000L + now.tv_nsec - begin.tv_nsec < 100000);
    }
    return -ECANCELED;
}

/* Messages are taken in turns with tasks that are always ready. */
static int busy_main(void)
{
    AIT_CLEANUP(ait_bus_signals_closep) ait_bus_signals *signals = NULL;
    AIT_SCOPE(scope);

    CHECK_EQ(ait_bus_signals_open(&signals, client, MATCH, N_TICKS), 0);
    CHECK_EQ(call_int("Multiply", 1, NULL, NULL), -EBADR); /* the connection is up */
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(ait_scope_spawn(scope, NULL, computes, NULL, NULL), 0);
    CHECK_EQ(ait_sleep(MS(20)), 0);
    for (uint32_t i = 0; i < N_TICKS; i++)
        CHECK(sd_bus_emit_signal(server, PATH, INTERFACE, "Tick", "u", i) >= 0);
    n_turns = 0;
    for (uint32_t i = 0; i < N_TICKS; i++) {
        AIT_CLEANUP(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        CHECK_EQ(ait_bus_signals_next(signals, &m), 1);
    }
    if (!CHECK(n_turns < N_TICKS * 64))
        (void)fprintf(stderr, "  %u turns for %d messages\n", n_turns, N_TICKS);
    CHECK_EQ(ait_scope_cancel(scope), 0);
    return ait_scope_exit(scope, 0);
}

static void test_busy(void **unused)
{
    run_both(busy_main);
}

/* ---- sd_event_exit() while a method runs ----------------------------------------------------- */

static int peer_fd, peer_result;
static const char *peer_method;

/* A program of its own, as it were: it blocks. */
static void *peer_main(void *unused)
{
    AIT_CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus *bus = NULL;

    if (sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, peer_fd, peer_fd) < 0 ||
        sd_bus_set_anonymous(bus, true) < 0 || sd_bus_start(bus) < 0)
        return NULL;
    peer_result = sd_bus_call_method(bus, NULL, PATH, INTERFACE, peer_method, &error, NULL, "u",
                                     (uint32_t)30);
    sd_bus_close_unref(bus);
    return NULL;
}

static int serve_drain(void *userdata)
{
    return ait_bus_serve(server, PATH, INTERFACE, vtable, &object,
                         AIT_BUS_SERVE_OPTIONS(.flags = AIT_BUS_SERVE_DRAIN));
}

static int exit_meanwhile(void *userdata)
{
    CHECK_EQ(wait_until_begun(1), 0);
    return sd_event_exit(event, 4);
}

/* The reply is sent, whichever of bus and loop was there first. */
static void drain_at_exit(bool guest, bool bus_first)
{
    sd_id128_t id = SD_ID128_MAKE(01, 23, 45, 67, 89, ab, cd, ef, 01, 23, 45, 67, 89, ab, cd, ef);
    ait_loop *loop = NULL;
    pthread_t peer;
    int fds[2];

    n_begun = n_cancelled = 0;
    peer_result = -EIO;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    peer_fd = fds[1];
    assert_true(sd_bus_new(&server) >= 0);
    assert_true(sd_bus_set_fd(server, fds[0], fds[0]) >= 0);
    assert_true(sd_bus_set_anonymous(server, true) >= 0);
    assert_true(sd_bus_set_server(server, true, id) >= 0);
    assert_true(sd_bus_start(server) >= 0);
    if (guest) {
        assert_true(sd_event_new(&event) >= 0);
        if (bus_first)
            assert_true(sd_bus_attach_event(server, event, SD_EVENT_PRIORITY_NORMAL) >= 0);
        assert_int_equal(ait_loop_attach(&loop, event), 0);
    } else {
        assert_int_equal(ait_loop_new(&loop), 0);
        assert_int_equal(ait_loop_get_event(loop, &event), 0);
        sd_event_ref(event);
    }
    assert_int_equal(ait_bus_attach(server), 0);
    assert_int_equal(ait_task_spawn(NULL, serve_drain, NULL, NULL), 0);
    assert_int_equal(ait_task_spawn(NULL, exit_meanwhile, NULL, NULL), 0);
    assert_int_equal(pthread_create(&peer, NULL, peer_main, NULL), 0);
    assert_int_equal(guest ? sd_event_loop(event) : ait_loop_run(loop), 4);
    server = sd_bus_flush_close_unref(server);
    assert_int_equal(pthread_join(peer, NULL), 0);
    assert_true(peer_result >= 0);
    ait_loop_unref(loop);
    event = sd_event_unref(event);
    check_assert();
}

static void test_drain_at_exit(void **unused)
{
    static const char *const methods[] = {"Slow", "AskBack"};

    for (size_t i = 0; i < ELEMENTS(methods); i++) {
        peer_method = methods[i];
        drain_at_exit(true, false);
        drain_at_exit(true, true);
        drain_at_exit(false, false);
    }
}

static int misuse_main(void)
{
    AIT_CLEANUP(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    ait_bus_signals *signals = NULL;
    sd_bus *other = NULL;
    sd_event *other_event = NULL;

    CHECK(sd_bus_message_new_method_call(client, &m, NULL, PATH, INTERFACE, "Hang") >= 0);
    CHECK_EQ(ait_bus_attach(NULL), -EINVAL);
    CHECK_EQ(ait_bus_call(NULL, m, 0, NULL, NULL), -EINVAL);
    CHECK_EQ(ait_bus_call(client, NULL, 0, NULL, NULL), -EINVAL);
    CHECK_EQ(ait_bus_call_method(client, NULL, NULL, INTERFACE, "Hang", NULL, NULL, NULL), -EINVAL);
    CHECK_EQ(ait_bus_call_method(client, NULL, "no path", INTERFACE, "Hang", NULL, NULL, NULL),
             -EINVAL);
    CHECK_EQ(ait_bus_call_method(client, NULL, PATH, INTERFACE, "Hang", NULL, NULL, "i?", 1),
             -EINVAL);
    CHECK_EQ(ait_bus_serve(server, NULL, INTERFACE, vtable, NULL, NULL), -EINVAL);
    CHECK_EQ(ait_bus_serve(server, PATH, INTERFACE, vtable + 1, NULL, NULL), -EINVAL);
    CHECK_EQ(
        ait_bus_serve(server, PATH, INTERFACE, vtable, NULL, AIT_BUS_SERVE_OPTIONS(.flags = 8)),
        -EINVAL);
    CHECK_EQ(ait_bus_serve(server, "no path", INTERFACE, vtable, NULL, NULL), -EINVAL);
    CHECK_EQ(ait_bus_signals_open(&signals, client, MATCH, 0), -EINVAL);
    CHECK_EQ(ait_bus_signals_open(&signals, client, "nonsense", 1), -EINVAL);
    CHECK_EQ(ait_bus_signals_open(NULL, client, MATCH, 1), -EINVAL);
    CHECK_EQ(ait_bus_signals_next(NULL, &m), -EINVAL);
    CHECK_EQ(ait_bus_signals_n_dropped(NULL), 0);
    CHECK(!ait_bus_signals_close(NULL));
    CHECK(sd_bus_new(&other) >= 0);
    CHECK_EQ(ait_bus_call(other, m, 0, NULL, NULL), -EUNATCH);
    CHECK_EQ(ait_bus_signals_open(&signals, other, MATCH, 1), -EUNATCH);
    CHECK_EQ(ait_bus_serve(other, PATH, INTERFACE, vtable, NULL, NULL), -EUNATCH);
    CHECK(sd_event_new(&other_event) >= 0);
    CHECK(sd_bus_attach_event(other, other_event, 0) >= 0);
    CHECK_EQ(ait_bus_attach(other), -EBUSY);
    CHECK_EQ(ait_bus_call(other, m, 0, NULL, NULL), -EUNATCH);
    CHECK(!signals);
    sd_bus_detach_event(other);
    sd_bus_unref(other);
    sd_event_unref(other_event);
    return 0;
}

static void test_misuse(void **unused)
{
    sd_bus *bus = NULL;

    assert_true(sd_bus_new(&bus) >= 0);
    assert_int_equal(ait_bus_attach(bus), -EPERM);
    assert_int_equal(ait_bus_serve(bus, PATH, INTERFACE, vtable, NULL, NULL), -EPERM);
    sd_bus_unref(bus);
    run_both(misuse_main);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls),         cmocka_unit_test(test_errors),
        cmocka_unit_test(test_property),      cmocka_unit_test(test_cancelled_call),
        cmocka_unit_test(test_lost_reply),    cmocka_unit_test(test_stop),
        cmocka_unit_test(test_limit),         cmocka_unit_test(test_two_objects),
        cmocka_unit_test(test_signals),       cmocka_unit_test(test_daemon),
        cmocka_unit_test(test_misuse),        cmocka_unit_test(test_unbegun),
        cmocka_unit_test(test_hangup),        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_drain_at_exit),
    };

    (void)alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
