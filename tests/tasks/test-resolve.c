/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Lookups with a resolver of our own, attempts with a network of our own: how long each address
 * takes is a table, the time is virtual, and who is tried when is checked to the millisecond. Then
 * the real thing, on the loopback.
 */

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "resolve.h"

#define DEADLINE (20 * AIT_USEC_PER_SEC)
#define NEVER    -1
#define ANY      99
#define PORT     1000

static struct resolve_calls real_calls;

static int keep_calls(void **unused)
{
    real_calls = resolve_calls;
    return 0;
}

static int restore_calls(void **unused)
{
    resolve_calls = real_calls;
    return 0;
}

static int count_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static struct addrinfo *numeric(int family, unsigned port)
{
    struct addrinfo hints = {.ai_family = family,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV},
                    *a = NULL;
    char service[8];

    (void)snprintf(service, sizeof(service), "%u", port);
    CHECK_EQ(getaddrinfo(family == AF_INET6 ? "::1" : "127.0.0.1", service, &hints, &a), 0);
    return a;
}

/* ---- lookups --------------------------------------------------------------------------------- */

static int lookup_result;
static unsigned n_lookups;

static int failing_lookup(const char *host, const char *service, const struct addrinfo *hints,
                          struct addrinfo **ret)
{
    n_lookups++;
    errno = ENFILE;
    if (lookup_result == 0)
        return getaddrinfo("127.0.0.1", "7", hints, ret);
    return lookup_result;
}

static const struct {
    int eai, error;
} lookup_cases[] = {
    {EAI_NONAME, -ENOENT},           {EAI_NODATA, -ENOENT},       {EAI_AGAIN, -EAGAIN},
    {EAI_FAIL, -EREMOTEIO},          {EAI_MEMORY, -ENOMEM},       {EAI_SYSTEM, -ENFILE},
    {EAI_SERVICE, -EPROTONOSUPPORT}, {EAI_FAMILY, -EAFNOSUPPORT}, {EAI_CANCELED, -EIO},
};

static int lookups_main(void *unused)
{
    struct addrinfo *a = NULL;

    for (unsigned i = 0; i < ELEMENTS(lookup_cases); i++) {
        lookup_result = lookup_cases[i].eai;
        CHECK_EQ(ait_getaddrinfo(&a, "some.host", "http", NULL), lookup_cases[i].error);
        CHECK(!a);
    }
    CHECK_EQ(n_lookups, ELEMENTS(lookup_cases));
    lookup_result = 0;
    CHECK_EQ(ait_getaddrinfo(&a, "some.host", NULL, &(struct addrinfo){.ai_family = AF_INET}), 0);
    if (CHECK(a))
        CHECK_EQ(a->ai_family, AF_INET);
    freeaddrinfo(a);
    return 0;
}

static void test_lookups(void **unused)
{
    resolve_calls.lookup = failing_lookup;
    n_lookups = 0;
    assert_int_equal(run_virtual(lookups_main, NULL), 0);
}

/* Figures are nobody's business but ours. */
static int figures_main(void *unused)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *a = NULL;

    CHECK_EQ(ait_getaddrinfo(&a, "127.0.0.1", "80", &hints), 0);
    CHECK_EQ(((struct sockaddr_in *)a->ai_addr)->sin_port, htons(80));
    freeaddrinfo(a);
    CHECK_EQ(ait_getaddrinfo(&a, "::1", NULL, &hints), 0);
    CHECK_EQ(a->ai_family, AF_INET6);
    freeaddrinfo(a);
    CHECK_EQ(ait_getaddrinfo(&a, NULL, "80", &hints), 0);
    freeaddrinfo(a);
    CHECK_EQ(n_lookups, 0);
    a = NULL;
    lookup_result = EAI_NONAME;
    CHECK_EQ(ait_getaddrinfo(&a, "::1", "80", &(struct addrinfo){.ai_family = AF_INET}), -ENOENT);
    CHECK_EQ(ait_getaddrinfo(&a, "::1", "80", &(struct addrinfo){.ai_flags = -1}), -EINVAL);
    CHECK_EQ(ait_getaddrinfo(NULL, "::1", "80", NULL), -EINVAL);
    CHECK_EQ(ait_getaddrinfo(&a, NULL, NULL, NULL), -EINVAL);
    CHECK(!a);
    return 0;
}

