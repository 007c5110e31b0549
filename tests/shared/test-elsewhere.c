/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What may hang is done by a child: it answers, or is given up; it closes, and later than we. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "elsewhere.h"

#define LONG 60000

static size_t say(void *userdata, void *buffer, size_t size)
{
    return (size_t)snprintf(buffer, size, "%s", (const char *)userdata);
}

static size_t say_stopped(void *userdata, void *buffer, size_t size)
{
    (void)raise(SIGSTOP);
    return say(userdata, buffer, size);
}

static size_t say_fds(void *userdata, void *buffer, size_t size)
{
    size_t n = 0;

    for (int fd = 0; fd < 100; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return (size_t)snprintf(buffer, size, "%zu", n);
}

static size_t die(void *userdata, void *buffer, size_t size)
{
    _exit(3);
}

static size_t hang(void *userdata, void *buffer, size_t size)
{
    while (true)
        (void)pause();
    return 0;
}

static void test_answers(void **state)
{
    static const struct {
        ask_fn fn;
        const char *answer;
    } cases[] = {{say, "yes"}, {say_stopped, "yes"}, {say_fds, "1"}, {die, ""}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char buffer[16] = "";
        ssize_t n = ask_elsewhere(cases[i].fn, "yes", buffer, sizeof(buffer), LONG);

        assert_int_equal(n, strlen(cases[i].answer));
        assert_memory_equal(buffer, cases[i].answer, (size_t)n);
        while (waitpid(-1, NULL, 0) > 0)
            ;
    }
}

static void test_is_given_up(void **state)
{
    char buffer[16];

    assert_int_equal(ask_elsewhere(hang, NULL, buffer, sizeof(buffer), 100), -ETIMEDOUT);
    /* It was killed, and is left to whoever reaps. */
    (void)waitpid(-1, NULL, 0);
    assert_int_equal(waitpid(-1, NULL, 0), -1);
    assert_int_equal(errno, ECHILD);
}

static void test_closes(void **state)
{
    struct pollfd p = {.events = POLLIN};
    int ends[2], next = dup(0);
    char byte;

    close(next);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(close_elsewhere(ends[1]), 0);
    assert_int_equal(fcntl(ends[1], F_GETFD), -1);
    p.fd = ends[0];
    assert_int_equal(poll(&p, 1, LONG), 1);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    close(ends[0]);
    assert_int_equal(dup(0), next);
    close(next);
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_is_given_up),
        cmocka_unit_test(test_closes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
