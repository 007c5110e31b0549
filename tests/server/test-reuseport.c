/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Groups of SO_REUSEPORT sockets on the running kernel: that the first is alone on its port, that
 * connections reach the slots they shall reach and no other, and that this stays so while slots
 * come, go, and are shut down by workers.
 *
 * Connections are not accepted: the length of each accept queue tells where they went.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sockets/reuseport.h"
#include "sockets/steering.h"

#define MANY 256

static struct address parse(const char *text)
{
    struct address a;

    assert_int_equal(address_parse(text, &a, NULL), 0);
    return a;
}

static void open_group(struct reuseport *g, const char *text, unsigned n_slots)
{
    struct address a = parse(text);

    reuseport_init(g, &a);
    for (unsigned slot = 0; slot < n_slots; slot++)
        assert_int_equal(reuseport_add(g, slot), 0);
}

/* ---- clients --------------------------------------------------------------------------------- */

static int client(const struct address *to, bool v6)
{
    struct address a = parse(v6 ? "[::1]:1" : "127.0.0.1:1");
    int fd = socket(a.sa.sa_family, to->type | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    address_set_port(&a, address_port(to));
    if (connect(fd, &a.sa, a.size) < 0)
        fail_msg("connect: %s", strerror(errno));
    return fd;
}

/* Both families by turns where the socket takes both. */
static void connect_times(const struct reuseport *g, unsigned n)
{
    bool dual = g->address.sa.sa_family == AF_INET6;

    for (unsigned i = 0; i < n; i++)
        close(client(&g->address, dual && i % 2));
}

/* Accepts all; how many there were. */
static unsigned drain(const struct reuseport *g, unsigned slot)
{
    int listener = reuseport_fd(g, slot), fd;
    unsigned n = 0;

    assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    while ((fd = accept(listener, NULL, NULL)) >= 0 || errno == ECONNABORTED) {
        n++;
        close(fd);
    }
    assert_int_equal(fcntl(listener, F_SETFL, 0), 0);
    return n;
}

static unsigned drain_all(const struct reuseport *g, unsigned *by_slot)
{
    unsigned sum = 0;

    for (unsigned slot = 0; slot < g->n_fds; slot++) {
        unsigned n = reuseport_fd(g, slot) < 0 ? 0 : drain(g, slot);

        if (by_slot)
            by_slot[slot] = n;
        sum += n;
    }
    return sum;
}

/* ---- the map --------------------------------------------------------------------------------- */

/* Each slot in turn gets all connections: the whole map, exactly. */
static void assert_map(struct reuseport *g)
{
    for (unsigned slot = 0; slot < g->n_fds; slot++) {
        uint8_t states[MANY] = {0};
        unsigned by_slot[MANY];

        if (reuseport_fd(g, slot) < 0)
            continue;
        states[slot] = STEER_READY;
        assert_int_equal(reuseport_steer(g, states, MANY), 0);
        connect_times(g, 4);
        assert_int_equal(reuseport_pending(g, slot), 4);
        assert_int_equal(drain_all(g, by_slot), 4);
        assert_int_equal(by_slot[slot], 4);
    }
}

static void assert_spread(struct reuseport *g, const uint8_t *states, unsigned n,
                          unsigned connections)
{
    unsigned by_slot[MANY], eligible = 0;

    assert_int_equal(reuseport_steer(g, states, n), 0);
    connect_times(g, connections);
    assert_int_equal(drain_all(g, by_slot), connections);
    for (unsigned slot = 0; slot < g->n_fds; slot++)
        eligible += slot < n && states[slot] == STEER_READY;
    for (unsigned slot = 0; slot < g->n_fds; slot++) {
        unsigned mean = connections / eligible;

        if (slot >= n || states[slot] != STEER_READY)
            assert_int_equal(by_slot[slot], 0);
        else if (mean >= 50) /* half to double: far beyond what chance does */
            assert_in_range(by_slot[slot], mean / 2, mean * 2);
    }
}

static void test_excluded_get_none(void **state)
{
    static const char *const addresses[] = {"127.0.0.1:0", "0", "0.0.0.0:0", "[::]:0"};

    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        uint8_t states[8];
        struct reuseport g;

        open_group(&g, addresses[i], 8);
        memset(states, STEER_READY, sizeof states);
        assert_spread(&g, states, 8, 800);
        states[0] = STEER_WAIT;
        states[3] = STEER_AWAY;
        states[4] = STEER_WAIT;
        assert_spread(&g, states, 8, 2000);
        assert_spread(&g, states, 7, 700);
        assert_map(&g);
        reuseport_done(&g);
    }
}

