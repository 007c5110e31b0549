/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is made before a worker is started: its environment, and which file its program is. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/parse.h"
#include "config/problem.h"
#include "programs.h"
#include "config/environment.h"
#include "config/program.h"

/* ---- environment ----------------------------------------------------------------------------- */

static const char *env_value(const struct spawn_environment *e, const char *name)
{
    return spawn_environment_lookup(e->envp, NULL, name);
}

static void environment_hides_the_supervisors_own(void **state)
{
    static char *base[] = {"PATH=/a",          "LISTEN_FDS=7",           "LISTEN_PID=1",
                           "LISTEN_FDNAMES=x", "NOTIFY_SOCKET=/n",       "WATCHDOG_USEC=5",
                           "WATCHDOG_PID=1",   "AIOTOOLS_SD_NAME=outer", "LISTEN_ADDRESS=kept",
                           "no equals sign",   "PATH=/second",           NULL};
    struct spawn_environment *e = NULL;

    assert_int_equal(spawn_environment_new(&(struct spawn_environment_params){.base = base}, &e),
                     0);
    static const char *const hidden[] = {"LISTEN_FDS",      "LISTEN_PID",    "LISTEN_FDNAMES",
                                         "NOTIFY_SOCKET",   "WATCHDOG_USEC", "WATCHDOG_PID",
                                         "AIOTOOLS_SD_NAME"};
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        assert_null(env_value(e, hidden[i]));
    assert_string_equal(env_value(e, "PATH"), "/a");
    assert_string_equal(env_value(e, "LISTEN_ADDRESS"), "kept");
    assert_string_equal(env_value(e, "AIOTOOLS_SD_PROTO"), "1");
    assert_null(e->listen_pid);
    assert_null(e->watchdog_pid);
    assert_null(spawn_environment_free(e));
}

static void environment_layers(void **state)
{
    static char *base[] = {"A=base", "B=base", "HOME=/root", "SHELL=/bin/bash", "USER=root", NULL};
    static const char *const settings[] = {"B=setting", "C=", "USER=forged", "LISTEN_FDS=99", NULL};
    static const char *const names[] = {"web", NULL};
    struct account account = {.name = "www", .home = "/var/www", .shell = "/usr/sbin/nologin"};
    struct spawn_environment *e = NULL;

    assert_int_equal(
        spawn_environment_new(&(struct spawn_environment_params){.base = base,
                                                                 .settings = settings,
                                                                 .account = &account,
                                                                 .fdnames = names,
                                                                 .n_sockets = 2,
                                                                 .notify_socket = "@n",
                                                                 .watchdog_usec = 1500000,
                                                                 .name = "app",
                                                                 .slot = 3,
                                                                 .workers = 4,
                                                                 .generation = 5},
                              &e),
        0);
    static const struct {
        const char *name, *value;
    } expected[] = {
        {"A", "base"},
        {"B", "setting"},
        {"C", ""},
        {"USER", "forged"}, /* --env has the last word on what is not the contract's */
        {"LOGNAME", "www"},
        {"HOME", "/var/www"},
        {"SHELL", NULL},
        {"LISTEN_FDS", "2"},
        {"LISTEN_FDNAMES", "web:unknown"},
        {"NOTIFY_SOCKET", "@n"},
        {"WATCHDOG_USEC", "1500000"},
        {"AIOTOOLS_SD_NAME", "app"},
        {"AIOTOOLS_SD_SLOT", "3"},
        {"AIOTOOLS_SD_WORKERS", "4"},
        {"AIOTOOLS_SD_GENERATION", "5"},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        const char *value = env_value(e, expected[i].name);
        if (!expected[i].value)
            assert_null(value);
        else
            assert_string_equal(value, expected[i].value);
    }
    assert_string_equal(env_value(e, "AIOTOOLS_SD_INSTANCE"), e->token);
    assert_ptr_equal(e->listen_pid, env_value(e, "LISTEN_PID"));
    assert_ptr_equal(e->watchdog_pid, env_value(e, "WATCHDOG_PID"));
    assert_int_equal(strlen(e->token), SPAWN_TOKEN_SIZE - 1);
    spawn_environment_free(e);
}

