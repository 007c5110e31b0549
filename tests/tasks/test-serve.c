/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Connections on listening sockets of our own, on virtual time: clients are tasks beside the
 * server. */

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

#define CLIENTS 20

struct listener {
    int fd;
    struct sockaddr_un addr;
    socklen_t len;
};

/* An abstract name that the kernel chooses. */
static struct listener listener_open(int backlog)
{
    struct listener l = {.addr.sun_family = AF_UNIX, .len = sizeof(l.addr)};

    l.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(l.fd, (struct sockaddr *)&l.addr, sizeof(sa_family_t)), 0);
    CHECK_EQ(listen(l.fd, backlog), 0);
    CHECK_EQ(getsockname(l.fd, (struct sockaddr *)&l.addr, &l.len), 0);
    return l;
}

static int client_open(const struct listener *l)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    CHECK_EQ(connect(fd, (const struct sockaddr *)&l->addr, l->len), 0);
    return fd;
}

static unsigned n_fds(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* A server as a task, that is cancelled by its end. */
struct server {
    struct listener listeners[2];
    size_t n;
    ait_connection_fn fn;
    ait_serve_options options;
    ait_serve_counters counters;
    unsigned n_begun, n_cancelled, most;
    int result;
};

static int server_main(void *userdata)
{
    struct server *s = userdata;
    int fds[2] = {s->listeners[0].fd, s->listeners[1].fd};

    s->options.size = sizeof(s->options);
    s->options.counters = &s->counters;
    s->counters.size = sizeof(s->counters);
    s->result = ait_serve_listeners(fds, s->n, s->fn, s, &s->options);
    return 0;
}

static void server_open(struct server *s, size_t n, ait_connection_fn fn)
{
    *s = (struct server){.n = n, .fn = fn};
    for (size_t i = 0; i < n; i++)
        s->listeners[i] = listener_open(CLIENTS);
}

static void server_close(struct server *s)
{
    for (size_t i = 0; i < s->n; i++)
        (void)ait_close(s->listeners[i].fd);
}

/* Answers each byte by the next one. */
static int succ(int fd, void *userdata)
{
    struct server *s = userdata;
    unsigned char c;
    ssize_t r;

    s->n_begun++;
    s->most = s->counters.n_active > s->most ? s->counters.n_active : s->most;
    while ((r = ait_read(fd, &c, 1)) == 1) {
        c++;
        r = ait_write_all(fd, &c, 1, NULL);
        if (r < 0)
            break;
    }
    s->n_cancelled += r == -ECANCELED;
    return (int)r;
}

static void ask(int fd, unsigned char c)
{
    unsigned char answer = 0;

    CHECK_EQ(ait_write_all(fd, &c, 1, NULL), 0);
    CHECK_EQ(ait_read(fd, &answer, 1), 1);
    CHECK_EQ(answer, (unsigned char)(c + 1));
}

/* ---- serving --------------------------------------------------------------------------------- */

static int serves_main(void *unused)
{
    struct server s;
    int clients[CLIENTS];
    ait_task *task;

    server_open(&s, 2, succ);
    CHECK_EQ(ait_task_spawn(&task, server_main, &s, NULL), 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = client_open(&s.listeners[i % 2]);
    for (unsigned i = 0; i < CLIENTS; i++)
        ask(clients[i], (unsigned char)i);
    CHECK_EQ(s.counters.n_accepted, CLIENTS);
    CHECK_EQ(s.counters.n_active, CLIENTS);
    CHECK_EQ(s.counters.draining, 0);
    for (unsigned i = 0; i < CLIENTS / 2; i++)
        (void)ait_close(clients[i]);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(s.counters.n_active, CLIENTS - CLIENTS / 2);
    CHECK_EQ(ait_cancel_and_wait(task, NULL), 1);
    CHECK_EQ(s.result, -ECANCELED);
    CHECK_EQ(s.n_cancelled, CLIENTS - CLIENTS / 2);
    CHECK_EQ(s.counters.n_active, 0);
    CHECK_EQ(s.counters.n_failed, 0);
    CHECK_EQ(s.counters.draining, 1);
    CHECK_EQ(s.counters.n_pauses, 0);
    for (unsigned i = CLIENTS / 2; i < CLIENTS; i++)
        (void)ait_close(clients[i]);
    ait_task_unref(task);
    server_close(&s);
    return 0;
}

static void test_serves(void **unused)
{
    unsigned before = n_fds();

    assert_int_equal(run_virtual(serves_main, NULL), 0);
    assert_int_equal(n_fds(), before);
}

/* A connection that fails is counted, and that is all. */
static int every_other_fails(int fd, void *userdata)
{
    struct server *s = userdata;

    return s->n_begun++ % 2 ? -EPROTO : succ(fd, userdata);
}

static int failures_main(void *unused)
{
    struct server s;
    int a, b;
    char c;
    ait_task *task;

    server_open(&s, 1, every_other_fails);
    CHECK_EQ(ait_task_spawn(&task, server_main, &s, NULL), 0);
    a = client_open(&s.listeners[0]);
    ask(a, 'a');
    s.n_begun = 1;
    b = client_open(&s.listeners[0]);
    CHECK_EQ(ait_read(b, &c, 1), 0);
    ask(a, 'b');
    CHECK_EQ(s.counters.n_failed, 1);
    (void)ait_close(a);
    (void)ait_close(b);
    CHECK_EQ(ait_cancel_and_wait(task, NULL), 1);
    CHECK_EQ(s.counters.n_failed, 1);
    ait_task_unref(task);
    server_close(&s);
    return 0;
}

static void test_failures(void **unused)
{
    assert_int_equal(run_virtual(failures_main, NULL), 0);
    assert_int_equal(check_handled, 0);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

/* The others wait in the sockets' queues, and lose nothing. */
static int bound_main(void *unused)
{
    struct server s;
    int clients[CLIENTS];
    ait_task *task;

    server_open(&s, 2, succ);
    s.options.max_connections = 3;
    CHECK_EQ(ait_task_spawn(&task, server_main, &s, NULL), 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = client_open(&s.listeners[0]);
    for (unsigned i = 0; i < CLIENTS; i++) {
        ask(clients[i], (unsigned char)i);
        (void)ait_close(clients[i]);
    }
    CHECK_EQ(s.most, 3);
    CHECK_EQ(s.n_begun, CLIENTS);
    CHECK(s.counters.n_pauses > 0);
    CHECK_EQ(ait_cancel_and_wait(task, NULL), 1);
    ait_task_unref(task);
    server_close(&s);
    return 0;
}

static void test_bound(void **unused)
{
    assert_int_equal(run_virtual(bound_main, NULL), 0);
}

/* Descriptors run out: accepting pauses, and goes on when a connection has ended. */
static int shortage_main(void *unused)
{
    struct server s;
    struct rlimit before, few;
    int clients[CLIENTS];
    ait_task *task;

    server_open(&s, 1, succ);
    CHECK_EQ(ait_task_spawn(&task, server_main, &s, NULL), 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = client_open(&s.listeners[0]);
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    few =
        (struct rlimit){.rlim_cur = (rlim_t)clients[CLIENTS - 1] + 5, .rlim_max = before.rlim_max};
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        ask(clients[i], (unsigned char)i);
        /* Its number is taken at once by others: it is the connection's end that makes room. */
        (void)shutdown(clients[i], SHUT_WR);
    }
    CHECK(s.counters.n_pauses > 0);
    CHECK_EQ(s.n_begun, CLIENTS);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        (void)ait_close(clients[i]);
    CHECK_EQ(ait_cancel_and_wait(task, NULL), 1);
    ait_task_unref(task);
    server_close(&s);
    return 0;
}

static void test_shortage(void **unused)
{
    assert_int_equal(run_virtual(shortage_main, NULL), 0);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* What waits in the queue when the server is cancelled is served, too: its connection has begun. */
static int shielded(int fd, void *userdata)
{
    AIT_SCOPE(shield);
    int r = ait_scope_enter(&shield, AIT_SCOPE_SHIELD);

    return r < 0 ? r : ait_scope_exit(shield, succ(fd, userdata));
}

static int queued_main(void *unused)
{
    struct server s;
    int clients[CLIENTS];
    ait_task *task;

    server_open(&s, 2, shielded);
    CHECK_EQ(ait_task_spawn(&task, server_main, &s, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = client_open(&s.listeners[i % 2]);
    CHECK_EQ(ait_task_cancel(task), 1);
    for (unsigned i = 0; i < CLIENTS; i++) {
        ask(clients[i], (unsigned char)i);
        (void)ait_close(clients[i]);
    }
    CHECK_EQ(ait_task_wait(task, NULL), 0);
    CHECK_EQ(s.result, -ECANCELED);
    CHECK_EQ(s.n_begun, CLIENTS);
    ait_task_unref(task);
    server_close(&s);
    return 0;
}

static void test_queued(void **unused)
{
    assert_int_equal(run_virtual(queued_main, NULL), 0);
}

static const struct {
    uint64_t grace_ms;
    int closes_ms; /* when the client closes */
    int ends_ms;   /* when the call returns */
    unsigned n_cancelled;
} grace_cases[] = {
    {0, 500, 0, 1},
    {300, 500, 300, 1},
    {300, 200, 200, 0},
    {UINT64_MAX, 5000, 5000, 0},
};

struct closing {
    int fd;
    uint64_t usec;
};

static int close_later(void *userdata)
{
    const struct closing *c = userdata;
    int r = ait_sleep(c->usec);

    (void)ait_close(c->fd);
    return r;
}

static int grace_main(void *userdata)
{
    for (unsigned i = 0; i < ELEMENTS(grace_cases); i++) {
        struct server s;
        struct closing c = {.usec = MS(grace_cases[i].closes_ms)};
        ait_task *task, *client;
        int begun;

        server_open(&s, 1, succ);
        s.options.grace_usec =
            grace_cases[i].grace_ms == UINT64_MAX ? AIT_USEC_INFINITY : MS(grace_cases[i].grace_ms);
        CHECK_EQ(ait_task_spawn(&task, server_main, &s, NULL), 0);
        c.fd = client_open(&s.listeners[0]);
        ask(c.fd, 'x');
        begun = now_ms();
        CHECK_EQ(ait_task_spawn(&client, close_later, &c, NULL), 0);
        CHECK_EQ(ait_cancel_and_wait(task, NULL), 1);
        CHECK_EQ(now_ms() - begun, grace_cases[i].ends_ms);
        CHECK_EQ(s.n_cancelled, grace_cases[i].n_cancelled);
        CHECK_EQ(s.result, -ECANCELED);
        CHECK_EQ(ait_task_wait(client, NULL), 0);
        ait_task_unref(client);
        ait_task_unref(task);
        server_close(&s);
    }
    return 0;
}

static void test_grace(void **unused)
{
    assert_int_equal(run_virtual(grace_main, NULL), 0);
}

/* One of the sockets no longer listens: the call ends with its error, when all connections have. */
static int broken_main(void *unused)
{
    struct server s;
    ait_task *task;
    int fd;

    server_open(&s, 2, shielded);
    (void)ait_close(s.listeners[1].fd);
    s.listeners[1].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(listen(s.listeners[1].fd, 1), 0);
    CHECK_EQ(ait_task_spawn(&task, server_main, &s, NULL), 0);
    fd = client_open(&s.listeners[0]);
    ask(fd, 'x');
    CHECK_EQ(shutdown(s.listeners[1].fd, SHUT_RDWR), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_task_is_done(task), 0);
    ask(fd, 'y');
    (void)ait_close(fd);
    CHECK_EQ(ait_task_wait(task, NULL), 0);
    CHECK_EQ(s.result, -EINVAL);
    ait_task_unref(task);
    server_close(&s);
    return 0;
}

static void test_broken(void **unused)
{
    assert_int_equal(run_virtual(broken_main, NULL), 0);
}

/* ---- arguments ------------------------------------------------------------------------------- */

static int arguments_main(void *unused)
{
    struct {
        ait_serve_options options;
        char more;
    } larger = {.options.size = sizeof(larger), .more = 1};
    ait_serve_counters none = {0};
    struct listener l = listener_open(1);
    int deaf = socket(AF_UNIX, SOCK_STREAM, 0), plain = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int two[] = {l.fd, deaf};

    CHECK_EQ(ait_serve_listeners(NULL, 1, succ, NULL, NULL), -EINVAL);
    CHECK_EQ(ait_serve_listeners(&l.fd, 0, succ, NULL, NULL), -EINVAL);
    CHECK_EQ(ait_serve_listeners(&l.fd, 1, NULL, NULL, NULL), -EINVAL);
    CHECK_EQ(ait_serve_listeners(&deaf, 1, succ, NULL, NULL), -EINVAL);
    CHECK_EQ(ait_serve_listeners(two, 2, succ, NULL, NULL), -EINVAL);
    CHECK_EQ(ait_serve_listeners(&plain, 1, succ, NULL, NULL), -ENOTSOCK);
    CHECK_EQ(ait_serve_listeners(&(int){-1}, 1, succ, NULL, NULL), -EBADF);
    CHECK_EQ(ait_serve_listeners(&l.fd, 1, succ, NULL, &(ait_serve_options){0}), -EINVAL);
    CHECK_EQ(ait_serve_listeners(&l.fd, 1, succ, NULL, &larger.options), -E2BIG);
    CHECK_EQ(ait_serve_listeners(&l.fd, 1, succ, NULL, AIT_SERVE_OPTIONS(.counters = &none)),
             -EINVAL);
    CHECK_EQ(ait_task_cancel(ait_task_current()), 1);
    CHECK_EQ(ait_serve_listeners(&l.fd, 1, succ, NULL, NULL), -ECANCELED);
    (void)close(plain);
    (void)close(deaf);
    (void)ait_close(l.fd);
    return 0;
}

static void test_arguments(void **unused)
{
    assert_int_equal(ait_serve_listeners(&(int){0}, 0, succ, NULL, NULL), -EINVAL);
    assert_int_equal(run_virtual(arguments_main, NULL), 0);
}

/* A program that knows fewer counters. */
static int older_main(void *unused)
{
    struct {
        size_t size;
        uint64_t n_accepted, untouched;
    } old = {.size = 2 * sizeof(uint64_t), .untouched = 7};
    struct server s;
    int fd;
    AIT_SCOPE(scope);

    server_open(&s, 1, succ);
    fd = client_open(&s.listeners[0]);
    CHECK_EQ(ait_scope_enter_after(&scope, AIT_SCOPE_MOVE_ON, MS(10)), 0);
    CHECK_EQ(ait_serve_listeners(&s.listeners[0].fd, 1, succ, &s,
                                 AIT_SERVE_OPTIONS(.counters = (ait_serve_counters *)&old)),
             -ECANCELED);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(old.n_accepted, 1);
    CHECK_EQ(old.untouched, 7);
    (void)ait_close(fd);
    server_close(&s);
    return 0;
}

static void test_older(void **unused)
{
    assert_int_equal(run_virtual(older_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serves), cmocka_unit_test(test_failures),
        cmocka_unit_test(test_bound),  cmocka_unit_test(test_shortage),
        cmocka_unit_test(test_queued), cmocka_unit_test(test_grace),
        cmocka_unit_test(test_broken), cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_older),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
