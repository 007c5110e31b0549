/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sets of listening sockets: what a slot's worker gets, what is refused and in which words, and how
 * slots and seats come and go. */

#include "listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_what_a_slot_gets(void **state)
{
    char path[64];
    struct given g = {
        {"web=127.0.0.1:0", in_folder(path, "s=", "x"), "udp:127.0.0.1:0"}, LISTEN_DEFAULT, 3};
    struct listen_set *s = open_set(&g);
    int fds[3][3];

    assert_int_equal(listen_set_count(s), 3);
    assert_string_equal(listen_set_fdnames(s), "web:s:unknown");
    assert_string_equal(listen_set_name(s, 1), "s");
    assert_string_equal(listen_set_address(s, 1), path + 2);
    assert_int_equal(listen_set_owner(s, 0), LISTEN_OF_WORKER);
    assert_int_equal(listen_set_owner(s, 1), LISTEN_OF_ALL);
    assert_int_equal(listen_set_owner(s, 2), LISTEN_OF_SLOT);
    assert_true(listen_set_first_port(s) > 0);
    for (unsigned slot = 0; slot < 3; slot++) {
        assert_int_equal(listen_set_fds(s, slot, slot, fds[slot]), 0);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(fcntl(fds[slot][i], F_GETFD), FD_CLOEXEC);
            assert_int_equal(fcntl(fds[slot][i], F_GETFL) & O_NONBLOCK, 0);
        }
    }
    assert_true(fds[0][0] != fds[1][0] && fds[1][0] != fds[2][0] && fds[0][2] != fds[1][2]);
    assert_true(fds[0][1] == fds[1][1]);
    assert_int_equal(listen_set_fds(s, 3, 3, fds[0]), -ENOENT);
    assert_serves(s, 1, fds[0][1]);
    listen_set_close(s);
    assert_int_equal(access(path + 2, F_OK), -1);
}

static void test_port_alone_takes_both_families(void **state)
{
    struct listen_set *s = open_one("0", 1);
    static const char *const hosts[] = {"127.0.0.1:1", "[::1]:1"};
    int fd;

    assert_int_equal(listen_set_fds(s, 0, 0, &fd), 0);
    for (int i = 0; i < 2; i++) {
        struct address a;
        int client;

        assert_int_equal(address_parse(hosts[i], &a, NULL), 0);
        address_set_port(&a, listen_set_first_port(s));
        client = socket(a.sa.sa_family, SOCK_STREAM, 0);
        assert_int_equal(connect(client, &a.sa, a.size), 0);
        close(client);
    }
    assert_int_equal(listen_set_pending(s, 0), 2);
    listen_set_close(s);
}

/* socket(AF_INET6) fails as on a kernel without it. Only for this process, which must end soon. */
static int forbid_ipv6(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0;
}

static int child_without_ipv6(void)
{
    const char *any = "0", *v6 = "[::]:0";
    struct listen_options o = {.listen = &any, .n_listen = 1, .n_slots = 2};
    struct listen_set *s;
    struct problem p;

    if (forbid_ipv6())
        return 77;
    if (listen_set_open(&s, &o, &p) < 0 || strncmp(listen_set_address(s, 0), "0.0.0.0:", 8) != 0)
        return 1;
    listen_set_close(s);
    o.listen = &v6;
    return listen_set_open(&s, &o, &p) == -EAFNOSUPPORT && p.status == STATUS_OS &&
                   strstr(p.text, "0.0.0.0:")
               ? 0
               : 2;
}

