/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * sd-bus beside tasks, without a daemon: two ends of a socketpair on one sd_event, whose loop is
 * the program's own. A task waits for replies by a manual future; a method is served by a task.
 */

#include <sys/socket.h>
#include <unistd.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "check.h"

#define DEADLINE (20 * AIT_USEC_PER_SEC)

static sd_event *event;
static sd_bus *server, *client;
static unsigned n_served, n_cancelled;

/* ---- the server: each method a task ---------------------------------------------------------- */

static void message_unref(void *userdata)
{
    sd_bus_message_unref(userdata);
}

static int double_slowly(void *userdata)
{
    sd_bus_message *m = userdata;
    int32_t n = 0;
    int r;

    r = sd_bus_message_read(m, "i", &n);
    if (r < 0)
        return r;
    r = ait_sleep(AIT_USEC_PER_MSEC);
    if (r < 0) {
        n_cancelled++;
        return r;
    }
    n_served++;
    return sd_bus_reply_method_return(m, "i", n * 2) < 0 ? -EIO : 0;
}

static int on_double(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const ait_task_options *options = AIT_TASK_OPTIONS(.name = "Double", .destroy = message_unref);
    int r;

    r = ait_task_spawn(NULL, double_slowly, sd_bus_message_ref(m), options);
    if (r < 0) {
        sd_bus_message_unref(m);
        return r;
    }
    return 1;
}

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Double", "i", "i", on_double, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

/* ---- the client: a call, awaited ------------------------------------------------------------- */

struct call {
    ait_future *future;
    sd_bus_message *reply;
};

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct call *call = userdata;

    call->reply = sd_bus_message_ref(m);
    return ait_future_resolve(call->future, -sd_bus_message_get_errno(m));
}

static int call_method(const char *method, int32_t n, int32_t *ret)
{
    struct call call = {};
    sd_bus_slot *slot = NULL;
    int r, result = 0;

    r = ait_future_new(&call.future);
    if (r < 0)
        return r;
    r = sd_bus_call_method_async(client, &slot, NULL, "/test", "org.example.Test", method, on_reply,
                                 &call, "i", n);
    if (r >= 0)
        r = ait_await(call.future, &result);
    if (r >= 0)
        r = result;
    if (r >= 0)
        r = sd_bus_message_read(call.reply, "i", ret);
    sd_bus_slot_unref(slot); /* where the wait was cut short, the callback will not come */
    sd_bus_message_unref(call.reply);
    ait_future_unref(call.future);
    return r < 0 ? r : 0;
}

static int caller(void *userdata)
{
    int32_t n = (int32_t)(intptr_t)userdata, doubled = 0;

    CHECK_EQ(call_method("Double", n, &doubled), 0);
    CHECK_EQ(doubled, n * 2);
    return 0;
}

static int timed_out_call(void)
{
    AIT_SCOPE(scope);
    int32_t n = 0;

    CHECK_EQ(ait_scope_enter_after(&scope, 0, 1), 0);
    return ait_scope_exit(scope, call_method("Double", 1, &n));
}

static int body(void *userdata)
{
    int32_t n = 0;
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter_after(&scope, 0, DEADLINE), 0);
    for (intptr_t i = 1; i <= 50; i++)
        CHECK_EQ(ait_scope_spawn(scope, NULL, caller, (void *)i, NULL), 0);
    CHECK_EQ(call_method("NoSuch", 1, &n), -EBADR);
    CHECK_EQ(timed_out_call(), -ETIME);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK(n_served >= 50);
    return sd_event_exit(event, 4);
}

/* ---- running --------------------------------------------------------------------------------- */

static sd_bus *bus_open(int fd, bool is_server)
{
    sd_id128_t id = SD_ID128_MAKE(01, 23, 45, 67, 89, ab, cd, ef, 01, 23, 45, 67, 89, ab, cd, ef);
    sd_bus *bus = NULL;

    assert_true(sd_bus_new(&bus) >= 0);
    assert_true(sd_bus_set_fd(bus, fd, fd) >= 0);
    assert_true(sd_bus_set_anonymous(bus, true) >= 0);
    if (is_server)
        assert_true(sd_bus_set_server(bus, true, id) >= 0);
    assert_true(sd_bus_start(bus) >= 0);
    assert_true(sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL) >= 0);
    return bus;
}

static void run(bool guest)
{
    ait_loop *loop = NULL;
    int fds[2];

    n_served = n_cancelled = 0;
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
    assert_true(sd_bus_add_object_vtable(server, NULL, "/test", "org.example.Test", vtable, NULL) >=
                0);
    assert_int_equal(ait_task_spawn(NULL, body, NULL, NULL), 0);
    assert_int_equal(guest ? sd_event_loop(event) : ait_loop_run(loop), 4);
    assert_true(n_cancelled <= 1); /* the one whose caller did not wait */
    server = sd_bus_close_unref(server);
    client = sd_bus_close_unref(client);
    ait_loop_unref(loop);
    event = sd_event_unref(event);
    check_assert();
}

static void test_guest(void **unused)
{
    run(true);
}

static void test_owned(void **unused)
{
    run(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_guest), cmocka_unit_test(test_owned)};

    (void)alarm(100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