/* The kernel knows no group before there is a second socket. */
static void test_single_slot(void **state)
{
    static const char *const addresses[] = {"127.0.0.1:0", "0", "udp:127.0.0.1:0"};

    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        uint8_t ready = STEER_READY;
        struct reuseport g;

        open_group(&g, addresses[i], 1);
        assert_int_equal(reuseport_steer(&g, &ready, 1), 0);
        reuseport_done(&g);
    }
}

static void test_slots_come_and_go(void **state)
{
    struct reuseport g;
    uint8_t states[16];

    open_group(&g, "0", 12);
    assert_map(&g);
    reuseport_remove(&g, 4);
    reuseport_remove(&g, 0);
    assert_map(&g);
    reuseport_remove(&g, 11);
    reuseport_remove(&g, 7);
    assert_int_equal(reuseport_add(&g, 4), 0);
    assert_int_equal(reuseport_add(&g, 4), -EEXIST);
    assert_int_equal(reuseport_add(&g, 15), 0);
    reuseport_remove(&g, 13);
    reuseport_remove(&g, 99);
    assert_map(&g);

    memset(states, STEER_AWAY, sizeof states);
    states[15] = states[4] = states[9] = STEER_READY;
    assert_spread(&g, states, 16, 2000);
    reuseport_done(&g);
}

/* A worker's copy of the fd does not keep a removed slot in the group. */
static void test_removed_despite_copies(void **state)
{
    struct reuseport g;
    int copy;

    open_group(&g, "0", 5);
    copy = dup(reuseport_fd(&g, 1));
    reuseport_remove(&g, 1);
    assert_map(&g);
    close(copy);
    assert_map(&g);
    reuseport_done(&g);
}

static void test_all_gone_and_back(void **state)
{
    struct reuseport g;
    unsigned port;

    open_group(&g, "0", 2);
    port = address_port(&g.address);
    reuseport_remove(&g, 0);
    reuseport_remove(&g, 1);
    assert_int_equal(reuseport_steer(&g, NULL, 0), 0);
    assert_int_equal(reuseport_add(&g, 1), 0);
    assert_int_equal(reuseport_add(&g, 0), 0);
    assert_int_equal(address_port(&g.address), port);
    assert_map(&g);
    reuseport_done(&g);
}

static void test_many_slots(void **state)
{
    struct rlimit limit;
    uint8_t states[MANY];
    struct reuseport g;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < MANY + 64) {
        limit.rlim_cur = MANY + 64;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
            print_message("SKIP: RLIMIT_NOFILE is too low\n");
            skip();
        }
    }
    open_group(&g, "0", MANY);
    for (unsigned slot = 0; slot < MANY; slot++)
        states[slot] = slot % 2 ? STEER_READY : STEER_AWAY; /* as many runs as can be */
    assert_spread(&g, states, MANY, 2000);
    assert_map(&g);
    for (unsigned slot = 0; slot < MANY; slot += 3)
        reuseport_remove(&g, slot);
    assert_map(&g);
    assert_int_equal(reuseport_add(&g, REUSEPORT_MEMBERS_MAX), -ERANGE);
    reuseport_done(&g);
}

/* As many runs as there can be, twice over: whatever the order, the kernel takes the program. */
static void test_longest_program(void **state)
{
    unsigned indices[REUSEPORT_MEMBERS_MAX / 2];
    struct reuseport g;

    for (unsigned i = 0; i < REUSEPORT_MEMBERS_MAX / 2; i++)
        indices[i] = 2 * i + 1;
    open_group(&g, "127.0.0.1:0", 2);
    for (int hash = 0; hash < 2; hash++) {
        struct steering s = {0};

        assert_int_equal(hash ? steering_by_sender(&s, indices, REUSEPORT_MEMBERS_MAX / 2, 7)
                              : steering_random(&s, indices, REUSEPORT_MEMBERS_MAX / 2),
                         0);
        struct sock_fprog program = {.len = (unsigned short)s.n, .filter = s.code};
        assert_int_equal(setsockopt(reuseport_fd(&g, 1), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF,
                                    &program, sizeof program),
                         0);
        steering_done(&s);
    }
    reuseport_done(&g);
}

