/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the supervisor takes, and what there is to be given back. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/priority.h"

static void test_oom(void **state)
{
    static const struct {
        const char *before;
        bool changed;
        const char *kept;
    } cases[] = {
        {"0\n", true, "0"},    {"1000\n", true, "1000"}, {"-899\n", true, "-899"},
        {"-900\n", false, ""}, {"-1000\n", false, ""},   {"", false, ""},
    };
    char path[] = "/tmp/test-priority-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char kept[8] = "", text[16] = "";
        size_t n = strlen(cases[i].before);

        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, cases[i].before, n, 0), n);
        assert_int_equal(priority_lower_oom(path, kept), cases[i].changed);
        assert_string_equal(kept, cases[i].kept);
        assert_true(pread(fd, text, sizeof(text) - 1, 0) >= 0);
        assert_int_equal(strncmp(text, "-900", 4) == 0, cases[i].changed || i == 3);
    }
    close(fd);
    (void)unlink(path);
    assert_false(priority_lower_oom(path, (char[8]){0}));
    assert_false(priority_lower_oom("/proc/self/stat", (char[8]){0}));
}

/* In a child, whose priority does not matter afterwards. */
static int raised(int nice, int *ret_before)
{
    int pair[2], got[3] = {0};

    assert_int_equal(pipe(pair), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct priority p;

        if (setpriority(PRIO_PROCESS, 0, nice) < 0)
            _exit(77);
        priority_raise(&p);
        got[0] = p.raised;
        got[1] = p.nice;
        got[2] = getpriority(PRIO_PROCESS, 0);
        (void)!write(pair[1], got, sizeof(got));
        _exit(0);
    }
    close(pair[1]);
    if (read(pair[0], got, sizeof(got)) != sizeof(got))
        got[0] = -1;
    close(pair[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    if (got[0] < 0 || (got[0] == 0 && got[2] == nice))
        return 1000;
    *ret_before = got[1];
    return got[2];
}

static void test_nice(void **state)
{
    int before = 77, now = raised(5, &before);

    if (now == 1000) {
        print_message("not allowed to raise its priority\n");
        skip();
    }
    assert_int_equal(before, 5);
    assert_int_equal(now, 5 + PRIORITY_NICE);
    assert_int_equal(raised(-15, &before), -20);
    assert_int_equal(before, -15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oom),
        cmocka_unit_test(test_nice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
