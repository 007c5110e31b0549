/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Files that are no sockets: terminals, the standard input, regular files, devices, eventfds. */

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check.h"

#define DEADLINE (20 * AIT_USEC_PER_SEC)

static int write_master(void *userdata)
{
    int fd = *(int *)userdata;

    return ait_write(fd, "line\n", 5) == 5 ? 0 : -EIO;
}

static int tty_main(void *userdata)
{
    AIT_SCOPE(scope);
    int master, slave;
    char buf[64];

    master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        return -errno;
    slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return -errno;
    CHECK_EQ(ait_scope_enter_after(&scope, AIT_SCOPE_FAIL_FAST, DEADLINE), 0);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(ait_scope_spawn(scope, NULL, write_master, &master, NULL), 0);
        CHECK_EQ(ait_read(slave, buf, sizeof(buf)), 5);
    }
    /* Shared with others who have the terminal: not ours to change. */
    CHECK_EQ(fcntl(slave, F_GETFL) & O_NONBLOCK, 0);
    CHECK_EQ(ait_write(slave, "x\n", 2), 2);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(ait_close(slave), 0);
    return ait_close(master);
}

static void test_tty(void **unused)
{
    int r = run_real(tty_main, NULL);

    if (r == -ENOENT || r == -EACCES || r == -ENODEV) {
        print_message("SKIP: no devpts here\n");
        skip();
    }
    assert_int_equal(r, 0);
}

static int write_stdin(void *userdata)
{
    return ait_write(*(int *)userdata, "typed", 5) == 5 ? 0 : -EIO;
}

static int stdin_main(void *userdata)
{
    AIT_SCOPE(scope);
    char buf[8];

    CHECK_EQ(ait_scope_enter_after(&scope, AIT_SCOPE_FAIL_FAST, DEADLINE), 0);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(ait_scope_spawn(scope, NULL, write_stdin, userdata, NULL), 0);
        CHECK_EQ(ait_read(STDIN_FILENO, buf, sizeof(buf)), 5);
    }
    CHECK_EQ(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK, 0);
    return ait_scope_exit(scope, 0);
}

/* A pipeline's pipe is shared as well: it stays in blocking mode, and still nothing blocks. */
static void test_stdin(void **unused)
{
    int saved = dup(STDIN_FILENO), fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
    (void)close(fds[0]);
    assert_int_equal(run_real(stdin_main, &fds[1]), 0);
    (void)close(fds[1]);
    if (saved >= 0) {
        assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
        (void)close(saved);
    } else {
        (void)close(STDIN_FILENO);
    }
}

/* ---- what would block after poll(2) has said that it would not ------------------------------- */

enum { TERMINAL, TERMINAL_LINES, STDOUT_PIPE, PTY_MASTER, N_SINKS };

static ssize_t sink_write(int how, int fd, const char *data, size_t n)
{
    const struct iovec iov[] = {{(void *)data, n / 2}, {(void *)(data + n / 2), n - n / 2}};

    return how == 0 ? ait_write(fd, data, n) : ait_writev(fd, iov, 2);
}

