/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Sockets handed down by LISTEN_FDS. They begin at fd 3, so each case runs in a process of its own,
 * which ends with the line of the check that failed, or 0.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sockets/set.h"

#define CHECK(x)                                                                                   \
    do                                                                                             \
        if (!(x))                                                                                  \
            return __LINE__;                                                                       \
    while (0)

/* Of each socket, for a worker that has it alone: how much was repaired, or the last error. */
static int check_all(struct listen_set *s, unsigned slot, unsigned seat, struct problem *p)
{
    int sum = 0, failed = 0;

    for (size_t i = 0; i < listen_set_count(s); i++) {
        int r = listen_set_check(s, i, slot, seat, false, p);

        failed = r < 0 ? r : failed;
        sum += r > 0 ? r : 0;
    }
    return failed < 0 ? failed : sum;
}

/* ---- in the child ---------------------------------------------------------------------------- */

static char port_text[8]
                     [16]; /* of the i-th socket handed down, as "127.0.0.1:PORT" would need it */

/* What a service manager does: binds and listens, from fd 3 on. "same" is the one before once more
 * (ReusePort=); BindIPv6Only=ipv6-only; "null" stands for /dev/null. */
static int hand_down(const char *const *addresses, const char *names, int listen_pid)
{
    char number[16];
    int n = 0;

    for (; addresses[n]; n++) {
        struct address a;
        int fd;

        if (strcmp(addresses[n], "same") == 0 ? address_of_socket(2 + n, &a) < 0
                                              : address_parse(addresses[n], &a, NULL) < 0) {
            fd = open("/dev/null", O_RDONLY);
        } else {
            fd = socket(a.sa.sa_family, a.type, 0);
            (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int));
            (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int));
            if (bind(fd, &a.sa, a.size) < 0 || (a.type != SOCK_DGRAM && listen(fd, 5) < 0))
                return -errno;
        }
        if (fd != 3 + n) {
            if (dup2(fd, 3 + n) < 0)
                return -errno;
            close(fd);
        }
        if (address_of_socket(3 + n, &a) == 0)
            sprintf(port_text[n], "%u", address_port(&a));
    }
    sprintf(number, "%d", n);
    setenv("LISTEN_FDS", number, 1);
    sprintf(number, "%d", listen_pid);
    setenv("LISTEN_PID", number, 1);
    if (names)
        setenv("LISTEN_FDNAMES", names, 1);
    else
        unsetenv("LISTEN_FDNAMES");
    return 0;
}

static int open_with(struct inherited *i, const char *const *texts, enum listen_model model,
                     struct listen_set **ret, struct problem *p)
{
    struct listen_options o = {.listen = texts, .model = model, .n_slots = 2, .inherited = i};

    while (texts && texts[o.n_listen])
        o.n_listen++;
    return listen_set_open(ret, &o, p);
}

static int nothing_handed_down(void)
{
    struct inherited i = {.n_fds = 4711};
    struct problem p;

    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    CHECK(inherited_take(&i, &p) == 0);
    CHECK(i.n_fds == 0 && i.n_stored == 0);
    inherited_done(&i);
    inherited_done(NULL);
    return 0;
}

static int another_pid(void)
{
    struct inherited i;
    struct problem p;

    CHECK(hand_down((const char *[]){"127.0.0.1:0", NULL}, "web", getpid() + 1) == 0);
    CHECK(inherited_take(&i, &p) == 0);
    CHECK(i.n_fds == 0);
    CHECK(!getenv("LISTEN_FDS") && !getenv("LISTEN_PID") && !getenv("LISTEN_FDNAMES"));
    return 0;
}

static int taken(void)
{
    struct inherited i;
    struct problem p;

    CHECK(hand_down((const char *[]){"127.0.0.1:0", "@test-inherit", "null", "127.0.0.1:0", NULL},
                    "web:control:aiotools-sd.null:aiotools-sd.listen", getpid()) == 0);
    CHECK(inherited_take(&i, &p) == 0);
    CHECK(!getenv("LISTEN_FDS") && !getenv("LISTEN_PID") && !getenv("LISTEN_FDNAMES"));
    CHECK(i.n_fds == 2 && i.n_stored == 2);
    CHECK(strcmp(i.fds[0].name, "web") == 0 && i.fds[0].fd == 3);
    CHECK(strcmp(i.fds[1].name, "control") == 0 && i.fds[1].fd == 4);
    CHECK(strcmp(i.stored[0].name, "aiotools-sd.null") == 0 && i.stored[0].address.size == 0);
    CHECK(strcmp(i.stored[1].name, "aiotools-sd.listen") == 0);
    for (int fd = 3; fd < 7; fd++)
        CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    inherited_done(&i);
    for (int fd = 3; fd < 7; fd++)
        CHECK(fcntl(fd, F_GETFD) == -1);
    return 0;
}

