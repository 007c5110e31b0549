/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a worker has done to its listening sockets, and what of it the next one meets: nothing.
 * Copies of the fds stand for workers that still run.
 */

#include "listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ELEMENTS(a) (sizeof(a) / sizeof(*(a)))

#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif

static struct listen_set *open_for(const char *text, enum listen_model model, unsigned n)
{
    const struct listen_options o = {.listen = &text, .n_listen = 1, .model = model, .n_slots = n};
    struct listen_set *s = NULL;
    struct problem p = {0};

    if (listen_set_open(&s, &o, &p) < 0)
        fail_msg("%s", p.text);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(listen_set_take_seat(s, &p), (int)i);
        assert_int_equal(listen_set_steer_seat(s, i, STEER_READY), 0);
        assert_int_equal(listen_set_steer_slot(s, i, STEER_READY), 0);
    }
    return s;
}

static int fd_of(const struct listen_set *s, unsigned member)
{
    int fd = -1;

    assert_int_equal(listen_set_fds(s, member, member, &fd), 0);
    return fd;
}

/* A client that has connected, or sent a datagram. */
static int knock(const struct listen_set *s)
{
    struct address a;
    int fd;

    assert_int_equal(address_parse(listen_set_address(s, 0), &a, NULL), 0);
    if (address_is_wildcard(&a)) { /* of both families, and not every system has IPv6 */
        unsigned port = address_port(&a);

        a.in =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        a.size = sizeof a.in;
        address_set_port(&a, port);
    }
    fd = socket(a.sa.sa_family, a.type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    if (connect(fd, &a.sa, a.size) < 0 && errno != EINPROGRESS)
        fail_msg("%s: %s", listen_set_address(s, 0), strerror(errno));
    if (a.type == SOCK_DGRAM)
        assert_int_equal(send(fd, "x", 1, 0), 1);
    return fd;
}

static bool is_woken(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 2000) == 1 && (p.revents & POLLIN);
}

/* Takes what came. */
static void serve(int fd)
{
    int type, client;
    socklen_t size = sizeof type;
    char byte;

    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size), 0);
    if (type == SOCK_DGRAM) {
        assert_int_equal(recv(fd, &byte, 1, 0), 1);
        return;
    }
    client = accept(fd, NULL, NULL);
    assert_true(client >= 0);
    close(client);
}

/* All of several clients reach this worker: the other one is avoided, or there is none. */
static void check_serves(struct listen_set *s, unsigned member, const char *what)
{
    int fd = fd_of(s, member);

    for (unsigned i = 0; i < 8; i++) {
        int client = knock(s);

        if (!is_woken(fd))
            fail_msg("%s: %s: a client is not heard", listen_set_address(s, 0), what);
        serve(fd);
        close(client);
    }
}

/* ---- what workers do ------------------------------------------------------------------------- */

static void shut_down(int fd)
{
    (void)shutdown(fd, SHUT_RDWR);
}

static void own_address(int fd, struct sockaddr_storage *a, socklen_t *size)
{
    *size = sizeof *a;
    assert_int_equal(getsockname(fd, (void *)a, size), 0);
}

/* TCP connects to itself; a socket that is connected accepts nothing, and listen() refuses it. */
static void connect_it(int fd)
{
    struct sockaddr_storage a;
    socklen_t size;

    own_address(fd, &a, &size);
    (void)shutdown(fd, SHUT_RDWR);
    (void)connect(fd, (void *)&a, size);
}

static void connect_alone(int fd)
{
    struct sockaddr_storage a;
    socklen_t size;

    own_address(fd, &a, &size);
    (void)connect(fd, (void *)&a, size);
}

/* IPv6 still compares senders with that peer. */
static void connect_and_disconnect(int fd)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    struct sockaddr_storage a;
    socklen_t size;

    own_address(fd, &a, &size);
    (void)connect(fd, (void *)&a, size);
    (void)connect(fd, &none, sizeof none);
    (void)bind(fd, (void *)&a, size);
}

/* On a port that the system has chosen it can. */
static void listen_elsewhere(int fd)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    (void)shutdown(fd, SHUT_RDWR);
    (void)bind(fd, (void *)&a, sizeof a);
    (void)listen(fd, 5);
}

static void drop_all(int fd)
{
    struct sock_filter drop[] = {{BPF_RET | BPF_K, 0, 0, 0}};
    const struct sock_fprog program = {1, drop};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
}

static void lock(int fd)
{
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &(int){1}, sizeof(int)), 0);
}

static void drop_all_and_lock(int fd)
{
    drop_all(fd);
    lock(fd);
}

