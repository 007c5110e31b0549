/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What another user may do, found out beforehand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/access.h"
#include "config/parse.h"

#define NOBODY 65534u

static char folder[] = "/tmp/test-access-XXXXXX", inside[64], script[64], barred[80];
static gid_t groups[] = {NOBODY};
static const struct account nobody = {
    .uid = NOBODY, .gid = NOBODY, .groups = groups, .n_groups = 1};

static int make_files(void **state)
{
    if (!mkdtemp(folder) || chmod(folder, 0755) < 0)
        return -1;
    snprintf(inside, sizeof(inside), "%s/inside", folder);
    snprintf(script, sizeof(script), "%s/script", folder);
    snprintf(barred, sizeof(barred), "%s/program", inside);
    FILE *file = fopen(script, "w");
    if (!file || fputs("#!/bin/sh\n", file) < 0 || fclose(file) != 0)
        return -1;
    return mkdir(inside, 0700) < 0 || chmod(script, 0700) < 0 ? -1 : 0;
}

static int remove_files(void **state)
{
    return unlink(script) < 0 || rmdir(inside) < 0 || rmdir(folder) < 0 ? -1 : 0;
}

static void need_root(void)
{
    if (geteuid() == 0)
        return;
    print_message("SKIP: needs root\n");
    skip();
}

static void test_another_user(void **state)
{
    static const struct {
        const char *directory, *program;
        int status;
        const char *text;
    } cases[] = {
        {NULL, "/bin/sh", 0, NULL},
        {folder, "/bin/sh", 0, NULL},
        {inside, "/bin/sh", STATUS_CONFIG, "--chdir="},
        {NULL, script, STATUS_CONFIG, "modes of the file"},
        {NULL, barred, STATUS_CONFIG, "/inside; install"},
        {"/nonexistent", "/bin/sh", STATUS_CONFIG, "--chdir=/nonexistent"},
    };

    need_root();
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct problem p = {.text = "none"};
        int r = access_check(&nobody, cases[i].directory, cases[i].program, &p);

        assert_int_equal(r < 0, cases[i].status != 0);
        assert_int_equal(p.status, cases[i].status);
        assert_non_null(strstr(p.text, cases[i].text ? cases[i].text : "none"));
    }
    assert_int_equal(geteuid(), 0);
}

/* A user who is not root can become nobody else. */
static int as_nobody(void)
{
    const struct account root = {.uid = 0, .gid = 0};
    struct problem p = {.text = "none"};

    if (geteuid() == 0 &&
        (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
        return 1;
    if (access_check(&root, NULL, "/bin/sh", &p) >= 0 || p.status != STATUS_OS ||
        !strstr(p.text, "--user"))
        return 2;
    const struct account self = {.uid = getuid(), .gid = getgid()};
    return access_check(&self, NULL, "/bin/sh", &p) == 0 ? 0 : 3;
}

static void test_without_privileges(void **state)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(as_nobody());
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_user),
        cmocka_unit_test(test_without_privileges),
    };

    return cmocka_run_group_tests(tests, make_files, remove_files);
}