static void test_nobody_ready(void **state)
{
    struct reuseport g;
    uint8_t states[4] = {STEER_AWAY, STEER_WAIT, STEER_AWAY, STEER_WAIT};
    unsigned by_slot[4];

    open_group(&g, "0", 4);
    assert_int_equal(reuseport_steer(&g, states, 4), 0);
    connect_times(&g, 200);
    assert_int_equal(drain_all(&g, by_slot), 200);
    assert_int_equal(by_slot[0] + by_slot[2], 0);
    assert_true(by_slot[1] > 50 && by_slot[3] > 50);

    memset(states, STEER_AWAY, sizeof states);
    assert_int_equal(reuseport_steer(&g, states, 4), 0);
    connect_times(&g, 400);
    assert_int_equal(drain_all(&g, by_slot), 400);
    for (unsigned slot = 0; slot < 4; slot++)
        assert_true(by_slot[slot] > 25);
    reuseport_done(&g);
}

/* A random walk; the kernel is asked after each step. The seed is printed by the failing
 * assertion's message. */
static void test_random_walk(void **state)
{
    unsigned seed = (unsigned)getpid();
    struct reuseport g;

    print_message("# seed %u\n", seed);
    srand(seed);
    open_group(&g, "0", 6);
    for (int i = 0; i < 40; i++) {
        unsigned slot = (unsigned)rand() % 10;
        int r;

        if (reuseport_fd(&g, slot) < 0) {
            assert_int_equal(reuseport_add(&g, slot), 0);
        } else if (rand() % 2) {
            reuseport_remove(&g, slot);
        } else {
            assert_int_equal(shutdown(reuseport_fd(&g, slot), SHUT_RDWR), 0);
            r = reuseport_repair(&g, slot);
            assert_int_equal(r, 1);
        }
        assert_map(&g);
    }
    reuseport_done(&g);
}

/* ---- workers that shut their listener down --------------------------------------------------- */

static void test_one_shut_down(void **state)
{
    struct reuseport g;
    uint8_t states[5];

    open_group(&g, "0", 5);
    assert_int_equal(reuseport_repair(&g, 1), 0);
    assert_int_equal(shutdown(reuseport_fd(&g, 1), SHUT_RDWR), 0);
    assert_int_equal(reuseport_sync(&g), 1);

    /* the four others carry on, as steered */
    memset(states, STEER_READY, sizeof states);
    states[1] = states[4] = STEER_AWAY;
    assert_spread(&g, states, 5, 900);
    assert_int_equal(reuseport_repair(&g, 1), 1);
    assert_int_equal(reuseport_repair(&g, 1), 0);
    assert_int_equal(reuseport_sync(&g), 0);
    assert_map(&g);
    reuseport_done(&g);
}

/* The map stays known, however many have gone since it was last looked at, and in any order. */
static void test_several_shut_down(void **state)
{
    static const unsigned gone[][3] = {{0, 3, 4}, {4, 3, 0}, {3, 0, 4}, {0, 1, 2}, {2, 4, 1}};

    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
        uint8_t states[6] = {STEER_READY, STEER_READY, STEER_READY, STEER_READY, STEER_READY};
        struct reuseport g;

        open_group(&g, "0", 6);
        for (unsigned k = 0; k < 3; k++)
            (void)shutdown(reuseport_fd(&g, gone[i][k]), SHUT_RDWR);
        assert_int_equal(reuseport_sync(&g), 3);
        assert_int_equal(reuseport_sync(&g), 3);
        for (unsigned k = 0; k < 3; k++)
            assert_int_equal(reuseport_repair(&g, gone[i][2 - k]), 1);
        assert_false(g.order_lost);
        assert_spread(&g, states, 6, 900);
        assert_map(&g);
        reuseport_done(&g);
    }
}