static void test_without_ipv6(void **state)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(child_without_ipv6());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("SKIP: seccomp filters are not to be had here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_no_addresses(void **state)
{
    struct listen_set *s = open_set(&(struct given){{NULL}, LISTEN_DEFAULT, 4});
    struct problem p;

    assert_int_equal(listen_set_count(s), 0);
    assert_string_equal(listen_set_fdnames(s), "");
    assert_int_equal(listen_set_first_port(s), 0);
    assert_int_equal(listen_set_fds(s, 3, 3, NULL), 0);
    assert_int_equal(listen_set_add_slot(s, 7, &p), 0);
    assert_int_equal(listen_set_steer_slot(s, 3, STEER_READY), 0);
    assert_int_equal(listen_set_steer_slot(s, 5000, STEER_READY), -ERANGE);
    assert_int_equal(listen_set_pending(s, 0), 0);
    assert_int_equal(check_all(s, 0, 0, &p), 0);
    listen_set_remove_slot(s, 0);
    assert_null(listen_set_close(s));
    assert_null(listen_set_close(NULL));
}

/* ---- refused --------------------------------------------------------------------------------- */

static void test_refused(void **state)
{
    static const struct {
        struct given given;
        int error, status;
        const char *words;
    } cases[] = {
        {{{"localhost:80"}, LISTEN_DEFAULT, 1},
         -EINVAL,
         64,
         "--listen=localhost:80: has a host name"},
        {{{"[fe80::1%nope]:80"}, LISTEN_DEFAULT, 1}, -ENODEV, 78, "interface"},
        {{{"192.0.2.1:80"}, LISTEN_DEFAULT, 1},
         -EADDRNOTAVAIL,
         71,
         "--listen=192.0.2.1:80: no interface"},
        {{{"[fe80::1]:0"}, LISTEN_DEFAULT, 1}, -EINVAL, 71, "[fe80::1%eth0]"},
        {{{"/no/such/folder/x"}, LISTEN_DEFAULT, 1},
         -ENOENT,
         78,
         "create the parent directory of /no/such/folder/x"},
        {{{"/dev/null/x"}, LISTEN_DEFAULT, 1}, -ENOTDIR, 78, "not a directory"},
        {{{"/tmp"}, LISTEN_DEFAULT, 1}, -EEXIST, 71, "not a socket"},
        {{{"127.0.0.1:9", "a=0.0.0.0:9"}, LISTEN_DEFAULT, 1},
         -EEXIST,
         64,
         "as --listen=127.0.0.1:9"},
        {{{"@x"}, LISTEN_SLOT, 1}, -EOPNOTSUPP, 64, "--listeners=slot: @x is a unix socket"},
        {{{"127.0.0.1:0"}, LISTEN_SLOT, 1025}, -ERANGE, 64, "--workers=1025"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(&cases[i].given, cases[i].error, cases[i].status, cases[i].words);
}

static void test_in_use(void **state)
{
    static const char *const texts[] = {"127.0.0.1:0", "0", "udp:0", "@test-listen-in-use",
                                        "seqpacket:@test-listen"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (enum listen_model model = LISTEN_DEFAULT; model <= LISTEN_SHARED; model++) {
            struct given first = {{texts[i]}, model, 2}, second;
            struct listen_set *s;
            struct problem p;

            if (model == LISTEN_SLOT && strchr(texts[i], '@'))
                continue;
            s = open_set(&first);
            second = (struct given){{listen_set_address(s, 0)}, LISTEN_DEFAULT, 1};
            assert_refused(&second, -EADDRINUSE, STATUS_OS, "address already in use (");
            second.model = LISTEN_SHARED;
            assert_refused(&second, -EADDRINUSE, STATUS_OS, "`ss -l");
            listen_set_close(s);
            /* and free again at once */
            second = first;
            assert_int_equal(try_open(&second, &s, &p), 0);
            listen_set_close(s);
        }
}

/* What was opened before the failing one is closed and unlinked. */
static void test_all_or_nothing(void **state)
{
    struct listen_set *taken = open_one("127.0.0.1:0", 1);
    char path[64];
    struct given g = {
        {in_folder(path, "", "x"), "127.0.0.1:0", "@test-listen-all", listen_set_address(taken, 0)},
        LISTEN_DEFAULT,
        4};

    assert_refused(&g, -EADDRINUSE, STATUS_OS, "address already in use");
    assert_int_equal(access(path, F_OK), -1);
    listen_set_close(taken);
}

static void test_privileged_port(void **state)
{
    struct given g = {{"127.0.0.1:81"}, LISTEN_DEFAULT, 1};
    int status, start = 0;
    FILE *f = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
    pid_t pid;

    if (f) {
        (void)!fscanf(f, "%d", &start);
        fclose(f);
    }
    if (geteuid() != 0 || start <= 81) {
        print_message("SKIP: needs root, and ports that only root may use\n");
        skip();
    }
    pid = fork();
    if (pid == 0) {
        struct listen_set *s;
        struct problem p;

        if (setresuid(65534, 65534, 65534) < 0)
            _exit(3);
        _exit(try_open(&g, &s, &p) == -EACCES && strstr(p.text, "port 81 needs root") ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* ---- while it runs --------------------------------------------------------------------------- */

static void test_slots_come_and_go(void **state)
{
    struct given g = {{"127.0.0.1:0", "udp:127.0.0.1:0"}, LISTEN_DEFAULT, 2};
    struct listen_set *s = open_set(&g);
    struct problem p;
    int fds[2];

    assert_int_equal(listen_set_add_slot(s, 5, &p), 0);
    assert_int_equal(listen_set_add_slot(s, 5, &p), 0);
    assert_int_equal(listen_set_fds(s, 5, 1, fds), 0);
    assert_int_equal(listen_set_fds(s, 5, 2, fds), -ENOENT);
    listen_set_remove_slot(s, 0);
    assert_int_equal(listen_set_fds(s, 0, 0, fds), -ENOENT);
    assert_int_equal(listen_set_add_slot(s, 5000, &p), -ERANGE);
    listen_set_close(s);
}

/* The lowest free number; those of the first slots are there already. */
static void test_seats_come_and_go(void **state)
{
    struct given g = {{"127.0.0.1:0", "127.0.0.2:0"}, LISTEN_DEFAULT, 2};
    struct listen_set *s = open_set(&g);
    unsigned before = count_fds();
    struct problem p;
    int fds[2];

    assert_true(listen_set_has(s, LISTEN_OF_WORKER));
    assert_false(listen_set_has(s, LISTEN_OF_SLOT));
    assert_int_equal(listen_set_take_seat(s, &p), 0);
    assert_int_equal(listen_set_take_seat(s, &p), 1);
    assert_int_equal(count_fds(), before);
    assert_int_equal(listen_set_take_seat(s, &p), 2);
    assert_int_equal(listen_set_take_seat(s, &p), 3);
    assert_int_equal(count_fds(), before + 4);
    listen_set_release_seat(s, 1);
    listen_set_release_seat(s, 3);
    assert_int_equal(count_fds(), before);
    assert_int_equal(listen_set_fds(s, 0, 1, fds), -ENOENT);
    assert_int_equal(listen_set_take_seat(s, &p), 1);

    assert_int_equal(listen_set_steer_seat(s, 0, STEER_AWAY), 0);
    assert_false(listen_set_is_avoided(s, 0));
    assert_int_equal(listen_set_steer_seat(s, 2, STEER_READY), 0);
    assert_true(listen_set_is_avoided(s, 0));
    assert_false(listen_set_is_avoided(s, 2));
    for (size_t i = 0; i < 2; i++)
        for (int k = 0; k < 50; k++)
            close(connect_to(s, i));
    assert_int_equal(listen_set_pending(s, 2), 100);
    assert_int_equal(listen_set_pending(s, 0), 0);
    assert_int_equal(listen_set_pending(s, 3), -ENOENT);
    assert_int_equal(listen_set_steer_seat(s, 5000, STEER_READY), -ERANGE);
    listen_set_close(s);
}

/* A seat that has come gets nothing until somebody says so, also where it makes a group of what was
 * a single socket. */
static void test_new_seat_is_away(void **state)
{
    for (unsigned n = 1; n <= 2; n++) {
        struct listen_set *s = open_one("127.0.0.1:0", n);
        struct problem p;

        for (unsigned seat = 0; seat < n; seat++) {
            assert_int_equal(listen_set_take_seat(s, &p), seat);
            assert_int_equal(listen_set_steer_seat(s, seat, STEER_READY), 0);
        }
        assert_int_equal(listen_set_take_seat(s, &p), n);
        for (int i = 0; i < 50; i++)
            close(connect_to(s, 0));
        assert_int_equal(listen_set_pending(s, n), 0);
        listen_set_close(s);
    }
}

/* The fd of the first address fits under the limit, that of the second does not. */
static void test_add_is_all_or_nothing(void **state)
{
    struct given g = {{"127.0.0.1:0", "127.0.0.2:0"}, LISTEN_DEFAULT, 1};
    struct listen_set *s = open_set(&g);
    struct problem p = {0};
    struct rlimit before, low;
    int fds[2], next = dup(0);

    close(next);
    assert_int_equal(listen_set_take_seat(s, &p), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = (struct rlimit){.rlim_cur = (rlim_t)next + 1, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(listen_set_take_seat(s, &p), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);

    assert_non_null(strstr(p.text, "--listen=127.0.0.2:0: too many open files"));
    assert_int_equal(listen_set_fds(s, 0, 1, fds), -ENOENT);
    assert_int_equal(dup(0), next);
    close(next);
    assert_int_equal(listen_set_take_seat(s, &p), 1);
    listen_set_close(s);
}

/* How many connections wait, whatever the kind of the socket. */
static void test_queue(void **state)
{
    char path[64];
    const char *const texts[] = {"127.0.0.1:0", in_folder(path, "", "x"), "@test-listen-queue",
                                 "seqpacket:@test-listen-queue-2"};

    for (size_t i = 0; i < 4; i++) {
        struct listen_set *s = open_set(&(struct given){{texts[i]}, LISTEN_SHARED, 1});
        struct listener_queue queue;
        int fd, clients[3];

        assert_int_equal(listen_set_fds(s, 0, 0, &fd), 0);
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(listen_set_shared_queue(s, 0, &queue), 0);
            assert_int_equal(queue.waiting, k);
            assert_false(queue.full);
            clients[k] = connect_to(s, 0);
            assert_true(clients[k] >= 0);
        }
        assert_int_equal(listen(fd, 2), 0);
        assert_int_equal(listen_set_shared_queue(s, 0, &queue), 0);
        assert_true(queue.full);
        close(accept(fd, NULL, NULL));
        assert_int_equal(listen_set_shared_queue(s, 0, &queue), 0);
        assert_int_equal(queue.waiting, 2);
        assert_false(queue.full);
        for (size_t k = 0; k < 3; k++)
            close(clients[k]);
        listen_set_close(s);
    }
    struct listen_set *s = open_set(&(struct given){{"udp:127.0.0.1:0"}, LISTEN_SHARED, 1});
    struct listener_queue queue;
    assert_int_equal(listen_set_shared_queue(s, 0, &queue), -EOPNOTSUPP);
    listen_set_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_slot_gets),
        cmocka_unit_test(test_port_alone_takes_both_families),
        cmocka_unit_test(test_without_ipv6),
        cmocka_unit_test(test_no_addresses),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_in_use),
        cmocka_unit_test(test_all_or_nothing),
        cmocka_unit_test(test_privileged_port),
        cmocka_unit_test(test_slots_come_and_go),
        cmocka_unit_test(test_seats_come_and_go),
        cmocka_unit_test(test_new_seat_is_away),
        cmocka_unit_test(test_add_is_all_or_nothing),
        cmocka_unit_test(test_queue),
    };

    alarm(100); /* some cases wait for what a defect would keep from happening */
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