static void take_all(int fd)
{
    struct sock_filter first[] = {{BPF_RET | BPF_K, 0, 0, 0}};
    const struct sock_fprog program = {1, first};

    (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
}

static void take_all_and_lock(int fd)
{
    take_all(fd);
    lock(fd);
}

static void let_nobody_join(int fd)
{
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){0}, sizeof(int));
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){0}, sizeof(int));
}

static void hide(int fd)
{
    (void)setsockopt(fd, IPPROTO_IP, IP_TTL, &(int){1}, sizeof(int));
    (void)setsockopt(fd, IPPROTO_IP, IP_MINTTL, &(int){255}, sizeof(int));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){1}, sizeof(int));
}

/* Of anybody. */
static void demand_signatures(int fd)
{
    struct tcp_md5sig key = {
        .tcpm_keylen = 4, .tcpm_flags = TCP_MD5SIG_FLAG_PREFIX, .tcpm_key = "abcd"};
    struct sockaddr_storage a;
    socklen_t size;

    own_address(fd, &a, &size);
    key.tcpm_addr.ss_family = a.ss_family;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG_EXT, &key, sizeof key);
}

/* Newer kernels let only root attach filters to TCP. */
static bool can_filter(void)
{
    const struct sock_fprog program = {1, (struct sock_filter[]){{BPF_RET | BPF_K, 0, 0, 1}}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool can = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;

    close(fd);
    return can;
}

enum { TCP = 1, UDP = 2, UNIX = 4, NET = TCP | UDP };

static const struct deed {
    const char *name;
    void (*do_it)(int fd);
    int on;
    const char *said; /* to whoever starts the next worker; "": nothing */
} deeds[] = {
    {"shut down", shut_down, TCP | UDP | UNIX, ""},
    {"connect", connect_it, NET, ""},
    {"connect alone", connect_alone, UDP, ""},
    {"connect and disconnect", connect_and_disconnect, UDP, ""},
    {"listen elsewhere", listen_elsewhere, TCP, ""},
    {"filter", drop_all, NET, "(SO_ATTACH_FILTER), which are as they were again"},
    {"filter and lock", drop_all_and_lock, NET, "there is a new socket"},
    {"take all", take_all, NET, ""},
    {"take all and lock", take_all_and_lock, NET, ""},
    {"let nobody join", let_nobody_join, NET, ""},
    {"demand signatures", demand_signatures, TCP, "(TCP_MD5SIG); there is a new socket"},
    {"hide", hide, NET, "(IP_TTL, IP_MINTTL), which are as they were again"},
};

static const struct {
    const char *text;
    int kind;
} addresses[] = {
    {"127.0.0.1:0", TCP},     {"0", TCP},
    {"udp:127.0.0.1:0", UDP}, {"udp:0", UDP},
    {"@test-repair", UNIX},   {"seqpacket:@test-repair", UNIX},
};

/* Its worker has gone, and the next one of the slot gets the same fd. */
static void try_deed(const struct deed *deed, const char *text, enum listen_model model, unsigned n,
                     bool others)
{
    struct listen_set *s = open_for(text, model, n);
    struct problem p = {0};
    int fd = fd_of(s, 0), before = dup(fd), r;
    char what[64];

    (void)snprintf(what, sizeof what, "%s, %s, %u workers", deed->name,
                   model == LISTEN_SHARED ? "shared" : "own", n);
    assert_int_equal(check_all(s, 0, 0, &p), 0);
    deed->do_it(before);
    if (!others)
        close(before);
    if (n > 1) {
        (void)listen_set_steer_seat(s, 1, STEER_AWAY);
        (void)listen_set_steer_slot(s, 1, STEER_AWAY);
    }
    r = listen_set_check(s, 0, 0, 0, others && model == LISTEN_SHARED, &p);
    if (r < 0 || !strstr(p.text, deed->said) ||
        (!deed->said[0] && p.text[0] && !strstr(p.text, "peer of connect(2)")))
        fail_msg("%s: %s: %d, %s", text, what, r, p.text);
    assert_int_equal(fd_of(s, 0), fd);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    check_serves(s, 0, what);
    r = check_all(s, 0, 0, &p);
    if (r != 0)
        fail_msg("%s: %s: once more %d, %s", text, what, r, p.text);
    /* A replacement gets its own. */
    assert_true(listen_set_take_seat(s, &p) == (int)n);
    if (others)
        close(before);
    listen_set_close(s);
}

static void test_each_deed(void **state)
{
    static const struct {
        enum listen_model model;
        unsigned n;
        bool others;
        int on;
    } ways[] = {
        {LISTEN_SHARED, 1, false, TCP | UDP | UNIX},
        {LISTEN_SHARED, 1, true, NET},
        {LISTEN_DEFAULT, 1, false, NET},
        {LISTEN_DEFAULT, 1, true, NET},
        {LISTEN_DEFAULT, 2, false, TCP},
        {LISTEN_DEFAULT, 2, true, TCP},
    };
    unsigned n = 0;

    (void)state;
    for (size_t i = 0; i < ELEMENTS(deeds); i++)
        for (size_t k = 0; k < ELEMENTS(addresses); k++)
            for (size_t w = 0; w < ELEMENTS(ways); w++) {
                if (!(deeds[i].on & addresses[k].kind & ways[w].on))
                    continue;
                /* Others cannot see it. */
                if (deeds[i].do_it == demand_signatures && geteuid() != 0)
                    continue;
                if ((deeds[i].do_it == drop_all || deeds[i].do_it == drop_all_and_lock) &&
                    !can_filter())
                    continue;
                try_deed(&deeds[i], addresses[k].text, ways[w].model, ways[w].n, ways[w].others);
                n++;
            }
    print_message("%u cases\n", n);
}

/* ---- what is said ---------------------------------------------------------------------------- */

/* What waited at a socket that had to be replaced is lost, and counted. */
static void test_lost(void **state)
{
    if (!can_filter())
        skip();
    for (enum listen_model model = LISTEN_DEFAULT; model <= LISTEN_SHARED; model += 2) {
        struct listen_set *s = open_for("127.0.0.1:0", model, 1);
        struct problem p = {0};
        int clients[3];

        for (size_t i = 0; i < 3; i++)
            clients[i] = knock(s);
        drop_all_and_lock(fd_of(s, 0));
        assert_int_equal(check_all(s, 0, 0, &p), 1);
        assert_non_null(strstr(p.text, "3 connections that waited at the old one are lost"));
        check_serves(s, 0, "after a loss");
        for (size_t i = 0; i < 3; i++)
            close(clients[i]);
        listen_set_close(s);
    }
    (void)state;
}

/* What can be put back costs no connection. */
static void test_nothing_lost(void **state)
{
    if (!can_filter())
        skip();
    for (enum listen_model model = LISTEN_DEFAULT; model <= LISTEN_SHARED; model += 2) {
        struct listen_set *s = open_for("127.0.0.1:0", model, 1);
        struct problem p = {0};
        int clients[3];

        for (size_t i = 0; i < 3; i++)
            clients[i] = knock(s);
        drop_all(fd_of(s, 0));
        hide(fd_of(s, 0));
        assert_true(check_all(s, 0, 0, &p) >= 1);
        for (size_t i = 0; i < 3; i++) {
            assert_true(is_woken(fd_of(s, 0)));
            serve(fd_of(s, 0));
            close(clients[i]);
        }
        listen_set_close(s);
    }
    (void)state;
}

/* While workers run it is told, and stays. */
static void test_look(void **state)
{
    if (!can_filter())
        skip();
    struct listen_set *s = open_for("127.0.0.1:0", LISTEN_SHARED, 1);
    struct problem p = {0};
    char names[160];

    assert_false(listen_set_is_spoiled(s, 0, names, sizeof names));
    assert_int_equal(setsockopt(fd_of(s, 0), IPPROTO_TCP, 9 /* TCP_DEFER_ACCEPT */, &(int){5}, 4),
                     0);
    assert_false(listen_set_is_spoiled(s, 0, names, sizeof names));
    drop_all(fd_of(s, 0));
    assert_true(listen_set_is_spoiled(s, 0, names, sizeof names));
    assert_string_equal(names, "SO_ATTACH_FILTER");
    assert_true(check_all(s, 0, 0, &p) > 0);
    assert_false(listen_set_is_spoiled(s, 0, names, sizeof names));
    listen_set_close(s);
    /* A worker's own socket is its business. */
    s = open_for("127.0.0.1:0", LISTEN_DEFAULT, 1);
    drop_all(fd_of(s, 0));
    assert_false(listen_set_is_spoiled(s, 0, names, sizeof names));
    listen_set_close(s);
    (void)state;
}

static bool has_ipv6(void)
{
    const struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    bool has = fd >= 0 && bind(fd, (const void *)&a, sizeof a) == 0;

    if (fd >= 0)
        close(fd);
    return has;
}

/* Linux shows nobody but the reader of /proc/net that IPv6 still has a peer. */
static void test_stale_peer(void **state)
{
    for (enum listen_model model = LISTEN_DEFAULT; model <= LISTEN_SHARED; model += 2) {
        struct listen_set *s = open_for("udp:0", model, 1);
        struct problem p = {0};

        if (strncmp(listen_set_address(s, 0), "udp:[", 5) == 0 && has_ipv6()) {
            connect_and_disconnect(fd_of(s, 0));
            assert_int_equal(check_all(s, 0, 0, &p), 1);
            assert_non_null(strstr(p.text, "(a peer of connect(2)); there is a new socket"));
            assert_int_equal(check_all(s, 0, 0, &p), 0);
        }
        listen_set_close(s);
    }
    (void)state;
}

/* Those who have a socket when another worker has ended keep what servers set on it. */
static void test_rest(void **state)
{
    static const char *const texts[] = {"127.0.0.1:0", "udp:127.0.0.1:0"};

    (void)state;
    if (!can_filter())
        skip();
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        struct listen_set *s = open_for(texts[i], i == 0 ? LISTEN_SHARED : LISTEN_DEFAULT, 1);
        struct problem p = {0};
        int priority = 6;
        socklen_t size = sizeof priority;

        assert_int_equal(
            setsockopt(fd_of(s, 0), SOL_SOCKET, SO_PRIORITY, &priority, sizeof priority), 0);
        drop_all(fd_of(s, 0));
        assert_int_equal(listen_set_check_rest(s, 0, 0, &p), 1);
        assert_non_null(strstr(p.text, "(SO_ATTACH_FILTER), which are as they were again"));
        assert_int_equal(getsockopt(fd_of(s, 0), SOL_SOCKET, SO_PRIORITY, &priority, &size), 0);
        assert_int_equal(priority, 6);
        check_serves(s, 0, "the rest");
        listen_set_close(s);
    }
}