static void environment_unknown_account_leaves_nothing_of_root(void **state)
{
    static char *base[] = {"HOME=/root", "SHELL=/bin/bash", "USER=root", "LOGNAME=root", NULL};
    struct account account = {.uid = 4711};
    struct spawn_environment *e = NULL;

    assert_int_equal(spawn_environment_new(
                         &(struct spawn_environment_params){.base = base, .account = &account}, &e),
                     0);
    for (size_t i = 0; base[i]; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(base[i], "="), base[i]);
        assert_null(env_value(e, name));
    }
    spawn_environment_free(e);
}

static void environment_refuses_and_nests(void **state)
{
    static const char *const bad[] = {"NOVALUE", NULL}, *const bad2[] = {"=x", NULL};
    static char *base[] = {"AIOTOOLS_SD_INSTANCE=outer", NULL};
    struct spawn_environment *e = NULL;

    assert_int_equal(spawn_environment_new(&(struct spawn_environment_params){.settings = bad}, &e),
                     -EINVAL);
    assert_int_equal(
        spawn_environment_new(&(struct spawn_environment_params){.settings = bad2}, &e), -EINVAL);
    assert_null(e);
    assert_int_equal(spawn_environment_new(&(struct spawn_environment_params){.base = base}, &e),
                     0);
    char expected[64];
    (void)snprintf(expected, sizeof(expected), "outer.%s", e->token);
    assert_string_equal(env_value(e, "AIOTOOLS_SD_INSTANCE"), expected);
    spawn_environment_free(e);
    spawn_environment_free(NULL);
}

/* ---- program --------------------------------------------------------------------------------- */

static void program_table(void **state)
{
    static const struct {
        const char *program; /* relative to the directory */
        int error;
        const char *words;
    } cases[] = {
        {"./good", 0, NULL},
        {"sub/../good", 0, NULL},
        {"./absent", -ENOENT, "no such file"},
        {"./sub", -EISDIR, "is a directory"},
        {"./plain", -EACCES, "is not executable"},
        {"./plain/x", -ENOTDIR, "no such file"},
        {"./empty", -ENOEXEC, "empty file"},
        {"./nointerp", -ENOEXEC, "names no interpreter"},
        {"./badinterp", -ENOENT, "its interpreter /nonexistent/python9 does not exist"},
        {"./dirinterp", -EISDIR, "its interpreter /etc is a directory"},
        {"./crlf", -ENOENT, "carriage return"},
        {"/dev/null", -EINVAL, "not a regular file"},
        {"no-such-program-here", -ENOENT, "not found in PATH (/nowhere:"},
        {"plain", -EACCES, "is not executable"},
        {"sub", -EISDIR, "is a directory"},
        {"good", 0, NULL},
        {"", -EINVAL, "empty"},
    };
    char path[128];
    (void)snprintf(path, sizeof(path), "/nowhere:%s", directory);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *found = NULL;
        struct problem problem = {0};
        int r = spawn_resolve_program(cases[i].program, path, directory, &found, &problem);
        if (r != cases[i].error || (r < 0 && !strstr(problem.text, cases[i].words)))
            fail_msg("%s: %d, %s", cases[i].program, r, problem.text);
        if (r < 0) {
            assert_null(found);
            assert_int_equal(problem.status, STATUS_CONFIG);
            assert_null(strchr(problem.text, '\n'));
        } else {
            assert_int_equal(found[0], '/');
            assert_int_equal(access(found, X_OK), 0);
        }
        free(found);
    }
}

static void program_in_relative_elements_of_path(void **state)
{
    static const char *const paths[] = {"", "/nowhere:", ":/nowhere", ".", "sub/.."};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        char *found = NULL;
        assert_int_equal(spawn_resolve_program("good", paths[i], directory, &found, NULL), 0);
        assert_int_equal(found[0], '/');
        free(found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(environment_hides_the_supervisors_own),
        cmocka_unit_test(environment_layers),
        cmocka_unit_test(environment_unknown_account_leaves_nothing_of_root),
        cmocka_unit_test(environment_refuses_and_nests),
        cmocka_unit_test(program_table),
        cmocka_unit_test(program_in_relative_elements_of_path),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
