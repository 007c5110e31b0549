/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Streams, lookups, connections, sd-bus: that a wait allocates nothing once the buffers are there,
 * and that each allocation may fail: who asked is told, and nothing is left behind.
 */

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "check.h"
#include "faults.h"
#include "resolve.h"

/* ---- nothing is allocated -------------------------------------------------------------------- */

#define WARM_UP 10
#define COUNTED 200

struct pair {
    int fds[2];
    ait_stream *streams[2];
};

static int pair_open(struct pair *p)
{
    int r = 0;

    *p = (struct pair){};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->fds) < 0)
        return -errno;
    for (int i = 0; i < 2 && r >= 0; i++)
        r = ait_stream_open(&p->streams[i], p->fds[i], AIT_STREAM_OPTIONS(.write_size = 64));
    return r;
}

static void pair_close(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        ait_stream_close(p->streams[i]);
        (void)ait_close(p->fds[i]);
    }
}

static int say(ait_stream *s, unsigned n)
{
    int r = ait_stream_printf(s, "line %u\n", n);

    if (r >= 0)
        r = ait_stream_write(
            s, "a part of a line, longer than what the buffer of 64 bytes has room for;", 71, NULL);
    if (r >= 0)
        r = ait_stream_write(s, "\n", 1, NULL);
    return r < 0 ? r : ait_stream_flush(s);
}

static int hear(ait_stream *s)
{
    char *line;
    int r = ait_stream_read_line(s, &line, NULL);

    return r > 0 ? ait_stream_read_line(s, &line, NULL) : r;
}

static int echo(void *userdata)
{
    struct pair *p = userdata;
    int r;

    for (unsigned i = 0; i < WARM_UP + COUNTED; i++) {
        r = hear(p->streams[1]);
        if (r > 0)
            r = say(p->streams[1], i);
        if (r < 0)
            return r;
    }
    return 0;
}

static int counted_main(void *unused)
{
    unsigned before = 0;
    struct pair p;

    CHECK_EQ(pair_open(&p), 0);
    CHECK_EQ(ait_task_spawn(NULL, echo, &p, NULL), 0);
    for (unsigned i = 0; i < WARM_UP + COUNTED; i++) {
        if (i == WARM_UP)
            before = faults.n_allocations;
        CHECK_EQ(say(p.streams[0], i), 0);
        CHECK_EQ(hear(p.streams[0]), 1);
    }
    CHECK_EQ(faults.n_allocations, before);
    pair_close(&p);
    return 0;
}

static void test_counted(void **unused)
{
    assert_int_equal(run_virtual(counted_main, NULL), 0);
}

/* ---- each refused in turn -------------------------------------------------------------------- */

#define TRY(call)                                                                                  \
    do {                                                                                           \
        int r_ = (int)(call);                                                                      \
        if (r_ < 0) {                                                                              \
            CHECK((r_ == -ENOMEM || r_ == -EAGAIN) && faults.failed);                              \
            return -ENOMEM;                                                                        \
        }                                                                                          \
    } while (0)

static int stream_with(struct pair *p)
{
    size_t n = 20000;
    const void *part;
    char *line;

    TRY(ait_stream_printf(p->streams[0], "%0*d\n", (int)n, 7));
    TRY(ait_stream_flush(p->streams[0]));
    TRY(ait_stream_read_line(p->streams[1], &line, &n));
    CHECK_EQ(n, 20000);
    TRY(ait_stream_write(p->streams[1], "x;", 2, NULL));
    TRY(ait_stream_flush(p->streams[1]));
    TRY(ait_stream_read_until(p->streams[0], ";", 1, &part, &n));
    CHECK_EQ(n, 2);
    return 0;
}

static int stream_main(void *unused)
{
    struct pair p = {.fds = {-1, -1}};
    int r = pair_open(&p);

    if (r >= 0)
        r = stream_with(&p);
    pair_close(&p);
    TRY(r);
    return 0;
}