/* One that nothing has reported is found by a look. */
static void test_mend_what_is_not_reported(void **state)
{
    static const char *const texts[] = {"127.0.0.1:0", "udp:127.0.0.1:0"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(texts); i++)
        for (enum listen_model model = LISTEN_DEFAULT; model <= LISTEN_SHARED; model += 2) {
            struct listen_set *s = open_for(texts[i], model, 1);
            struct listen_cursor c = {0};
            struct problem p = {0};

            (i == 0 ? connect_it : connect_alone)(fd_of(s, 0));
            assert_int_equal(listen_set_mend(s, &c, &p), 1);
            assert_false(c.renewed);
            assert_int_equal(listen_set_mend(s, &c, &p), 0);
            check_serves(s, 0, "after a look");
            listen_set_close(s);
        }
}

/* The program of a group that a worker has replaced is put back, whoever has locked it. */
static void test_steer_again(void **state)
{
    for (unsigned evil = 0; evil < 2; evil++) {
        struct listen_set *s = open_for("127.0.0.1:0", LISTEN_DEFAULT, 2);

        assert_int_equal(listen_set_steer_seat(s, 0, STEER_AWAY), 0);
        take_all_and_lock(fd_of(s, evil));
        listen_set_steer_again(s);
        check_serves(s, 1, "steered again");
        listen_set_close(s);
    }
    (void)state;
}