/* More than the other end has room for, which nobody reads. */
static int sink_main(void *userdata)
{
    int kind = *(int *)userdata, fds[2], r = 0;
    static char data[20000];
    size_t total = 0;
    ssize_t k = 0;

    for (int how = 0; how < 2; how++) {
        if (kind == STDOUT_PIPE) {
            CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
            if (fds[0] == STDIN_FILENO)
                fds[0] = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
            CHECK_EQ(dup2(fds[1], STDIN_FILENO), STDIN_FILENO); /* any of the three will do */
            CHECK_EQ(close(fds[1]), 0);
            fds[1] = STDIN_FILENO;
        } else {
            fds[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
            if (fds[0] < 0 || grantpt(fds[0]) < 0 || unlockpt(fds[0]) < 0)
                return -ENODEV;
            fds[1] = open(ptsname(fds[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
            if (fds[1] < 0)
                return -ENODEV;
        }
        if (kind == PTY_MASTER) {
            int swap = fds[0];

            fds[0] = fds[1];
            fds[1] = swap;
        }
        memset(data, kind == TERMINAL_LINES ? '\n' : 'x', sizeof(data));
        AIT_MOVE_ON_AFTER(r, MS(1000))
            do {
                k = sink_write(how, fds[1], data, 3001);
                total += k > 0 ? (size_t)k : 0;
            } while (k > 0);
        CHECK_EQ(k, -ECANCELED);
        CHECK(total > 0);
        /* And one large write where there is a little room, the rest of which is waited for. */
        if (kind != PTY_MASTER)
            CHECK(read(fds[0], data, kind == STDOUT_PIPE ? 4096 : 300) > 0);
        AIT_MOVE_ON_AFTER(r, MS(1000))
            r = ait_write_all(fds[1], data, sizeof(data), NULL);
        CHECK_EQ(r, 0);
        if (kind != PTY_MASTER)
            CHECK_EQ(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
        CHECK_EQ(ait_close(fds[1]), 0);
        CHECK_EQ(ait_close(fds[0]), 0);
    }
    return 0;
}

/* A loop that stands still never gets to the limit. */
static void test_sinks(void **unused)
{
    int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);

    for (int kind = 0; kind < N_SINKS; kind++) {
        int r = run_virtual(sink_main, &kind);

        if (r != -ENODEV)
            assert_int_equal(r, 0);
    }
    if (saved >= 0) {
        assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
        (void)close(saved);
    }
}

/* ---- the type of a file ---------------------------------------------------------------------- */

/* Of character devices only terminals are shared, and of regular files some wait. */
static const struct device {
    const char *path;
    int flags;
    bool nonblocking; /* once it has been used */
} devices[] = {
    {"/dev/null", O_RDWR, true},           {"/dev/zero", O_RDWR, true},
    {"/proc/self/mounts", O_RDONLY, true}, {"/proc/self/status", O_RDONLY, false},
    {"/etc/passwd", O_RDONLY, false},
};

static int devices_main(void *userdata)
{
    static char data[8000];

    for (size_t i = 0; i < ELEMENTS(devices); i++) {
        int fd = open(devices[i].path, devices[i].flags | O_CLOEXEC);

        if (fd < 0)
            continue;
        if (devices[i].flags == O_RDWR)
            CHECK_EQ(ait_write(fd, data, sizeof(data)), sizeof(data));
        CHECK(ait_read(fd, data, sizeof(data)) >= 0);
        if (!CHECK_EQ(!!(fcntl(fd, F_GETFL) & O_NONBLOCK), devices[i].nonblocking))
            (void)fprintf(stderr, "  %s\n", devices[i].path);
        CHECK_EQ(ait_close(fd), 0);
    }
    return 0;
}

static void test_devices(void **unused)
{
    assert_int_equal(run_virtual(devices_main, NULL), 0);
}

static int file_main(void *userdata)
{
    int fd = fileno(userdata), null = open("/dev/null", O_RDWR | O_CLOEXEC),
        zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
    char buf[16] = {1};

    CHECK_EQ(ait_write_all(fd, "0123456789", 10, NULL), 0);
    CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
    CHECK_EQ(ait_read(fd, buf, 4), 4);
    CHECK_EQ(ait_read(fd, buf, sizeof(buf)), 6);
    CHECK_EQ(ait_read(fd, buf, sizeof(buf)), 0);
    CHECK_EQ(ait_poll(fd, POLLIN), POLLIN);
    CHECK_EQ(ait_read(null, buf, sizeof(buf)), 0);
    CHECK_EQ(ait_write(null, buf, sizeof(buf)), sizeof(buf));
    CHECK_EQ(ait_read(zero, buf, sizeof(buf)), sizeof(buf));
    CHECK_EQ(buf[0], 0);
    CHECK_EQ(ait_read(fd, NULL, 0), 0);
    CHECK_EQ(ait_close(null), 0);
    return ait_close(zero);
}

static void test_files(void **unused)
{
    FILE *f = tmpfile();

    assert_non_null(f);
    assert_int_equal(run_real(file_main, f), 0);
    (void)fclose(f);
}

static int add_one(void *userdata)
{
    uint64_t one = 1;

    return ait_write(*(int *)userdata, &one, sizeof(one)) == sizeof(one) ? 0 : -EIO;
}

static int eventfd_main(void *userdata)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    AIT_SCOPE(scope);
    uint64_t n = 0;

    CHECK_EQ(ait_scope_enter_after(&scope, AIT_SCOPE_FAIL_FAST, DEADLINE), 0);
    for (unsigned i = 0; i < 100; i++) {
        CHECK_EQ(ait_scope_spawn(scope, NULL, add_one, &fd, NULL), 0);
        CHECK_EQ(ait_read(fd, &n, sizeof(n)), sizeof(n));
        CHECK_EQ(n, 1);
    }
    CHECK_EQ(add_one(&fd), 0);
    CHECK_EQ(ait_read(fd, &n, 1), -EINVAL);
    CHECK_EQ(ait_read(fd, &n, sizeof(n)), sizeof(n));
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    return ait_close(fd);
}

static void test_eventfd(void **unused)
{
    assert_int_equal(run_real(eventfd_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tty),   cmocka_unit_test(test_stdin),
        cmocka_unit_test(test_sinks), cmocka_unit_test(test_devices),
        cmocka_unit_test(test_files), cmocka_unit_test(test_eventfd),
    };

    (void)alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
