/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Options of listening sockets as a table: each is spoiled on each kind of socket that takes it,
 * noticed or not, and put back.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "sockets/snapshot.h"
#include "sockets/socket.h"

#define ELEMENTS(a) (sizeof(a) / sizeof(*(a)))

static const char *const kinds[] = {
    "127.0.0.1:0", "[::1]:0",           "0.0.0.0:0",
    "0",           "udp:127.0.0.1:0",   "udp:[::1]:0",
    "udp:0",       "@test-snapshot-st", "seqpacket:@test-snapshot-sq",
};

/* Negative without IPv6. */
static int open_kind(const char *text, struct address *a)
{
    struct listener_file no_file = {0};
    int fd;

    assert_int_equal(address_parse(text, a, NULL), 0);
    fd = listener_open(a, LISTENER_EXCLUSIVE, &no_file);
    if (fd < 0 && fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL)
        fail_msg("%s: %s", text, strerror(-fd));
    return fd;
}

/* The address language has no datagram sockets of unix. */
static int open_unix_datagram(struct address *a)
{
    int fd;

    assert_int_equal(address_parse("@test-snapshot-dg", a, NULL), 0);
    a->type = SOCK_DGRAM;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &a->sa, a->size), 0);
    return fd;
}

enum kind { ALARM, TUNE, SHARE };