static void test_figures(void **unused)
{
    resolve_calls.lookup = failing_lookup;
    n_lookups = 0;
    assert_int_equal(run_virtual(figures_main, NULL), 0);
}

static sem_t entered, release, released;

static int hanging_lookup(const char *host, const char *service, const struct addrinfo *hints,
                          struct addrinfo **ret)
{
    int r;

    (void)sem_post(&entered);
    while (sem_wait(&release) < 0)
        continue;
    r = getaddrinfo("127.0.0.1", "7", hints, ret);
    (void)sem_post(&released);
    return r;
}

static int look_up(void *unused)
{
    struct addrinfo *a;
    int r = ait_getaddrinfo(&a, "some.host", NULL, NULL);

    if (r >= 0)
        freeaddrinfo(a);
    return r;
}

static int cancelled_lookup_main(void *unused)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    int result = 0;

    CHECK_EQ(ait_task_spawn(&task, look_up, NULL, NULL), 0);
    while (sem_trywait(&entered) < 0)
        CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(ait_cancel_and_wait(task, &result), 0);
    CHECK_EQ(result, -ECANCELED);
    {
        AIT_SCOPE(scope);

        CHECK_EQ(ait_scope_enter(&scope, 0), 0);
        CHECK_EQ(ait_scope_cancel(scope), 0);
        CHECK_EQ(look_up(NULL), -ECANCELED);
    }
    return 0;
}

/* The caller is gone while the thread still looks; what it finds is freed by nobody but the pool
 * (LeakSanitizer looks). */
static void test_cancelled_lookup(void **unused)
{
    assert_int_equal(sem_init(&entered, 0, 0), 0);
    assert_int_equal(sem_init(&release, 0, 0), 0);
    assert_int_equal(sem_init(&released, 0, 0), 0);
    resolve_calls.lookup = hanging_lookup;
    assert_int_equal(run_virtual(cancelled_lookup_main, NULL), 0);
    assert_int_equal(sem_post(&release), 0);
    while (sem_wait(&released) < 0)
        continue;
}

/* ---- attempts -------------------------------------------------------------------------------- */

struct host {
    int family;
    int msec; /* until it answers; NEVER */
    int result;
    int start; /* when it is to be tried; NEVER */
};

#define MAX_HOSTS 5
#define V4        AF_INET
#define V6        AF_INET6

