/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A program that loads the library as part of a plugin, and lets go of it while a thread of the
 * pool is idle: the code that this thread wakes up in stays. */

#include <dirent.h>
#include <dlfcn.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

#define SYMBOL(name) __typeof__(name) *name##_ = (__typeof__(name) *)find(library, #name)

static const char *path;
static __typeof__(ait_offload) *offload;

static void *find(void *library, const char *name)
{
    void *symbol = dlsym(library, name);

    assert_non_null(symbol);
    return symbol;
}

static int answer(void *unused)
{
    return 42;
}

static int plugin_main(void *unused)
{
    return offload(answer, NULL);
}

static int n_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    int n = 0;

    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        n += entry->d_name[0] != '.';
    (void)closedir(dir);
    return n;
}

static void test_unload(void **unused)
{
    int before = n_threads();
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    assert_non_null(library);
    SYMBOL(ait_run);
    SYMBOL(ait_offload);
    SYMBOL(ait_offload_configure);
    offload = ait_offload_;
    assert_int_equal(ait_offload_configure_(1, 100 * AIT_USEC_PER_MSEC), 0);
    assert_int_equal(ait_run_(plugin_main, NULL, 0), 42);
    assert_int_equal(dlclose(library), 0);
    library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(library);
    assert_int_equal(dlclose(library), 0);
    /* The thread ends in its own time, and in code that is there. */
    for (int i = 0; n_threads() > before && i < 3000; i++)
        (void)poll(NULL, 0, 10);
    assert_int_equal(n_threads(), before);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_unload)};

    if (argc != 2)
        return 2;
    path = argv[1];
    (void)alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
