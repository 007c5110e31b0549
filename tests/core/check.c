/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>

#include "check.h"

unsigned check_failures;
unsigned check_handled;

bool check_failed(const char *file, int line, const char *what, long long got, long long want)
{
    check_failures++;
    (void)fprintf(stderr, "%s:%d: %s: got %lld, want %lld\n", file, line, what, got, want);
    return false;
}

void check_assert(void)
{
    unsigned n = check_failures;

    check_failures = 0;
    assert_int_equal(n, 0);
}

static void count_error(ait_scope *scope, const ait_error_info *info, void *userdata)
{
    check_handled++;
}

static int run(ait_task_fn fn, void *userdata, bool virtual)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    AIT_CLEANUP(ait_clock_unrefp) ait_clock *clock = NULL;
    ait_loop *loop = NULL;
    int result = -EIO;

    check_handled = 0;
    assert_int_equal(ait_loop_new(&loop), 0);
    if (virtual) {
        assert_int_equal(ait_vclock_new(&clock), 0);
        assert_int_equal(ait_loop_set_clock(loop, clock), 0);
    }
    assert_int_equal(ait_scope_set_error_handler(ait_loop_root(loop), count_error, NULL), 0);
    assert_int_equal(ait_task_spawn(&task, fn, userdata, AIT_TASK_OPTIONS(.name = "test")), 0);
    assert_int_equal(ait_loop_run(loop), 0);
    assert_int_equal(ait_loop_n_tasks(loop), 0);
    assert_int_equal(ait_task_result(task, &result), 0);
    task = ait_task_unref(task);
    ait_loop_unref(loop);
    assert_null(ait_loop_current());
    check_assert();
    return result;
}

int run_virtual(ait_task_fn fn, void *userdata)
{
    return run(fn, userdata, true);
}

int run_real(ait_task_fn fn, void *userdata)
{
    return run(fn, userdata, false);
}

bool check_shuffled(void)
{
    const char *seed = getenv("AIT_SHUFFLE");

    return seed && *seed;
}

int check_settle(void)
{
    int r = ait_yield();

    return r < 0 ? r : ait_yield();
}

int now_ms(void)
{
    return (int)((ait_now(NULL) - TEST_START_US) / AIT_USEC_PER_MSEC);
}

unsigned check_n_threads(const char *name)
{
    char path[64], comm[32];
    const struct dirent *entry;
    unsigned n = 0;
    DIR *tasks = opendir("/proc/self/task");

    assert_non_null(tasks);
    while ((entry = readdir(tasks))) {
        FILE *file;

        (void)snprintf(path, sizeof(path), "/proc/self/task/%.32s/comm", entry->d_name);
        file = fopen(path, "re");
        if (!file)
            continue;
        comm[0] = '\0';
        n += fgets(comm, sizeof(comm), file) && strncmp(comm, name, strlen(name)) == 0;
        (void)fclose(file);
    }
    (void)closedir(tasks);
    return n;
}
