/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ait_run_process() of a program that leaves others behind which hold on to its output. */

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define LIMIT (20 * AIT_USEC_PER_SEC)

static int run_group(void *userdata)
{
    ait_process_result result = {.size = sizeof(result)};
    unsigned flags = *(const unsigned *)userdata;
    int r;

    AIT_TIMEOUT(r, LIMIT)
        r = ait_run_process(&result,
                            AIT_ARGV("/bin/sh", "-c", "sleep 100 & echo $!; echo two >&2; exit 3"),
                            NULL, 0, AIT_SPAWN_OPTIONS(.flags = flags));
    if (!CHECK_EQ(r, 0))
        return r;
    CHECK_EQ(result.exit_code, 3);
    CHECK_EQ(result.n_err, 4);
    CHECK(result.out && strtol(result.out, NULL, 10) > 1);
    ait_process_result_free(&result);
    return 0;
}

/* What is left of the group goes with its leader, and so nobody waits for it. */
static void test_group(void **unused)
{
    static const unsigned cases[] = {AIT_SPAWN_PROCESS_GROUP, AIT_SPAWN_SESSION};

    for (size_t i = 0; i < ELEMENTS(cases); i++)
        assert_int_equal(run_real(run_group, (void *)(uintptr_t)(cases + i)), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* All that the leader has written is there, however late it is read. */
static int run_much(void *unused)
{
    ait_process_result result = {.size = sizeof(result)};
    int r;

    AIT_TIMEOUT(r, LIMIT)
        r = ait_run_process(&result,
                            AIT_ARGV("/bin/sh", "-c", "sleep 100 & head -c 50000 /dev/zero"), NULL,
                            0, AIT_SPAWN_OPTIONS(.flags = AIT_SPAWN_PROCESS_GROUP));
    if (!CHECK_EQ(r, 0))
        return r;
    CHECK_EQ(result.n_out, 50000);
    ait_process_result_free(&result);
    return 0;
}

static void test_much(void **unused)
{
    assert_int_equal(run_real(run_much, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_group), cmocka_unit_test(test_much)};

    (void)alarm(100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
