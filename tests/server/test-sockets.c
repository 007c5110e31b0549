/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sets of listening sockets: what a slot's worker gets, socket files and their end, what is refused
 * and in which words. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sockets/set.h"

static char folder[32];

static int make_folder(void **state)
{
    strcpy(folder, "/tmp/test-listen-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

/* Fails where a test has left anything behind. */
static int remove_folder(void **state)
{
    return rmdir(folder);
}

static char *in_folder(char *buffer, const char *prefix, const char *name)
{
    sprintf(buffer, "%s%s/%s", prefix, folder, name);
    return buffer;
}

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

static unsigned count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* ---- opening --------------------------------------------------------------------------------- */

struct given {
    const char *texts[4];
    enum listen_model model;
    unsigned n_slots;
};

static int try_open(const struct given *g, struct listen_set **ret, struct problem *p)
{
    struct listen_options o = {.listen = g->texts, .model = g->model, .n_slots = g->n_slots};

    while (o.n_listen < 4 && g->texts[o.n_listen])
        o.n_listen++;
    return listen_set_open(ret, &o, p);
}

static struct listen_set *open_set(const struct given *g)
{
    struct listen_set *s = NULL;
    struct problem p = {0};

    if (try_open(g, &s, &p) < 0)
        fail_msg("%s", p.text);
    return s;
}

static struct listen_set *open_one(const char *text, unsigned n_slots)
{
    return open_set(&(struct given){{text}, LISTEN_DEFAULT, n_slots});
}

/* The status and the words of a failure; nothing stays open. */
static void assert_refused(const struct given *g, int error, int status, const char *words)
{
    struct listen_set *s = NULL;
    struct problem p = {0};
    unsigned before = count_fds();
    int r = try_open(g, &s, &p);

    if (r != error || p.status != status || !strstr(p.text, words))
        fail_msg("%s...: %d, %d, %s", g->texts[0], r, p.status, p.text);
    assert_null(s);
    assert_int_equal(count_fds(), before);
    assert_true(try_open(g, &s, NULL) < 0);
}

/* Connects to the i-th address of a set; the fd, or negative. */
static int connect_to(const struct listen_set *s, size_t i)
{
    struct address a;
    int fd;

    assert_int_equal(address_parse(listen_set_address(s, i), &a, NULL), 0);
    fd = socket(a.sa.sa_family, a.type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, &a.sa, a.size) == 0)
        return fd;
    close(fd);
    return -errno;
}

static void assert_serves(const struct listen_set *s, size_t i, int listener)
{
    int client = connect_to(s, i), server;

    assert_true(client >= 0);
    server = accept(listener, NULL, NULL);
    assert_true(server >= 0);
    close(client);
    close(server);
}

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

/* ---- socket files ---------------------------------------------------------------------------- */

static void test_mode_despite_umask(void **state)
{
    mode_t before = umask(077);
    char path[64];
    struct listen_set *s = open_one(in_folder(path, "", "x"), 1);
    struct stat st;

    assert_int_equal(umask(before), 077);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mode, S_IFSOCK | 0666);
    listen_set_close(s);
}

/* A file that a killed server has left. */
static void leave_stale(const char *path, int type)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);

    strcpy(a.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    close(fd);
}

static void test_stale_is_replaced(void **state)
{
    static const char *const prefixes[] = {"", "seqpacket:"};
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};

    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 3; k++) {
            char text[64], path[64];
            struct listen_set *s;
            int fd;

            leave_stale(in_folder(path, "", "x"), types[k]);
            s = open_one(in_folder(text, prefixes[i], "x"), 1);
            assert_int_equal(listen_set_fds(s, 0, 0, &fd), 0);
            assert_serves(s, 0, fd);
            listen_set_close(s);
        }
}