static int without_names(void)
{
    struct inherited i;
    struct problem p;

    CHECK(hand_down((const char *[]){"127.0.0.1:0", NULL}, NULL, getpid()) == 0);
    CHECK(inherited_take(&i, &p) == 0);
    CHECK(i.n_fds == 1 && strcmp(i.fds[0].name, "unknown") == 0);
    inherited_done(&i);
    return 0;
}

static int bad_variables(void)
{
    static const struct {
        const char *fds, *names;
    } cases[] = {{"x", NULL}, {"-1", NULL}, {"1", "a:b:c"}, {"500", NULL}, {"99999999999", NULL}};

    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        struct inherited i = {.n_fds = 4711};
        struct problem p = {0};
        char pid[16];

        sprintf(pid, "%d", getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", cases[k].fds, 1);
        if (cases[k].names)
            setenv("LISTEN_FDNAMES", cases[k].names, 1);
        CHECK(inherited_take(&i, &p) < 0);
        CHECK(p.status == STATUS_CONFIG && strstr(p.text, "LISTEN_FDS"));
        CHECK(i.n_fds == 4711);
    }
    return 0;
}

/* Inherited first, in their order, then the options that none of them matches. */
static int order(void)
{
    char by_address[32];
    const char *texts[] = {"new=127.0.0.1:0", by_address, "b=@test-inherit-b", NULL};
    struct listen_set *s;
    struct inherited i;
    struct problem p;
    int fds[4];

    CHECK(hand_down((const char *[]){"@test-inherit-b", "127.0.0.1:0", "null", NULL},
                    "b:unit.socket:odd", getpid()) == 0);
    sprintf(by_address, "127.0.0.1:%s", port_text[1]);
    CHECK(inherited_take(&i, &p) == 0);
    CHECK(open_with(&i, texts, LISTEN_DEFAULT, &s, &p) == 0);
    CHECK(listen_set_count(s) == 4);
    CHECK(strcmp(listen_set_fdnames(s), "b:unit.socket:odd:new") == 0);
    CHECK(strcmp(listen_set_address(s, 1), by_address) == 0);
    CHECK(listen_set_owner(s, 1) == LISTEN_OF_ALL && listen_set_owner(s, 3) == LISTEN_OF_WORKER);
    CHECK(listen_set_fds(s, 0, 0, fds) == 0);
    CHECK(fds[0] == 3 && fds[1] == 4 && fds[2] == 5);
    CHECK(listen_set_first_port(s) == (unsigned)atoi(port_text[1]));
    /* they have moved */
    CHECK(i.fds[0].fd == -1 && i.fds[1].fd == -1 && i.fds[2].fd == -1);
    inherited_done(&i);
    CHECK(check_all(s, 0, 0, &p) == 0);
    listen_set_close(s);
    CHECK(fcntl(3, F_GETFD) == -1 && fcntl(5, F_GETFD) == -1);
    return 0;
}

/* Same name, same address but for a port left open; a name that the option gives is the one workers
 * see. */
static int matched_by_name(void)
{
    const char *texts[] = {"two=127.0.0.1:0", "mine=@test-inherit-m", NULL};
    struct listen_set *s;
    struct inherited i;
    struct problem p;

    CHECK(hand_down((const char *[]){"127.0.0.1:0", "127.0.0.1:0", "@test-inherit-m", NULL},
                    "one:two:unit.socket", getpid()) == 0);
    CHECK(inherited_take(&i, &p) == 0);
    CHECK(open_with(&i, texts, LISTEN_DEFAULT, &s, &p) == 0);
    CHECK(listen_set_count(s) == 3);
    CHECK(strcmp(listen_set_fdnames(s), "one:two:mine") == 0);
    listen_set_close(s);
    inherited_done(&i);
    return 0;
}

/* One unit with several sockets gives all of them one name. */
static int one_name_many_addresses(void)
{
    const char *texts[] = {"web=@test-inherit-2", "web=@test-inherit-1", NULL};
    struct listen_set *s;
    struct inherited i;
    struct problem p;

    CHECK(hand_down((const char *[]){"@test-inherit-1", "@test-inherit-2", NULL}, "web:web",
                    getpid()) == 0);
    CHECK(inherited_take(&i, &p) == 0);
    CHECK(open_with(&i, texts, LISTEN_DEFAULT, &s, &p) == 0);
    CHECK(listen_set_count(s) == 2);
    listen_set_close(s);
    inherited_done(&i);
    return 0;
}