/* Where all have locked theirs, only a new one could. */
static void test_all_locked(void **state)
{
    struct listen_set *s = open_for("127.0.0.1:0", LISTEN_DEFAULT, 2);
    struct problem p = {0};

    lock(fd_of(s, 0));
    lock(fd_of(s, 1));
    assert_int_equal(listen_set_steer_seat(s, 0, STEER_AWAY), -EBUSY);
    assert_int_equal(listen_set_take_seat(s, &p), 2);
    assert_int_equal(listen_set_steer_seat(s, 0, STEER_WAIT), 0);
    check_serves(s, 1, "after another has joined");
    listen_set_close(s);
    (void)state;
}

/* ---- shut down ------------------------------------------------------------------------------ */

/* The same, found by the watch, without a worker that is about to start. */
static void test_mend(void **state)
{
    char path[64];
    struct given g = {
        {"127.0.0.1:0", in_folder(path, "", "x"), "udp:127.0.0.1:0"}, LISTEN_DEFAULT, 2};

    for (size_t i = 0; i < 3; i++) {
        struct listen_set *s = open_set(&g);
        struct pollfd p = {.fd = listen_set_watch_fd(s), .events = POLLIN};
        struct listen_cursor c = {0};
        struct problem problem = {0};
        int fds[3];

        assert_int_equal(listen_set_take_seat(s, &problem), 0);
        assert_int_equal(listen_set_take_seat(s, &problem), 1);
        assert_int_equal(poll(&p, 1, 0), 0);
        assert_int_equal(listen_set_mend(s, &c, &problem), 0);
        assert_int_equal(listen_set_fds(s, 1, 1, fds), 0);
        (void)shutdown(fds[i], SHUT_RDWR);
        assert_int_equal(poll(&p, 1, 1000), 1);
        c = (struct listen_cursor){0};
        assert_int_equal(listen_set_mend(s, &c, &problem), 1);
        assert_int_equal(c.entry, i);
        assert_int_equal(c.member, i == 1 ? 0 : 1);
        assert_int_equal(listen_set_mend(s, &c, &problem), 0);
        assert_int_equal(poll(&p, 1, 0), 0);

        /* That of a worker that goes is left as it is, until the seat is needed. */
        if (i == 0) {
            assert_int_equal(listen_set_steer_seat(s, 1, STEER_AWAY), 0);
            (void)shutdown(fds[0], SHUT_RDWR);
            c = (struct listen_cursor){0};
            assert_int_equal(listen_set_mend(s, &c, &problem), 0);
            assert_int_equal(listen_set_steer_seat(s, 1, STEER_READY), 0);
            assert_serves(s, 0, fds[0]);
        }
        listen_set_close(s);
    }
}