static void test_live_is_refused(void **state)
{
    static const char *const prefixes[] = {"", "seqpacket:"};

    for (size_t i = 0; i < 2; i++) {
        char text[64], other[64];
        struct listen_set *s = open_one(in_folder(text, prefixes[i], "x"), 1);
        int fd;

        /* of the same and of another type */
        for (size_t k = 0; k < 2; k++)
            assert_refused(&(struct given){{in_folder(other, prefixes[k], "x")}, LISTEN_DEFAULT, 1},
                           -EADDRINUSE, STATUS_OS, "another server already listens on this socket");
        assert_int_equal(listen_set_fds(s, 0, 0, &fd), 0);
        listen_set_close(s);
    }
}

/* A full queue makes a server no less alive. */
static void test_full_queue_is_live(void **state)
{
    char path[64];
    struct listen_set *s = open_one(in_folder(path, "", "x"), 1);
    int fd, clients[2], n = 0;

    assert_int_equal(listen_set_fds(s, 0, 0, &fd), 0);
    assert_int_equal(listen(fd, 0), 0);
    for (; n < 2; n++) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};

        strcpy(a.sun_path, path);
        clients[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(clients[n], (struct sockaddr *)&a, sizeof a);
    }
    assert_refused(&(struct given){{path}, LISTEN_DEFAULT, 1}, -EADDRINUSE, STATUS_OS,
                   "already listens");
    while (n-- > 0)
        close(clients[n]);
    listen_set_close(s);
}

static void test_others_are_left_alone(void **state)
{
    char path[64], target[64];
    struct given g = {{in_folder(path, "", "x")}, LISTEN_DEFAULT, 1};
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    close(fd);
    assert_refused(&g, -EEXIST, STATUS_OS, "remove ");
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(unlink(path), 0);

    assert_int_equal(mkdir(path, 0700), 0);
    assert_refused(&g, -EEXIST, STATUS_OS, "not a socket");
    assert_int_equal(rmdir(path), 0);

    /* not even behind a symbolic link */
    leave_stale(in_folder(target, "", "y"), SOCK_STREAM);
    assert_int_equal(symlink(target, path), 0);
    assert_refused(&g, -EEXIST, STATUS_OS, "not a socket");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(target), 0);
}