/* Nothing is lost where there was no room to put it: the same call again finds it. */
static int stream_again_main(void *unused)
{
    bool failed = false;
    struct pair p;
    char *line;
    int r;

    if (pair_open(&p) < 0) {
        pair_close(&p);
        return -ENOMEM;
    }
    while ((r = ait_stream_printf(p.streams[0], "%05000d\n", 7)) == -ENOMEM)
        failed = true;
    CHECK_EQ(r, 0);
    while ((r = ait_stream_flush(p.streams[0])) == -ENOMEM)
        failed = true;
    CHECK_EQ(r, 0);
    while ((r = ait_stream_read_line(p.streams[1], &line, NULL)) == -ENOMEM)
        failed = true;
    CHECK_EQ(r, 1);
    CHECK_EQ(strlen(line), 5000);
    pair_close(&p);
    return failed ? -ENOMEM : 0;
}

static int accept_all(int fd, const struct sockaddr *addr, socklen_t len)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)addr;

    return ntohs(in->sin_port) == 3 ? ait_sleep(MS(1)) : -ECONNREFUSED;
}

static int connect_main(void *unused)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL, **last = &list;
    int r = 0, fd = -1;

    resolve_calls.connect = accept_all;
    for (int i = 1; i <= 3 && r >= 0; i++) {
        char port[2] = {(char)('0' + i)};

        r = ait_getaddrinfo(last, "127.0.0.1", port, &hints);
        if (r >= 0)
            last = &(*last)->ai_next;
    }
    if (r >= 0)
        r = ait_connect_addresses(&fd, list, NULL);
    if (list)
        freeaddrinfo(list);
    if (fd >= 0)
        (void)ait_close(fd);
    /* The first attempt's error where a later one could not be made. */
    TRY(r == -ECONNREFUSED && faults.failed ? -ENOMEM : r);
    return 0;
}

/* ---- listening sockets ----------------------------------------------------------------------- */

static int say_hello(int fd, void *userdata)
{
    (*(unsigned *)userdata)++;
    return ait_write_all(fd, "hello", 5, NULL);
}

/* A connection that was accepted when memory was short is served when it is there again. */
static int listen_main(void *unused)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    socklen_t len = sizeof(addr);
    AIT_SCOPE(scope);
    int listener, fd, r;
    unsigned n = 0;

    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(listener, (struct sockaddr *)&addr, sizeof(sa_family_t)), 0);
    CHECK_EQ(listen(listener, 1), 0);
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&addr, len), 0);
    r = ait_scope_enter_after(&scope, AIT_SCOPE_MOVE_ON, MS(1000));
    if (r >= 0) {
        r = ait_scope_exit(scope, ait_serve_listeners(&listener, 1, say_hello, &n, NULL));
        CHECK_EQ(n, r >= 0);
    }
    (void)close(fd);
    (void)ait_close(listener);
    TRY(r);
    return 0;
}

/* ---- sd-bus ---------------------------------------------------------------------------------- */

static int double_it(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    int32_t n = 0;
    int r = sd_bus_message_read(m, "i", &n);

    if (r >= 0)
        r = sd_bus_emit_signal(sd_bus_message_get_bus(m), "/test", "org.example.Test", "Doubled",
                               "i", n);
    return r < 0 ? r : sd_bus_reply_method_return(m, "i", n * 2);
}

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Double", "i", "i", double_it, 0),
    SD_BUS_VTABLE_END,
};

static int serve(void *userdata)
{
    return ait_bus_serve(userdata, "/test", "org.example.Test", vtable, NULL, NULL);
}