/* Two of one address: the name decides. */
static int one_address_two_names(void)
{
    char text[40];
    const char *texts[] = {text, NULL};
    struct listen_set *s;
    struct inherited i;
    struct problem p;

    CHECK(hand_down((const char *[]){"127.0.0.1:0", "same", NULL}, "one:two", getpid()) == 0);
    CHECK(inherited_take(&i, &p) == 0);
    sprintf(text, "two=127.0.0.1:%s", port_text[0]);
    CHECK(open_with(&i, texts, LISTEN_DEFAULT, &s, &p) == 0);
    CHECK(listen_set_count(s) == 2 && strcmp(listen_set_fdnames(s), "one:two") == 0);
    listen_set_close(s);
    inherited_done(&i);
    return 0;
}

static int name_with_another_address(void)
{
    static const char *const wanted[] = {"web=127.0.0.1:9", "web=@test-inherit-other",
                                         "web=udp:127.0.0.1:0"};

    CHECK(hand_down((const char *[]){"127.0.0.1:0", NULL}, "web", getpid()) == 0);
    struct inherited i;
    struct problem p;

    CHECK(inherited_take(&i, &p) == 0);
    for (size_t k = 0; k < 3; k++) {
        const char *texts[] = {wanted[k], NULL};
        struct listen_set *s;

        CHECK(open_with(&i, texts, LISTEN_DEFAULT, &s, &p) == -ENOTUNIQ);
        CHECK(p.status == STATUS_CONFIG);
        CHECK(strstr(p.text, "the inherited socket web has the address 127.0.0.1:"));
        CHECK(i.fds[0].fd == 3 && fcntl(3, F_GETFD) == FD_CLOEXEC);
    }
    inherited_done(&i);
    return 0;
}

static int slot_model_refused(void)
{
    struct listen_set *s;
    struct inherited i;
    struct problem p;

    CHECK(hand_down((const char *[]){"127.0.0.1:0", NULL}, "web", getpid()) == 0);
    CHECK(inherited_take(&i, &p) == 0);
    CHECK(open_with(&i, NULL, LISTEN_SLOT, &s, &p) == -EOPNOTSUPP);
    CHECK(p.status == STATUS_USAGE && strstr(p.text, "web is an inherited socket"));
    CHECK(open_with(&i, NULL, LISTEN_SHARED, &s, &p) == 0);
    listen_set_close(s);
    inherited_done(&i);
    return 0;
}

/* An inherited [::] may be for IPv6 alone, and then leaves room for another. */
static int room_for_ipv4(void)
{
    char v6[32], v4[32];
    const char *texts[] = {v6, v4, NULL};
    struct listen_set *s;
    struct inherited i;
    struct problem p;

    int r = -EADDRINUSE;

    /* The port is free for IPv6; somebody else may have it for IPv4. */
    for (unsigned tries = 0; tries < 50 && r == -EADDRINUSE; tries++) {
        if (tries > 0)
            inherited_done(&i);
        CHECK(hand_down((const char *[]){"[::]:0", NULL}, "six", getpid()) == 0);
        CHECK(inherited_take(&i, &p) == 0);
        sprintf(v6, "[::]:%s", port_text[0]);
        sprintf(v4, "0.0.0.0:%s", port_text[0]);
        r = open_with(&i, texts, LISTEN_DEFAULT, &s, &p);
    }
    CHECK(r == 0);
    CHECK(listen_set_count(s) == 2);
    listen_set_close(s);
    inherited_done(&i);
    return 0;
}

/* Two options for one inherited socket: the second cannot be opened beside it. */
static int matched_once(void)
{
    const char *texts[] = {"@test-inherit-once", "x=@test-inherit-once", NULL};
    struct listen_set *s;
    struct inherited i;
    struct problem p;

    CHECK(hand_down((const char *[]){"@test-inherit-once", NULL}, "a", getpid()) == 0);
    CHECK(inherited_take(&i, &p) == 0);
    CHECK(open_with(&i, texts, LISTEN_DEFAULT, &s, &p) == -EEXIST);
    CHECK(p.status == STATUS_USAGE);
    inherited_done(&i);
    return 0;
}

static int connect_to_itself(int fd)
{
    struct address a;

    return address_of_socket(fd, &a) < 0 ? -1 : connect(fd, &a.sa, a.size);
}