/* Connections and datagrams are not reported, so nobody is woken by traffic. */
static void test_watch_sees_no_traffic(void **state)
{
    static const char *const addresses[] = {"127.0.0.1:0", "udp:127.0.0.1:0"};

    for (size_t i = 0; i < 2; i++) {
        struct pollfd p = {.events = POLLIN};
        struct reuseport g;
        int fd;

        open_group(&g, addresses[i], 2);
        p.fd = g.watch;
        assert_int_equal(poll(&p, 1, 0), 0);
        for (int k = 0; k < 20; k++) {
            fd = client(&g.address, false);
            if (i == 1)
                assert_int_equal(send(fd, "x", 1, 0), 1);
            assert_int_equal(poll(&p, 1, 0), 0);
            close(fd);
        }
        (void)shutdown(reuseport_fd(&g, 1), SHUT_RDWR);
        assert_int_equal(poll(&p, 1, 1000), 1);
        assert_int_equal(reuseport_sync(&g), 1);
        assert_int_equal(poll(&p, 1, 0), 0);
        assert_int_equal(reuseport_repair(&g, 1), 1);
        assert_int_equal(poll(&p, 1, 0), 0);
        (void)shutdown(reuseport_fd(&g, 1), SHUT_RDWR);
        assert_int_equal(poll(&p, 1, 1000), 1);
        reuseport_done(&g);
    }
}

/* Between the removal of a member and the next steering no connection reaches one that is away. */
static void test_removal_sends_nobody_astray(void **state)
{
    uint8_t states[5] = {STEER_AWAY, STEER_AWAY, STEER_AWAY, STEER_READY, STEER_READY};
    struct reuseport g;
    unsigned by_slot[5];

    open_group(&g, "127.0.0.1:0", 5);
    assert_int_equal(reuseport_steer(&g, states, 5), 0);
    assert_int_equal(reuseport_make_way(&g, states, 5), 0);
    reuseport_remove(&g, 0);
    connect_times(&g, 200);
    assert_int_equal(reuseport_pending(&g, 3), 200);
    assert_int_equal(drain_all(&g, by_slot), 200);
    assert_spread(&g, states, 5, 400);
    assert_map(&g);
    reuseport_done(&g);
}

/* The first one has its port from the system, which takes it back at shutdown. */
static void test_all_shut_down(void **state)
{
    struct reuseport g;

    open_group(&g, "0", 3);
    for (unsigned slot = 0; slot < 3; slot++)
        (void)shutdown(reuseport_fd(&g, slot), SHUT_RDWR);
    assert_int_equal(reuseport_sync(&g), 3);
    for (unsigned slot = 0; slot < 3; slot++)
        assert_int_equal(reuseport_repair(&g, slot), 1);
    assert_false(g.order_lost);
    assert_map(&g);
    reuseport_done(&g);
}

static void test_pending(void **state)
{
    struct reuseport g;

    open_group(&g, "127.0.0.1:0", 1);
    assert_int_equal(reuseport_pending(&g, 0), 0);
    connect_times(&g, 7);
    assert_int_equal(reuseport_pending(&g, 0), 7);
    assert_int_equal(drain(&g, 0), 7);
    assert_int_equal(reuseport_pending(&g, 0), 0);
    assert_int_equal(reuseport_pending(&g, 1), -ENOENT);
    (void)shutdown(reuseport_fd(&g, 0), SHUT_RDWR);
    assert_int_equal(reuseport_pending(&g, 0), 0);
    reuseport_done(&g);
}

/* ---- alone on the port ----------------------------------------------------------------------- */

static void assert_taken(const struct address *a)
{
    struct reuseport second;

    reuseport_init(&second, a);
    assert_int_equal(reuseport_add(&second, 0), -EADDRINUSE);
    assert_int_equal(second.n_order, 0);
    reuseport_done(&second);
}

static void test_second_server_refused(void **state)
{
    static const char *const addresses[] = {"127.0.0.1:0", "0", "udp:127.0.0.1:0", "udp:0"};

    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        struct reuseport g;

        open_group(&g, addresses[i], 3);
        assert_taken(&g.address);
        reuseport_done(&g);
    }
}