static int bus_open(int fd, bool server, sd_bus **ret)
{
    sd_id128_t id = SD_ID128_MAKE(01, 23, 45, 67, 89, ab, cd, ef, 01, 23, 45, 67, 89, ab, cd, ef);
    sd_bus *bus = NULL;

    CHECK(sd_bus_new(&bus) >= 0);
    CHECK(sd_bus_set_fd(bus, fd, fd) >= 0);
    CHECK(sd_bus_set_anonymous(bus, true) >= 0);
    if (server)
        CHECK(sd_bus_set_server(bus, true, id) >= 0);
    CHECK(sd_bus_start(bus) >= 0);
    *ret = bus;
    return ait_bus_attach(bus);
}

static int bus_calls(sd_bus *server, sd_bus *client)
{
    AIT_CLEANUP(ait_bus_signals_closep) ait_bus_signals *signals = NULL;
    AIT_CLEANUP(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    AIT_CLEANUP(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
    int32_t n = 0;

    TRY(ait_scope_start(ait_scope_current(), NULL, serve, server, NULL));
    TRY(ait_bus_signals_open(&signals, client, "type='signal'", 4));
    TRY(ait_bus_call_method(client, NULL, "/test", "org.example.Test", "Double", NULL, &reply, "i",
                            21));
    CHECK(sd_bus_message_read(reply, "i", &n) >= 0);
    CHECK_EQ(n, 42);
    TRY(ait_bus_signals_next(signals, &signal));
    return 0;
}

static int bus_main(void *unused)
{
    sd_bus *server = NULL, *client = NULL;
    AIT_SCOPE(scope);
    int fds[2], r;

    TRY(ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR));
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    r = bus_open(fds[0], true, &server);
    if (r >= 0)
        r = bus_open(fds[1], false, &client);
    else
        (void)close(fds[1]);
    if (r >= 0)
        r = bus_calls(server, client);
    (void)ait_scope_cancel(scope);
    (void)ait_scope_exit(scope, -ECANCELED);
    scope = ait_scope_leave(scope);
    sd_bus_close_unref(server);
    sd_bus_close_unref(client);
    TRY(r);
    return 0;
}

/* ---- the loop over them ---------------------------------------------------------------------- */

static const struct program {
    const char *name;
    ait_task_fn fn;
} programs[] = {
    {"stream", stream_main},   {"stream, tried again", stream_again_main},
    {"connect", connect_main}, {"listeners", listen_main},
    {"bus", bus_main},
};

static void on_error(ait_scope *scope, const ait_error_info *info, void *userdata)
{
}

static int run_program(ait_task_fn fn)
{
    AIT_CLEANUP(ait_clock_unrefp) ait_clock *clock = NULL;
    AIT_CLEANUP(ait_loop_unrefp) ait_loop *loop = NULL;
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    int result = 0;

    TRY(ait_vclock_new(&clock));
    TRY(ait_loop_new(&loop));
    TRY(ait_loop_set_clock(loop, clock));
    TRY(ait_scope_set_error_handler(ait_loop_root(loop), on_error, NULL));
    TRY(ait_task_spawn(&task, fn, NULL, NULL));
    CHECK_EQ(ait_loop_run(loop), 0);
    CHECK_EQ(ait_task_result(task, &result), 0);
    /* Before the loop: it lies in the loop's memory. */
    task = ait_task_unref(task);
    return result;
}

static int count_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void test_each_in_turn(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(programs); i++)
        for (unsigned n = 1;; n++) {
            long live = faults.n_live;
            int n_fds = count_fds(), r;

            faults_arm(n, false);
            r = run_program(programs[i].fn);
            faults_disarm();
            if (check_failures > 0)
                print_message("in: %s, call %u\n", programs[i].name, n);
            check_assert();
            if (ait_loop_current() || faults.n_live != live || count_fds() != n_fds)
                fail_msg("%s: refusing call %u leaves %ld blocks, %d fds", programs[i].name, n,
                         faults.n_live - live, count_fds() - n_fds);
            if (!faults.failed) {
                assert_int_equal(r, 0);
                assert_true(n > 5);
                break;
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counted),
        cmocka_unit_test(test_each_in_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