static const struct race_case {
    const char *name;
    struct host hosts[MAX_HOSTS];
    unsigned delay, max_attempts;
    int winner; /* or negative errno */
    int end;    /* msec */
} race_cases[] = {
    {"the first", {{V6, 10, 0, 0}, {V4, 1, 0, NEVER}}, 0, 0, 0, 10},
    {"one", {{V4, 400, 0, 0}}, 0, 0, 0, 400},
    {"first hangs", {{V6, NEVER, 0, 0}, {V4, 5, 0, 250}}, 0, 0, 1, 255},
    {"first fails", {{V6, 3, -ENETUNREACH, 0}, {V4, 5, 0, 3}}, 0, 0, 1, 8},
    {"first slow but first", {{V6, 300, 0, 0}, {V4, 100, 0, 250}}, 0, 0, 0, 300},
    {"second overtakes", {{V6, 300, 0, 0}, {V4, 49, 0, 250}}, 0, 0, 1, 299},
    {"all fail", {{V6, 3, -ECONNREFUSED, 0}, {V4, 1, -EHOSTUNREACH, 3}}, 0, 0, -ECONNREFUSED, 4},
    {"first error in time",
     {{V6, 300, -EHOSTUNREACH, 0}, {V4, 1, -ECONNREFUSED, 250}},
     0,
     0,
     -ECONNREFUSED,
     300},
    {"families alternate",
     {{V6, NEVER, 0, 0},
      {V6, NEVER, 0, 500},
      {V6, 1, 0, NEVER},
      {V4, NEVER, 0, 250},
      {V4, 5, 0, 750}},
     0,
     0,
     4,
     755},
    {"preferred family first",
     {{V4, 1, -ECONNREFUSED, 0}, {V4, 1, 0, 2}, {V6, 1, -ECONNREFUSED, 1}},
     0,
     0,
     1,
     3},
    {"one family", {{V4, NEVER, 0, 0}, {V4, NEVER, 0, 250}, {V4, 1, 0, 500}}, 0, 0, 2, 501},
    {"a later failure starts the next",
     {{V6, NEVER, 0, 0}, {V4, 1, -ECONNREFUSED, 250}, {V6, 1, 0, 251}},
     0,
     0,
     2,
     252},
    {"an earlier failure does not hurry",
     {{V6, 260, -ECONNREFUSED, 0}, {V4, NEVER, 0, 250}, {V6, 1, 0, 500}},
     0,
     0,
     2,
     501},
    {"delay", {{V6, NEVER, 0, 0}, {V4, 5, 0, 40}}, 40, 0, 1, 45},
    {"no more than", {{V6, 1, -ECONNREFUSED, 0}, {V4, 5, 0, NEVER}}, 0, 1, -ECONNREFUSED, 1},
    {"both at once", {{V6, 300, 0, 0}, {V4, 50, 0, 250}}, 0, 0, ANY, 300},
};

static const struct race_case *race_case;
static int started[MAX_HOSTS], begin_ms;

static unsigned port_of(const struct sockaddr *addr)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)addr;

    return ntohs(in->sin_port); /* an IPv6 address has it in the same place */
}

static int table_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    unsigned i = port_of(addr) - PORT;
    const struct host *h = race_case->hosts + i;
    int r;

    CHECK_EQ(addr->sa_family, h->family);
    CHECK_EQ(started[i], NEVER);
    started[i] = now_ms() - begin_ms;
    r = ait_sleep(h->msec == NEVER ? AIT_USEC_INFINITY : MS(h->msec));
    return r < 0 ? r : h->result;
}

static int remember_port(int fd, const struct sockaddr *addr, socklen_t len, void *userdata)
{
    int *ports = userdata;

    if (fd < 1024)
        ports[fd] = (int)port_of(addr);
    return 0;
}

static struct addrinfo *race_addresses(void)
{
    struct addrinfo *list = NULL, **last = &list;

    for (unsigned i = 0; i < MAX_HOSTS && race_case->hosts[i].family != 0; i++) {
        *last = numeric(race_case->hosts[i].family, PORT + i);
        last = &(*last)->ai_next;
        started[i] = NEVER;
    }
    return list;
}