/* Somebody else's SO_REUSEPORT server, same user. */
static void test_foreign_reuseport_noticed(void **state)
{
    static const char *const addresses[] = {"127.0.0.1:0", "udp:127.0.0.1:0"};

    for (size_t i = 0; i < 2; i++) {
        struct address a = parse(addresses[i]), bound;
        int one = 1, fd = socket(a.sa.sa_family, a.type, 0);

        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one), 0);
        assert_int_equal(bind(fd, &a.sa, a.size), 0);
        if (a.type == SOCK_STREAM)
            assert_int_equal(listen(fd, 1), 0);
        assert_int_equal(address_of_socket(fd, &bound), 0);
        assert_taken(&bound);
        address_set_port(&a, address_port(&bound));
        assert_taken(&a);
        close(fd);
    }
}

static int try_to_be_alone(const struct address *a, int go, int done)
{
    struct reuseport g;
    char byte;
    int r;

    reuseport_init(&g, a);
    (void)!read(go, &byte, 1);
    r = reuseport_add(&g, 0);
    if (r == 0)
        (void)!read(done, &byte, 1); /* holds it until all have tried */
    reuseport_done(&g);
    return r == 0 ? 0 : r == -EADDRINUSE ? 1 : 2;
}

/* Of several that start at the same moment exactly one wins, whatever the interleaving. */
static void test_race_has_one_winner(void **state)
{
    for (int round = 0; round < 40; round++) {
        int go[2], done[2], refused = 0, won = 0, status;
        struct reuseport g;
        struct address a;
        pid_t pids[4];

        open_group(&g, round % 2 ? "udp:127.0.0.1:0" : "127.0.0.1:0", 1);
        a = g.address;
        reuseport_done(&g);
        assert_int_equal(pipe(go), 0);
        assert_int_equal(pipe(done), 0);
        for (int i = 0; i < 4; i++) {
            pids[i] = fork();
            if (pids[i] == 0) {
                close(go[1]);
                close(done[1]);
                _exit(try_to_be_alone(&a, go[0], done[0]));
            }
        }
        close(go[1]);
        /* Three lose and end by themselves; the winner waits for us. */
        while (refused < 3) {
            assert_true(wait(&status) > 0);
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), 1);
            refused++;
        }
        close(done[1]);
        assert_true(wait(&status) > 0);
        won += WIFEXITED(status) && WEXITSTATUS(status) == 0;
        assert_int_equal(won, 1);
        close(go[0]);
        close(done[0]);
    }
}

/* ---- datagrams ------------------------------------------------------------------------------- */

static unsigned receive_all(const struct reuseport *g, unsigned slot)
{
    char byte;
    unsigned n = 0;

    while (recv(reuseport_fd(g, slot), &byte, 1, MSG_DONTWAIT) >= 0)
        n++;
    return n;
}

/* The slot that 5 datagrams of one sender reach, all of them. */
static unsigned slot_of_flow(const struct reuseport *g, int fd)
{
    unsigned found = UINT32_MAX;

    for (int i = 0; i < 5; i++)
        assert_int_equal(send(fd, "x", 1, 0), 1);
    for (unsigned slot = 0; slot < g->n_fds; slot++) {
        unsigned n = receive_all(g, slot);

        if (n == 0)
            continue;
        assert_int_equal(n, 5);
        found = slot;
    }
    assert_true(found != UINT32_MAX);
    return found;
}