/* Its options are those that came in; what cannot be put back is for the manager to open anew. */
static int spoiled_by_a_worker(void)
{
    const struct sock_fprog drop = {1, (struct sock_filter[]){{BPF_RET | BPF_K, 0, 0, 0}}};
    struct listen_set *s;
    struct inherited i;
    struct problem p = {0};
    int ttl = 77, value = 1;
    socklen_t size = sizeof ttl;

    CHECK(hand_down((const char *[]){"127.0.0.1:0", "udp:127.0.0.1:0", NULL}, "tcp:udp",
                    getpid()) == 0);
    CHECK(setsockopt(3, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl) == 0);
    CHECK(inherited_take(&i, &p) == 0);
    CHECK(open_with(&i, NULL, LISTEN_DEFAULT, &s, &p) == 0);
    inherited_done(&i);
    CHECK(check_all(s, 0, 0, &p) == 0);
    CHECK(setsockopt(3, IPPROTO_IP, IP_TTL, &value, sizeof value) == 0);
    CHECK(check_all(s, 0, 0, &p) == 1);
    CHECK(strstr(p.text, "IP_TTL"));
    CHECK(getsockopt(3, IPPROTO_IP, IP_TTL, &value, &size) == 0 && value == 77);
    /* A peer, of which it can be freed. */
    CHECK(connect_to_itself(4) == 0);
    CHECK(check_all(s, 0, 0, &p) == 1);
    CHECK(check_all(s, 0, 0, &p) == 0);
    CHECK(setsockopt(4, SOL_SOCKET, SO_ATTACH_FILTER, &drop, sizeof drop) == 0);
    CHECK(setsockopt(4, SOL_SOCKET, SO_LOCK_FILTER, &value, sizeof value) == 0);
    p.text[0] = 0;
    CHECK(check_all(s, 0, 0, &p) == -EBADFD);
    CHECK(strstr(p.text, "inherited socket udp") && strstr(p.text, "SO_ATTACH_FILTER") &&
          strstr(p.text, "restart the socket unit"));
    listen_set_close(s);
    return 0;
}

/* TCP can be revived in place; a unix socket of somebody else's cannot. */
static int shut_down_by_a_worker(void)
{
    struct listen_set *s;
    struct inherited i;
    struct problem p;

    CHECK(hand_down((const char *[]){"127.0.0.1:0", "@test-inherit-down", NULL}, "tcp:unix",
                    getpid()) == 0);
    CHECK(inherited_take(&i, &p) == 0);
    CHECK(open_with(&i, NULL, LISTEN_DEFAULT, &s, &p) == 0);
    inherited_done(&i);
    CHECK(check_all(s, 0, 0, &p) == 0);
    CHECK(shutdown(3, SHUT_RDWR) == 0);
    CHECK(check_all(s, 0, 0, &p) == 1);
    CHECK(check_all(s, 0, 0, &p) == 0);
    CHECK(shutdown(4, SHUT_RDWR) == 0);
    CHECK(check_all(s, 0, 0, &p) == -EBADFD);
    CHECK(strstr(p.text, "inherited socket unix"));
    listen_set_close(s);
    return 0;
}

/* ---- the runner ------------------------------------------------------------------------------ */

static void run(int (*body)(void))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        int line = body();

        if (line)
            fprintf(stderr, "line %d failed\n", line);
        _exit(line != 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

#define IN_A_PROCESS(body)                                                                         \
    static void test_##body(void **state)                                                          \
    {                                                                                              \
        run(body);                                                                                 \
    }

IN_A_PROCESS(nothing_handed_down)
IN_A_PROCESS(another_pid)
IN_A_PROCESS(taken)
IN_A_PROCESS(without_names)
IN_A_PROCESS(bad_variables)
IN_A_PROCESS(order)
IN_A_PROCESS(matched_by_name)
IN_A_PROCESS(one_name_many_addresses)
IN_A_PROCESS(one_address_two_names)
IN_A_PROCESS(name_with_another_address)
IN_A_PROCESS(slot_model_refused)
IN_A_PROCESS(room_for_ipv4)
IN_A_PROCESS(matched_once)
IN_A_PROCESS(shut_down_by_a_worker)
IN_A_PROCESS(spoiled_by_a_worker)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_handed_down),
        cmocka_unit_test(test_another_pid),
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_without_names),
        cmocka_unit_test(test_bad_variables),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_matched_by_name),
        cmocka_unit_test(test_one_name_many_addresses),
        cmocka_unit_test(test_one_address_two_names),
        cmocka_unit_test(test_name_with_another_address),
        cmocka_unit_test(test_slot_model_refused),
        cmocka_unit_test(test_room_for_ipv4),
        cmocka_unit_test(test_matched_once),
        cmocka_unit_test(test_shut_down_by_a_worker),
        cmocka_unit_test(test_spoiled_by_a_worker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