static void test_only_own_file_is_unlinked(void **state)
{
    char path[64];
    struct listen_set *s = open_one(in_folder(path, "", "x"), 1), *second;
    int status;
    pid_t pid;

    /* in a child process: nothing */
    pid = fork();
    if (pid == 0) {
        listen_set_close(s);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(access(path, F_OK), 0);

    /* somebody has made room by force */
    assert_int_equal(unlink(path), 0);
    second = open_one(path, 1);
    listen_set_close(s);
    assert_int_equal(access(path, F_OK), 0);
    listen_set_close(second);
    assert_int_equal(access(path, F_OK), -1);
}

static int race_for(const char *path, int go, int done)
{
    struct given g = {{path}, LISTEN_DEFAULT, 1};
    struct listen_set *s = NULL;
    struct problem p;
    char byte;
    int r;

    (void)!read(go, &byte, 1);
    r = try_open(&g, &s, &p);
    if (r == 0)
        (void)!read(done, &byte, 1);
    listen_set_close(s);
    return r == 0 ? 0 : r == -EADDRINUSE ? 1 : 2;
}

static void test_race_for_a_stale_path(void **state)
{
    char path[64];

    in_folder(path, "", "x");
    for (int round = 0; round < 40; round++) {
        int go[2], done[2], status;

        leave_stale(path, SOCK_STREAM);
        assert_int_equal(pipe(go), 0);
        assert_int_equal(pipe(done), 0);
        for (int i = 0; i < 4; i++)
            if (fork() == 0) {
                close(go[1]);
                close(done[1]);
                _exit(race_for(path, go[0], done[0]));
            }
        close(go[1]);
        for (int i = 0; i < 3; i++) {
            assert_true(wait(&status) > 0);
            assert_int_equal(WEXITSTATUS(status), 1);
        }
        close(done[1]);
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
        close(go[0]);
        close(done[0]);
    }
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

static ino_t inode_of(const char *path)
{
    struct stat st;

    return lstat(path, &st) < 0 ? 0 : st.st_ino;
}

/* The path, its second name, then both: the socket stays as long as one of them is left. */
static void remove_in_steps(struct listen_set *s, const char *path)
{
    struct problem p = {.text = ""};
    char spare[128];
    ino_t inode = inode_of(path);
    int fd;

    (void)snprintf(spare, sizeof(spare), "%s/.removed.sock.spare", folder);
    assert_int_equal(inode_of(spare), inode);
    assert_true(listen_set_owns_file(s, "removed.sock"));
    assert_true(listen_set_owns_file(s, ".removed.sock.spare"));
    assert_false(listen_set_owns_file(s, "other.sock"));
    assert_string_equal(listen_set_path(s, 0), path);
    assert_int_equal(listen_set_check_path(s, 0, &p), 0);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(listen_set_check_path(s, 0, &p), 1);
    assert_int_equal(inode_of(path), inode);
    assert_int_equal(unlink(spare), 0);
    assert_int_equal(listen_set_check_path(s, 0, &p), 0);
    assert_int_equal(inode_of(spare), inode);
    assert_int_equal(unlink(spare), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(listen_set_check_path(s, 0, &p), 1);
    assert_non_null(strstr(p.text, "another socket"));
    assert_int_equal(inode_of(spare), inode_of(path));
    assert_int_equal(listen_set_fds(s, 1, 1, &fd), 0);
    assert_serves(s, 0, fd);
}

static void test_removed_file(void **state)
{
    char path[108];
    struct problem p = {.text = ""};
    int fd;

    (void)snprintf(path, sizeof(path), "%s/removed.sock", folder);
    struct listen_set *s = open_set(&(struct given){{path}, LISTEN_DEFAULT, 2});
    assert_int_equal(check_all(s, 0, 0, &p), 0);
    assert_string_equal(p.text, "");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(check_all(s, 0, 0, &p), 1);
    assert_non_null(strstr(p.text, "removed.sock"));
    assert_int_equal(check_all(s, 1, 1, &p), 0);
    assert_int_equal(listen_set_fds(s, 1, 1, &fd), 0);
    assert_serves(s, 0, fd);
    remove_in_steps(s, path);
    /* Where somebody else listens by now, that stays. */
    assert_int_equal(unlink(path), 0);
    struct listen_set *other = open_set(&(struct given){{path}, LISTEN_DEFAULT, 1});
    assert_int_equal(check_all(s, 0, 0, &p), 0);
    assert_int_equal(listen_set_check_path(s, 0, &p), -EADDRINUSE);
    assert_non_null(strstr(p.text, "in its place"));
    listen_set_close(s);
    assert_int_equal(access(path, F_OK), 0);
    listen_set_close(other);
    assert_int_equal(access(path, F_OK), -1);
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
        cmocka_unit_test(test_mode_despite_umask),
        cmocka_unit_test(test_stale_is_replaced),
        cmocka_unit_test(test_live_is_refused),
        cmocka_unit_test(test_full_queue_is_live),
        cmocka_unit_test(test_others_are_left_alone),
        cmocka_unit_test(test_only_own_file_is_unlinked),
        cmocka_unit_test(test_race_for_a_stale_path),
        cmocka_unit_test(test_slots_come_and_go),
        cmocka_unit_test(test_seats_come_and_go),
        cmocka_unit_test(test_new_seat_is_away),
        cmocka_unit_test(test_add_is_all_or_nothing),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_mend),
        cmocka_unit_test(test_repair),
        cmocka_unit_test(test_removed_file),
        cmocka_unit_test(test_repair_waits_for_the_name),
    };

    alarm(100); /* some cases wait for what a defect would keep from happening */
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
