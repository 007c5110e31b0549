/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the kernel counts what its OOM killer has ended, in all arrangements of control groups. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/oom.h"

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

#define EVENTS(n) "low 0\nhigh 7\nmax 8\noom 9\noom_kill " #n "\noom_group_kill 5\n"

struct tree_file {
    const char *path, *text;
};

static char root[] = "/tmp/test-oom-XXXXXX";

static void make_file(const struct tree_file *file)
{
    char path[256];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", root, file->path);
    for (char *slash = path + sizeof(root); (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(file->text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void remove_all(void)
{
    char command[64];

    (void)snprintf(command, sizeof(command), "rm -rf %s/*", root);
    assert_int_equal(system(command), 0);
}

static void test_arrangements(void **state)
{
    static const struct {
        const char *name;
        struct tree_file files[5];
        uint64_t count, limit;
    } cases[] = {
        {"version 2",
         {{"cgroup", "0::/a/b\n"},
          {"fs/a/b/memory.events", EVENTS(3)},
          {"fs/a/b/memory.max", "67108864\n"},
          {"vmstat", "oom_kill 99\n"}},
         3,
         67108864},
        {"version 2 without a limit",
         {{"cgroup", "0::/\n"}, {"fs/memory.events", EVENTS(4)}, {"fs/memory.max", "max\n"}},
         4,
         UINT64_MAX},
        {"a container that knows its outer name",
         {{"cgroup", "0::/outer/name\n"}, {"fs/memory.events", EVENTS(5)}},
         5,
         UINT64_MAX},
        {"both, memory in version 1",
         {{"cgroup", "4:cpu,memory:/x\n1:name=systemd:/\n0::/\n"},
          {"fs/memory/x/memory.oom_control", "oom_kill_disable 0\nunder_oom 1\noom_kill 6\n"},
          {"fs/memory/x/memory.limit_in_bytes", "1048576\n"},
          {"vmstat", "oom_kill 99\n"}},
         6,
         1048576},
        {"version 1 without a limit",
         {{"cgroup", "4:memory:/\n"},
          {"fs/memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"},
          {"fs/memory/memory.limit_in_bytes", "9223372036854771712\n"}},
         2,
         UINT64_MAX},
        {"both, memory in version 2",
         {{"cgroup", "2:cpu:/x\n0::/y\n"}, {"fs/unified/y/memory.events", EVENTS(7)}},
         7,
         UINT64_MAX},
        {"an old kernel's version 1, and the machine's count",
         {{"cgroup", "4:memory:/x\n"},
          {"fs/memory/x/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n"},
          {"vmstat", "nr_free_pages 4711\nmy_oom_kill 5\noom_kill 8\nlast 1\n"}},
         8,
         UINT64_MAX},
        {"no controller for memory",
         {{"cgroup", "0::/\n"}, {"vmstat", "oom_kill 1\n"}},
         1,
         UINT64_MAX},
        {"damaged",
         {{"cgroup", "0\n:\n::\n\n4:memory\n"}, {"vmstat", "oom_kill x\n"}},
         0,
         UINT64_MAX},
        {"nothing", {{0}}, 0, UINT64_MAX},
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        char cgroup[64], fs[64], vmstat[64];
        struct oom_counter counter;

        for (size_t k = 0; k < LENGTH(cases[i].files) && cases[i].files[k].path; k++)
            make_file(&cases[i].files[k]);
        (void)snprintf(cgroup, sizeof(cgroup), "%s/cgroup", root);
        (void)snprintf(fs, sizeof(fs), "%s/fs", root);
        (void)snprintf(vmstat, sizeof(vmstat), "%s/vmstat", root);
        oom_counter_init(&counter, cgroup, fs, vmstat);
        if (oom_count(&counter) != cases[i].count || oom_limit(&counter) != cases[i].limit)
            fail_msg("%s: %llu, limit %llu", cases[i].name, (unsigned long long)oom_count(&counter),
                     (unsigned long long)oom_limit(&counter));
        remove_all();
        assert_int_equal(oom_count(&counter), 0);
    }
}

static int make_root(void **state)
{
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    return rmdir(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_arrangements)};

    return cmocka_run_group_tests(tests, make_root, remove_root);
}