/* A worker shuts down what it was given; afterwards the set serves again under the same fd numbers.
 */
static void test_repair(void **state)
{
    char path[64];
    const char *const texts[] = {"127.0.0.1:0", in_folder(path, "", "x"), "@test-listen-repair",
                                 "udp:127.0.0.1:0"};

    for (size_t i = 0; i < 4; i++)
        for (enum listen_model model = LISTEN_DEFAULT; model <= LISTEN_SHARED; model += 2) {
            struct listen_set *s = open_set(&(struct given){{texts[i]}, model, 2});
            char address[ADDRESS_TEXT_MAX];
            struct problem p = {0};
            int fd, after;

            strcpy(address, listen_set_address(s, 0));
            assert_int_equal(check_all(s, 1, 1, &p), 0);
            assert_int_equal(listen_set_fds(s, 1, 1, &fd), 0);
            (void)shutdown(fd, SHUT_RDWR);
            if (check_all(s, 1, 1, &p) != 1)
                fail_msg("%s, %d: %s", texts[i], model, p.text);
            assert_int_equal(check_all(s, 1, 1, &p), 0);
            assert_int_equal(listen_set_fds(s, 1, 1, &after), 0);
            assert_int_equal(after, fd);
            assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
            assert_string_equal(listen_set_address(s, 0), address);
            assert_int_equal(listen_set_steer_slot(s, 0, STEER_AWAY), 0);
            assert_int_equal(listen_set_steer_slot(s, 1, STEER_READY), 0);
            assert_int_equal(listen_set_steer_seat(s, 0, STEER_AWAY), 0);
            assert_int_equal(listen_set_steer_seat(s, 1, STEER_READY), 0);
            if (i < 3)
                assert_serves(s, 0, fd);
            listen_set_close(s);
        }
    assert_int_equal(access(path, F_OK), -1);
}

/* As long as a process has the dead socket, its abstract name is taken; later it works. */
static void test_repair_waits_for_the_name(void **state)
{
    struct listen_set *s = open_one("@test-listen-name", 1);
    struct problem p = {0};
    int fd, copy;

    assert_int_equal(listen_set_fds(s, 0, 0, &fd), 0);
    copy = dup(fd);
    (void)shutdown(fd, SHUT_RDWR);
    assert_int_equal(check_all(s, 0, 0, &p), -EADDRINUSE);
    assert_int_equal(p.status, STATUS_OS);
    assert_int_equal(check_all(s, 0, 0, &p), -EADDRINUSE);
    close(copy);
    assert_int_equal(check_all(s, 0, 0, &p), 1);
    assert_serves(s, 0, fd);
    listen_set_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_deed),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_nothing_lost),
        cmocka_unit_test(test_look),
        cmocka_unit_test(test_stale_peer),
        cmocka_unit_test(test_rest),
        cmocka_unit_test(test_mend_what_is_not_reported),
        cmocka_unit_test(test_steer_again),
        cmocka_unit_test(test_all_locked),
        cmocka_unit_test(test_mend),
        cmocka_unit_test(test_repair),
        cmocka_unit_test(test_repair_waits_for_the_name),
    };

    alarm(100); /* some cases wait for what a defect would keep from happening */
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