static int race_main(void *unused)
{
    struct addrinfo *list = race_addresses();
    int r, fd = -1, ports[1024] = {0};

    begin_ms = now_ms();
    r = ait_connect_addresses(&fd, list,
                              AIT_CONNECT_OPTIONS(.delay = MS(race_case->delay),
                                                  .max_attempts = race_case->max_attempts,
                                                  .prepare = remember_port, .userdata = ports));
    CHECK_EQ(now_ms() - begin_ms, race_case->end);
    CHECK_EQ(r, race_case->winner < 0 ? race_case->winner : 0);
    if (race_case->winner >= 0 && CHECK(fd >= 0)) {
        CHECK(race_case->winner == ANY || ports[fd] - PORT == race_case->winner);
        CHECK_EQ(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
        CHECK_EQ(ait_close(fd), 0);
    }
    CHECK_EQ(ait_loop_n_tasks(ait_loop_current()), 1);
    for (unsigned i = 0; i < MAX_HOSTS && race_case->hosts[i].family != 0; i++)
        CHECK_EQ(started[i], race_case->hosts[i].start);
    freeaddrinfo(list);
    return 0;
}

static bool has_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

static void test_races(void **unused)
{
    if (!has_ipv6()) {
        print_message("SKIP: no IPv6 in this kernel\n");
        skip();
    }
    resolve_calls.connect = table_connect;
    for (unsigned i = 0; i < ELEMENTS(race_cases); i++) {
        int n = count_fds();

        race_case = race_cases + i;
        if (run_virtual(race_main, NULL) != 0 || count_fds() != n)
            fail_msg("%s: fds %d before, %d after", race_case->name, n, count_fds());
    }
}

static const struct race_case never = {
    .hosts = {{V4, NEVER, 0, 0}, {V4, NEVER, 0, 250}, {V4, 1, 0, NEVER}}};

static int deadline_main(void *unused)
{
    struct addrinfo *list = race_addresses();
    int fd = -1;
    AIT_SCOPE(scope);

    begin_ms = now_ms();
    CHECK_EQ(ait_scope_enter_after(&scope, 0, MS(400)), 0);
    CHECK_EQ(ait_scope_exit(scope, ait_connect_addresses(&fd, list, NULL)), -ETIME);
    CHECK_EQ(fd, -1);
    CHECK_EQ(now_ms() - begin_ms, 400);
    CHECK_EQ(started[1], 250);
    CHECK_EQ(ait_loop_n_tasks(ait_loop_current()), 1);
    freeaddrinfo(list);
    return 0;
}

static void test_deadline(void **unused)
{
    int n = count_fds();

    resolve_calls.connect = table_connect;
    race_case = &never;
    assert_int_equal(run_virtual(deadline_main, NULL), 0);
    assert_int_equal(count_fds(), n);
}

static int refuse_socket(int fd, const struct sockaddr *addr, socklen_t len, void *userdata)
{
    return -EACCES;
}

static int misuse_main(void *unused)
{
    ait_connect_options small = {.size = 7};
    struct addrinfo *list = numeric(AF_INET, 1);
    int fd = -7;

    CHECK_EQ(ait_connect_addresses(NULL, list, NULL), -EINVAL);
    CHECK_EQ(ait_connect_addresses(&fd, NULL, NULL), -ENOENT);
    CHECK_EQ(ait_connect_addresses(&fd, list, &small), -EINVAL);
    CHECK_EQ(ait_connect_addresses(&fd, list, AIT_CONNECT_OPTIONS(.prepare = refuse_socket)),
             -EACCES);
    CHECK_EQ(ait_connect_host(NULL, "127.0.0.1", "1", NULL), -EINVAL);
    CHECK_EQ(ait_connect_host(&fd, "127.0.0.1", NULL, NULL), -EINVAL);
    CHECK_EQ(ait_connect_host(&fd, "127.0.0.1", "1", &small), -EINVAL);
    CHECK_EQ(fd, -7);
    freeaddrinfo(list);
    return 0;
}

static void test_misuse(void **unused)
{
    int fd;

    assert_int_equal(ait_connect_host(&fd, "127.0.0.1", "1", NULL), -EPERM);
    assert_int_equal(run_virtual(misuse_main, NULL), 0);
}

/* ---- on the loopback ------------------------------------------------------------------------- */

static int listen_v4(int backlog, unsigned *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK_EQ(bind(fd, (struct sockaddr *)&address, len), 0);
    CHECK_EQ(listen(fd, backlog), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* A listener whose queue is full drops what comes: an address that does not answer. Returns how
 * many connections that took. */
static unsigned block_listener(unsigned port, int fds[], unsigned max)
{
    struct addrinfo *a = numeric(AF_INET, port);
    unsigned n = 0;

    for (; n < max; n++) {
        struct pollfd p = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
                           .events = POLLOUT};

        fds[n] = p.fd;
        (void)connect(p.fd, a->ai_addr, a->ai_addrlen);
        if (poll(&p, 1, 100) == 0) {
            n++;
            break;
        }
    }
    freeaddrinfo(a);
    return n;
}

/* Black hole, refused, answer. */
static int loopback_main(void *unused)
{
    unsigned hole_port, closed_port, port, n;
    int hole = listen_v4(0, &hole_port), closed = listen_v4(1, &closed_port),
        listener = listen_v4(1, &port);
    struct addrinfo *list;
    int fds[16], fd = -1;
    AIT_SCOPE(scope);

    CHECK_EQ(ait_close(closed), 0);
    n = block_listener(hole_port, fds, ELEMENTS(fds));
    list = numeric(AF_INET, hole_port);
    list->ai_next = numeric(AF_INET, closed_port);
    list->ai_next->ai_next = numeric(AF_INET, port);
    CHECK_EQ(ait_scope_enter_after(&scope, 0, DEADLINE), 0);
    CHECK_EQ(ait_connect_addresses(&fd, list, AIT_CONNECT_OPTIONS(.delay = MS(10))), 0);
    if (CHECK(fd >= 0)) {
        struct sockaddr_in peer;
        socklen_t len = sizeof(peer);

        CHECK_EQ(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
        CHECK_EQ(ntohs(peer.sin_port), port);
        CHECK_EQ(ait_close(fd), 0);
    }
    freeaddrinfo(list);
    for (unsigned i = 0; i < n; i++)
        (void)close(fds[i]);
    CHECK_EQ(ait_close(hole), 0);
    CHECK_EQ(ait_close(listener), 0);
    return ait_scope_exit(scope, 0);
}

static void test_loopback(void **unused)
{
    int n = count_fds();

    assert_int_equal(run_real(loopback_main, NULL), 0);
    assert_int_equal(count_fds(), n);
}

static bool knows_localhost(void)
{
    struct addrinfo *found, hints = {.ai_family = AF_INET};

    if (getaddrinfo("localhost", NULL, &hints, &found) != 0)
        return false;
    freeaddrinfo(found);
    return true;
}

/* By a name, with whatever this machine says that its addresses are; the resolver is the real one.
 */
static int host_main(void *unused)
{
    char service[8];
    unsigned port;
    int listener = listen_v4(1, &port), fd = -1;
    AIT_SCOPE(scope);

    (void)snprintf(service, sizeof(service), "%u", port);
    CHECK_EQ(ait_scope_enter_after(&scope, 0, DEADLINE), 0);
    /* A minimal system has no /etc/hosts, and so no localhost: then the answer is the resolver's.
     */
    if (knows_localhost()) {
        CHECK_EQ(
            ait_connect_host(&fd, "localhost", service, AIT_CONNECT_OPTIONS(.family = AF_INET)), 0);
        CHECK_EQ(ait_close(fd), 0);
        fd = -1;
    } else {
        CHECK(ait_connect_host(&fd, "localhost", service, AIT_CONNECT_OPTIONS(.family = AF_INET)) <
              0);
    }
    CHECK_EQ(ait_connect_host(&fd, "127.0.0.1", service, NULL), 0);
    CHECK_EQ(ait_close(fd), 0);
    CHECK_EQ(ait_close(listener), 0);
    CHECK_EQ(ait_connect_host(&fd, "127.0.0.1", service, NULL), -ECONNREFUSED);
    return ait_scope_exit(scope, 0);
}

static void test_host(void **unused)
{
    assert_int_equal(run_real(host_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_lookups, restore_calls),
        cmocka_unit_test_teardown(test_figures, restore_calls),
        cmocka_unit_test_teardown(test_cancelled_lookup, restore_calls),
        cmocka_unit_test_teardown(test_races, restore_calls),
        cmocka_unit_test_teardown(test_deadline, restore_calls),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_host),
    };

    return cmocka_run_group_tests(tests, keep_calls, NULL);
}