static void test_datagram_flows(void **state)
{
    enum { FLOWS = 200 };
    uint8_t states[4] = {STEER_READY, STEER_READY, STEER_WAIT, STEER_READY};
    unsigned flows_of[2][4] = {0}, before[FLOWS];
    int fds[FLOWS];
    struct reuseport g;

    open_group(&g, "udp:0", 4);
    assert_int_equal(reuseport_steer(&g, states, 4), 0);
    for (int i = 0; i < FLOWS; i++) {
        fds[i] = client(&g.address, i % 2);
        before[i] = slot_of_flow(&g, fds[i]);
        flows_of[i % 2][before[i]]++;
    }
    for (int slot = 0; slot < 4; slot++)
        for (int v6 = 0; v6 < 2; v6++)
            assert_in_range(flows_of[v6][slot], FLOWS / 32, FLOWS);

    /* A crash and a replacement move no flow. */
    states[1] = STEER_WAIT;
    states[2] = STEER_READY;
    assert_int_equal(reuseport_steer(&g, states, 4), 0);
    for (int i = 0; i < FLOWS; i++)
        assert_int_equal(slot_of_flow(&g, fds[i]), before[i]);

    /* A slot that goes away gets none. */
    states[0] = STEER_AWAY;
    assert_int_equal(reuseport_steer(&g, states, 4), 0);
    for (int i = 0; i < FLOWS; i++)
        assert_true(slot_of_flow(&g, fds[i]) != 0);

    reuseport_remove(&g, 0);
    assert_int_equal(reuseport_steer(&g, states, 4), 0);
    for (int i = 0; i < FLOWS; i++) {
        assert_in_range(slot_of_flow(&g, fds[i]), 1, 3);
        close(fds[i]);
    }
    reuseport_done(&g);
}

/* One port on many hosts, as behind an address translation that keeps ports. */
static void test_datagram_flows_by_address(void **state)
{
    unsigned flows_of[4] = {0}, used = 0, port = 0;
    uint8_t states[4];
    struct reuseport g;

    open_group(&g, "udp:0.0.0.0:0", 4);
    memset(states, STEER_READY, sizeof states);
    assert_int_equal(reuseport_steer(&g, states, 4), 0);
    for (unsigned host = 2; host < 66; host++) {
        struct address from = parse("udp:127.0.0.1:0"), to = from;
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        from.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + host);
        address_set_port(&from, port);
        address_set_port(&to, address_port(&g.address));
        assert_int_equal(bind(fd, &from.sa, from.size), 0);
        assert_int_equal(connect(fd, &to.sa, to.size), 0);
        assert_int_equal(address_of_socket(fd, &from), 0);
        port = address_port(&from);
        flows_of[slot_of_flow(&g, fd)]++;
        close(fd);
    }
    for (int slot = 0; slot < 4; slot++)
        used += flows_of[slot] > 0;
    assert_int_equal(used, 4);
    reuseport_done(&g);
}

static void test_datagram_shut_down(void **state)
{
    struct reuseport g;

    open_group(&g, "udp:127.0.0.1:0", 2);
    assert_int_equal(shutdown(reuseport_fd(&g, 1), SHUT_RDWR), -1); /* ENOTCONN, and yet done */
    assert_int_equal(reuseport_sync(&g), 1);
    assert_int_equal(reuseport_repair(&g, 1), 1);
    assert_int_equal(reuseport_sync(&g), 0);
    assert_true(g.order_lost);
    assert_int_equal(reuseport_steer(&g, (uint8_t[]){STEER_READY, STEER_AWAY}, 2), 0);
    reuseport_done(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_excluded_get_none),
        cmocka_unit_test(test_single_slot),
        cmocka_unit_test(test_slots_come_and_go),
        cmocka_unit_test(test_removed_despite_copies),
        cmocka_unit_test(test_all_gone_and_back),
        cmocka_unit_test(test_many_slots),
        cmocka_unit_test(test_longest_program),
        cmocka_unit_test(test_nobody_ready),
        cmocka_unit_test(test_random_walk),
        cmocka_unit_test(test_one_shut_down),
        cmocka_unit_test(test_several_shut_down),
        cmocka_unit_test(test_watch_sees_no_traffic),
        cmocka_unit_test(test_removal_sends_nobody_astray),
        cmocka_unit_test(test_all_shut_down),
        cmocka_unit_test(test_pending),
        cmocka_unit_test(test_second_server_refused),
        cmocka_unit_test(test_foreign_reuseport_noticed),
        cmocka_unit_test(test_race_has_one_winner),
        cmocka_unit_test(test_datagram_flows),
        cmocka_unit_test(test_datagram_flows_by_address),
        cmocka_unit_test(test_datagram_shut_down),
    };

    alarm(100); /* some cases wait for what a defect would keep from happening */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
