/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The first look at an fd, where the kernel refuses something on the way: it is no look, and the
 * next call looks again. */

#include <fcntl.h>
#include <unistd.h>

#include "check.h"

static unsigned n_refused; /* F_SETFL that fail from now on */

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
int __real_fcntl(int fd, int op, ...);
int __real_fcntl64(int fd, int op, ...);
int __wrap_fcntl(int fd, int op, ...);
int __wrap_fcntl64(int fd, int op, ...);

static bool refuse(int op)
{
    if (op != F_SETFL || n_refused == 0)
        return false;
    n_refused--;
    errno = EPERM;
    return true;
}

static long argument_of(va_list ap)
{
    return va_arg(ap, long);
}

int __wrap_fcntl(int fd, int op, ...)
{
    long argument;
    va_list ap;

    va_start(ap, op);
    argument = argument_of(ap);
    va_end(ap);
    return refuse(op) ? -1 : __real_fcntl(fd, op, argument);
}

int __wrap_fcntl64(int fd, int op, ...)
{
    long argument;
    va_list ap;

    va_start(ap, op);
    argument = argument_of(ap);
    va_end(ap);
    return refuse(op) ? -1 : __real_fcntl64(fd, op, argument);
}
/* NOLINTEND(bugprone-reserved-identifier) */

static int look_main(void *userdata)
{
    int fds[2];
    char c;

    if (!CHECK_EQ(pipe2(fds, O_CLOEXEC), 0) || !CHECK_EQ(write(fds[1], "abc", 3), 3))
        return -errno;
    n_refused = 2;
    CHECK_EQ(ait_read(fds[0], &c, 1), -EPERM);
    CHECK_EQ(ait_read(fds[0], &c, 1), -EPERM);
    CHECK_EQ(n_refused, 0);
    CHECK_EQ(ait_read(fds[0], &c, 1), 1);
    CHECK_EQ(c, 'a');
    /* Else the thread would stand still in the next call that has to wait. */
    CHECK(__real_fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    CHECK_EQ(ait_close(fds[0]), 0);
    CHECK_EQ(ait_close(fds[1]), 0);
    return 0;
}

static void test_look(void **unused)
{
    assert_int_equal(run_real(look_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_look)};

    (void)alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
