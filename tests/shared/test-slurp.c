/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "slurp.h"

#define PATH_OF_FD(fd)                                                                             \
    ({                                                                                             \
        static char path_[40];                                                                     \
        (void)snprintf(path_, sizeof(path_), "/proc/self/fd/%d", fd);                              \
        path_;                                                                                     \
    })

/* A file of n times 'x'. */
static int file_of(size_t n)
{
    int fd = memfd_create("slurp", MFD_CLOEXEC);

    assert_true(fd >= 0);
    for (; n > 0; n--)
        assert_int_equal(write(fd, "x", 1), 1);
    return fd;
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = {0, 1, 4094, 4095, 4096, 4097, 20000};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        int fd = file_of(sizes[i]);
        char *text = NULL;
        size_t n = SIZE_MAX;

        assert_int_equal(slurp_path(PATH_OF_FD(fd), 0, 20000, &text, &n), 0);
        assert_int_equal(n, sizes[i]);
        assert_int_equal(strlen(text), n);
        free(text);
        close(fd);
    }
}

static void test_too_large(void **state)
{
    int fd = file_of(11);
    char *text = NULL;
    size_t n = 5;

    assert_int_equal(slurp_path(PATH_OF_FD(fd), 0, 10, &text, &n), -EFBIG);
    assert_int_equal(slurp_path("/dev/zero", 0, 100000, &text, &n), -EFBIG);
    assert_int_equal(slurp_path("/nowhere/at/all", 0, 10, &text, &n), -ENOENT);
    assert_int_equal(slurp_path("/", 0, 10000, &text, &n), -EISDIR);
    assert_null(text);
    assert_int_equal(n, 5);
    assert_int_equal(slurp_path(PATH_OF_FD(fd), 0, 11, &text, &n), 0);
    assert_int_equal(n, 11);
    free(text);
    close(fd);
}

/* The writer's end is open until it has been waited for. */
static void test_pipe(void **state)
{
    int ends[2];
    char *text;
    size_t n;

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(ends[0]);
        for (int i = 0; i < 5000; i++)
            (void)!write(ends[1], "y", 1);
        _exit(0);
    }
    (void)close(ends[1]);
    assert_int_equal(slurp(ends[0], 5000, &text, &n), 0);
    assert_int_equal(n, 5000);
    assert_int_equal(strspn(text, "y"), 5000);
    free(text);
    close(ends[0]);
}

/* A writer that never comes to an end, and never pauses for long. */
static void test_drip(void **state)
{
    int ends[2];
    char *text = NULL;
    size_t n;

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(ends[0]);
        while (write(ends[1], "y", 1) == 1)
            (void)poll(NULL, 0, 200);
        _exit(0);
    }
    (void)close(ends[1]);
    assert_int_equal(slurp(ends[0], 5000, &text, &n), -ETIMEDOUT);
    assert_null(text);
    close(ends[0]);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

static void test_beginning(void **state)
{
    int fd = file_of(11);
    char text[8];

    assert_int_equal(read_text(PATH_OF_FD(fd), text, sizeof(text)), 7);
    assert_string_equal(text, "xxxxxxx");
    assert_int_equal(read_text("/dev/null", text, sizeof(text)), 0);
    assert_string_equal(text, "");
    assert_int_equal(read_text("/nowhere/at/all", text, sizeof(text)), -ENOENT);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes), cmocka_unit_test(test_too_large), cmocka_unit_test(test_pipe),
        cmocka_unit_test(test_drip),  cmocka_unit_test(test_beginning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