static const struct spoiled {
    const char *name;
    int level, option;
    enum kind kind;
    const void *value;
    socklen_t size;
} table[] = {
#define INT(value) (&(const int){value}), sizeof(int)
    {"SO_DONTROUTE", SOL_SOCKET, SO_DONTROUTE, ALARM, INT(1)},
    {"SO_MAX_PACING_RATE", SOL_SOCKET, 47, ALARM, INT(1)},
    {"SO_PEEK_OFF", SOL_SOCKET, SO_PEEK_OFF, ALARM, INT(1000)},
    {"SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, ALARM, INT(1 << 20)},
    {"SO_NO_CHECK", SOL_SOCKET, SO_NO_CHECK, ALARM, INT(1)},
    {"SO_PASSRIGHTS", SOL_SOCKET, 83, ALARM, INT(0)},
    {"SO_BINDTODEVICE", SOL_SOCKET, SO_BINDTODEVICE, ALARM, "lo", 3},
    {"IP_TTL", IPPROTO_IP, IP_TTL, ALARM, INT(1)},
    {"IP_MINTTL", IPPROTO_IP, IP_MINTTL, ALARM, INT(255)},
    {"IP_OPTIONS", IPPROTO_IP, IP_OPTIONS, ALARM, "\1\1\1\1", 4},
    {"IP_MULTICAST_ALL", IPPROTO_IP, IP_MULTICAST_ALL, ALARM, INT(0)},
    {"IPV6_UNICAST_HOPS", IPPROTO_IPV6, IPV6_UNICAST_HOPS, ALARM, INT(1)},
    {"IPV6_MINHOPCOUNT", IPPROTO_IPV6, 73, ALARM, INT(255)},
    {"IPV6_MULTICAST_ALL", IPPROTO_IPV6, 29, ALARM, INT(0)},
    {"TCP_CORK", IPPROTO_TCP, TCP_CORK, ALARM, INT(1)},
    {"TCP_WINDOW_CLAMP", IPPROTO_TCP, TCP_WINDOW_CLAMP, ALARM, INT(1)},
    {"UDP_CORK", IPPROTO_UDP, UDP_CORK, ALARM, INT(1)},
    {"UDP_ENCAP", IPPROTO_UDP, UDP_ENCAP, ALARM, INT(2 /* UDP_ENCAP_ESPINUDP */)},
    {"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, TUNE, INT(0)},
    {"SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, TUNE, INT(1)},
    {"SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, TUNE, INT(6)},
    {"SO_INCOMING_CPU", SOL_SOCKET, SO_INCOMING_CPU, TUNE, INT(1)},
    {"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, TUNE, INT(1)},
    {"SO_LINGER", SOL_SOCKET, SO_LINGER, TUNE, (&(const struct linger){1, 5}), 8},
    {"SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, TUNE, INT(1)},
    {"SO_BROADCAST", SOL_SOCKET, SO_BROADCAST, TUNE, INT(1)},
    {"SO_RCVTIMEO", SOL_SOCKET, SO_RCVTIMEO, TUNE, (&(const struct timeval){0, 4000}), 16},
    {"SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, TUNE, INT(1)},
    {"SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, TUNE, INT(1)},
    {"IP_TOS", IPPROTO_IP, IP_TOS, TUNE, INT(0x10)},
    {"IP_MTU_DISCOVER", IPPROTO_IP, IP_MTU_DISCOVER, TUNE, INT(2)},
    {"IPV6_TCLASS", IPPROTO_IPV6, IPV6_TCLASS, TUNE, INT(0x10)},
    {"IPV6_MTU_DISCOVER", IPPROTO_IPV6, IPV6_MTU_DISCOVER, TUNE, INT(2)},
    {"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, TUNE, INT(1)},
    {"TCP_MAXSEG", IPPROTO_TCP, TCP_MAXSEG, TUNE, INT(88)},
    {"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, TUNE, INT(1)},
    {"TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, TUNE, INT(1)},
    {"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, TUNE, INT(1)},
    {"TCP_SYNCNT", IPPROTO_TCP, TCP_SYNCNT, TUNE, INT(1)},
    {"TCP_LINGER2", IPPROTO_TCP, TCP_LINGER2, TUNE, INT(1)},
    {"TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT, TUNE, INT(3600)},
    {"TCP_CONGESTION", IPPROTO_TCP, TCP_CONGESTION, TUNE, "reno", 4},
    {"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, TUNE, INT(1)},
    {"TCP_FASTOPEN", IPPROTO_TCP, TCP_FASTOPEN, TUNE, INT(5)},
    {"TCP_NOTSENT_LOWAT", IPPROTO_TCP, TCP_NOTSENT_LOWAT, TUNE, INT(1)},
    {"UDP_SEGMENT", IPPROTO_UDP, 103, TUNE, INT(100)},
    {"SO_PASSCRED", SOL_SOCKET, SO_PASSCRED, SHARE, INT(1)},
    {"SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP, SHARE, INT(1)},
    {"IP_PKTINFO", IPPROTO_IP, IP_PKTINFO, SHARE, INT(1)},
    {"IP_RECVERR", IPPROTO_IP, IP_RECVERR, SHARE, INT(1)},
    {"IPV6_RECVPKTINFO", IPPROTO_IPV6, IPV6_RECVPKTINFO, SHARE, INT(1)},
    {"UDP_GRO", IPPROTO_UDP, 104, SHARE, INT(1)},
};

struct bytes {
    socklen_t size;
    uint8_t value[64];
};

static struct bytes get(int fd, const struct spoiled *row)
{
    struct bytes b = {.size = sizeof b.value};
    int option = row->option == SO_BINDTODEVICE && row->level == SOL_SOCKET ? 62 : row->option;

    if (getsockopt(fd, row->level, option, b.value, &b.size) < 0)
        b.size = 0;
    return b;
}

static bool same(const struct bytes *a, const struct bytes *b)
{
    return a->size == b->size && memcmp(a->value, b->value, a->size) == 0;
}

/* Whether it was taken by this kind of socket, and changed something there. */
static bool spoil(int fd, const struct spoiled *row, struct bytes *before, struct bytes *after)
{
    /* Only CAP_NET_RAW can undo it. */
    if (row->option == SO_BINDTODEVICE && row->level == SOL_SOCKET && geteuid() != 0)
        return false;
    *before = get(fd, row);
    if (setsockopt(fd, row->level, row->option, row->value, row->size) < 0)
        return false;
    *after = get(fd, row);
    return !same(before, after);
}

/* A window that was never bounded is unbounded as well if its bound is the largest. */
static bool is_back(int fd, const struct spoiled *row, const struct bytes *before)
{
    struct bytes now = get(fd, row);
    int clamp;

    memcpy(&clamp, now.value, sizeof clamp);
    return same(&now, before) ||
           (row->option == TCP_WINDOW_CLAMP && row->level == IPPROTO_TCP && clamp == 65535 << 14);
}

static void check_names(const char *where, const struct spoiled *row,
                        const struct snapshot_changes *c)
{
    if (c->n_left > 0)
        fail_msg("%s: %s cannot be put back", where, row->name);
    if (row->kind == ALARM ? strcmp(c->names, row->name) != 0 : c->names[0])
        fail_msg("%s: %s is said to be '%s'", where, row->name, c->names);
}

/* For a worker that shares it with others, and for one that has it alone. */
static bool try_row(const char *where, int fd, const struct address *a, const struct spoiled *row)
{
    struct snapshot s;
    struct snapshot_changes c;
    struct bytes before, after;

    snapshot_take(&s, fd, a);
    if (!spoil(fd, row, &before, &after))
        return false;
    snapshot_restore(&s, fd, a, SNAPSHOT_LOOK, &c);
    check_names(where, row, &c);
    if (is_back(fd, row, &before))
        fail_msg("%s: %s was put back by a look", where, row->name);
    snapshot_restore(&s, fd, a, SNAPSHOT_MOST, &c);
    check_names(where, row, &c);
    if (is_back(fd, row, &before) != (row->kind != SHARE))
        fail_msg("%s: %s: put back %u", where, row->name, c.n);
    (void)setsockopt(fd, row->level, row->option, row->value, row->size);
    snapshot_restore(&s, fd, a, SNAPSHOT_ALL, &c);
    check_names(where, row, &c);
    if (!is_back(fd, row, &before) || c.n == 0)
        fail_msg("%s: %s was not put back", where, row->name);
    /* For good. */
    snapshot_restore(&s, fd, a, SNAPSHOT_ALL, &c);
    if (c.n > 0 || c.n_left > 0)
        fail_msg("%s: %s is put back again and again", where, row->name);
    return true;
}

static void test_each_option(void **state)
{
    bool tried[ELEMENTS(table)] = {0};
    unsigned n = 0;

    (void)state;
    for (size_t k = 0; k <= ELEMENTS(kinds); k++) {
        struct address a;
        bool last = k == ELEMENTS(kinds);
        const char *where = last ? "unix datagram" : kinds[k];
        int fd = last ? open_unix_datagram(&a) : open_kind(where, &a);

        for (size_t i = 0; i < ELEMENTS(table) && fd >= 0; i++)
            if (try_row(where, fd, &a, &table[i]))
                tried[i] = true, n++;
        if (fd >= 0)
            close(fd);
    }
    for (size_t i = 0; i < ELEMENTS(table); i++)
        if (!tried[i])
            print_message("%s: no socket of this kernel takes it\n", table[i].name);
    print_message("%u cases\n", n);
    assert_true(n > 100);
}

/* To TCP, newer kernels let only root. */
static void attach_filter(int fd)
{
    struct sock_filter drop[] = {{BPF_RET | BPF_K, 0, 0, 0}};
    const struct sock_fprog program = {1, drop};

    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0)
        return;
    assert_int_equal(errno, EPERM);
    close(fd);
    skip();
}

static void test_filter(void **state)
{
    (void)state;
    for (size_t k = 0; k < ELEMENTS(kinds); k++) {
        struct snapshot_changes c;
        struct snapshot s;
        struct address a;
        socklen_t n = 0;
        int fd = open_kind(kinds[k], &a);

        if (fd < 0)
            continue;
        snapshot_take(&s, fd, &a);
        attach_filter(fd);
        snapshot_restore(&s, fd, &a, SNAPSHOT_ALL, &c);
        assert_string_equal(c.names, "SO_ATTACH_FILTER");
        assert_int_equal(c.n, 1);
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &n), 0);
        assert_int_equal(n, 0);
        /* Alone, the lock changes nothing. */
        attach_filter(fd);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &(int){1}, sizeof(int)), 0);
        snapshot_restore(&s, fd, &a, SNAPSHOT_ALL, &c);
        assert_string_equal(c.names, "SO_ATTACH_FILTER");
        assert_int_equal(c.n, 0);
        assert_int_equal(c.n_left, 1);
        close(fd);
    }
}

static void test_lock_alone(void **state)
{
    struct snapshot_changes c;
    struct snapshot s;
    struct address a;
    int fd = open_kind(kinds[0], &a);

    (void)state;
    snapshot_take(&s, fd, &a);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &(int){1}, sizeof(int)), 0);
    snapshot_restore(&s, fd, &a, SNAPSHOT_ALL, &c);
    assert_int_equal(c.n + c.n_left, 0);
    close(fd);
}

static size_t backlog(int fd, const struct address *a)
{
    struct listener_queue queue;

    assert_int_equal(listener_queue(fd, a, &queue), 0);
    return queue.limit;
}

static void test_backlog(void **state)
{
    static const char *const texts[] = {"127.0.0.1:0", "@test-snapshot-b",
                                        "seqpacket:@test-snapshot-c"};

    (void)state;
    for (size_t k = 0; k < ELEMENTS(texts); k++) {
        struct snapshot_changes c;
        struct snapshot s;
        struct address a;
        int fd = open_kind(texts[k], &a);
        size_t before = backlog(fd, &a);

        assert_true(before > 10);
        snapshot_take(&s, fd, &a);
        assert_int_equal(listen(fd, 0), 0);
        assert_true(backlog(fd, &a) <= 1);
        snapshot_restore(&s, fd, &a, SNAPSHOT_MOST, &c);
        assert_int_equal(backlog(fd, &a), before);
        close(fd);
    }
}

static void test_open_file(void **state)
{
    struct snapshot_changes c;
    struct snapshot s;
    struct address a;
    int fd = open_kind(kinds[0], &a);

    (void)state;
    snapshot_take(&s, fd, &a);
    assert_int_equal(fcntl(fd, F_SETOWN, getpid()), 0);
    assert_int_equal(fcntl(fd, F_SETSIG, 10), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC), 0);
    /* Others may want it. */
    snapshot_restore(&s, fd, &a, SNAPSHOT_MOST, &c);
    assert_string_equal(c.names, "O_ASYNC");
    assert_int_equal(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ASYNC), O_NONBLOCK);
    assert_int_equal(fcntl(fd, F_GETOWN), 0);
    assert_int_equal(fcntl(fd, F_GETSIG), 0);
    snapshot_restore(&s, fd, &a, SNAPSHOT_ALL, &c);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    assert_string_equal(c.names, "");
    close(fd);
}

/* Larger buffers hurt nobody, and a small one of the snapshot stays small. */
static void test_buffers(void **state)
{
    struct snapshot_changes c;
    struct snapshot s;
    struct address a;
    int fd = open_kind("udp:127.0.0.1:0", &a), small = 10000, large = 100000;

    (void)state;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    snapshot_take(&s, fd, &a);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &large, sizeof large), 0);
    snapshot_restore(&s, fd, &a, SNAPSHOT_ALL, &c);
    assert_int_equal(c.n, 0);
    close(fd);
}

static void test_not_taken(void **state)
{
    struct snapshot s = {0};
    struct snapshot_changes c;
    struct address a;
    int fd = open_kind(kinds[0], &a);

    (void)state;
    assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_TTL, &(int){1}, sizeof(int)), 0);
    snapshot_restore(&s, fd, &a, SNAPSHOT_ALL, &c);
    assert_int_equal(c.n + c.n_left, 0);
    close(fd);
}

/* What it costs, for docs/performance.md; not asserted. */
static void test_cost(void **state)
{
    enum { N = 1000 };
    struct timespec from, to;
    struct snapshot_changes c;
    struct snapshot s;
    struct address a;
    int fd = open_kind("127.0.0.1:0", &a);

    (void)state;
    snapshot_take(&s, fd, &a);
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (unsigned i = 0; i < N; i++)
        snapshot_restore(&s, fd, &a, SNAPSHOT_ALL, &c);
    clock_gettime(CLOCK_MONOTONIC, &to);
    print_message("%.1f us a socket\n",
                  ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) /
                      1e3 / N);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_option), cmocka_unit_test(test_filter),
        cmocka_unit_test(test_lock_alone),  cmocka_unit_test(test_backlog),
        cmocka_unit_test(test_open_file),   cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_not_taken),   cmocka_unit_test(test_cost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
