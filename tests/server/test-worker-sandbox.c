/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The options about the sandbox: values, what goes together, what a program needs, and files of
 * policies. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/sandbox.h"
#include "strv.h"

static char directory[64];

/* ---- values ---------------------------------------------------------------------------------- */

static void ports(void **state)
{
    static const char *const bad[] = {"", "0", "65536", "-1", "http", "80 ", "+80", "NONE"};
    struct sandbox_options c = {0};
    const char *why = NULL;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(sandbox_options_add_port(&c, bad[i], &why), -EINVAL);
    assert_int_equal(c.n_ports, 0);
    assert_false(c.connect_set);
    assert_int_equal(sandbox_options_add_port(&c, "none", &why), 0);
    assert_true(c.connect_set);
    assert_int_equal(c.n_ports, 0);
    /* Either none or some. */
    assert_int_equal(sandbox_options_add_port(&c, "none", &why), -EINVAL);
    assert_int_equal(sandbox_options_add_port(&c, "65535", &why), -EINVAL);
    c.connect_set = false;
    assert_int_equal(sandbox_options_add_port(&c, "65535", &why), 0);
    assert_int_equal(sandbox_options_add_port(&c, "1", &why), 0);
    assert_int_equal(sandbox_options_add_port(&c, "none", &why), -EINVAL);
    assert_int_equal(c.n_ports, 2);
    assert_int_equal(c.ports[0], 65535);
    assert_int_equal(c.ports[1], 1);
    assert_int_equal(sandbox_options_add_path(&c.read_only, &c.n_read_only, "", &why), -EINVAL);
    assert_int_equal(sandbox_options_add_path(&c.read_only, &c.n_read_only, "/x", &why), 0);
    assert_string_equal(c.read_only[0], "/x");
    assert_null(c.read_only[1]);
    sandbox_options_done(&c);
    sandbox_options_done(&c);
}

/* ---- what goes together ---------------------------------------------------------------------- */

static void conflicts(void **state)
{
    static char root_path[] = "/";
    char *root[] = {root_path, NULL};
    const struct {
        struct sandbox_options config;
        int status; /* 0: fine */
        const char *words;
    } cases[] = {
        {{.mode = SANDBOX_SERVICE}, 0, ""},
        {{.mode = SANDBOX_NONE}, 0, ""},
        {{.mode = SANDBOX_STRICT,
          .read_only = root,
          .n_read_only = 1,
          .connect_set = true,
          .capabilities_set = true},
         0,
         ""},
        {{.mode = SANDBOX_LOG, .policy = root_path}, 0, ""},
        {{.mode = SANDBOX_LOG, .deny_set = true, .deny = AIT_SANDBOX_DENY_LOG}, 0, ""},
        {{.mode = SANDBOX_NONE, .policy = root_path}, STATUS_USAGE, "--policy: --sandbox=none"},
        {{.mode = SANDBOX_NONE, .deny_set = true}, STATUS_USAGE, "--deny: --sandbox=none"},
        {{.mode = SANDBOX_NONE, .read_only = root, .n_read_only = 1},
         STATUS_USAGE,
         "--read-only: --sandbox=none"},
        {{.mode = SANDBOX_NONE, .read_write = root, .n_read_write = 1},
         STATUS_USAGE,
         "--read-write: --sandbox=none"},
        {{.mode = SANDBOX_NONE, .connect_set = true}, STATUS_USAGE, "--connect: --sandbox=none"},
        {{.mode = SANDBOX_NONE, .capabilities_set = true},
         STATUS_USAGE,
         "--capabilities: --sandbox=none"},
        {{.mode = SANDBOX_LOG, .connect_set = true}, STATUS_USAGE, "--connect: --sandbox=log"},
        {{.mode = SANDBOX_LOG, .capabilities_set = true},
         STATUS_USAGE,
         "--capabilities: --sandbox=log"},
        {{.mode = SANDBOX_LOG, .deny_set = true, .deny = AIT_SANDBOX_DENY_KILL},
         STATUS_USAGE,
         "--deny=kill"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct problem p = {0};
        int r = sandbox_options_check(&cases[i].config, &p);
        if ((r < 0) != (cases[i].status != 0) || p.status != cases[i].status ||
            !strstr(p.text, cases[i].words))
            fail_msg("case %zu: %d, %d: %s", i, r, p.status, p.text);
    }
}

/* ---- what a program needs -------------------------------------------------------------------- */

static const char *write_script(const char *name, const char *text)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    (void)fputs(text, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0755), 0);
    return path;
}

static bool has(char *const *list, const char *path)
{
    for (; *list; list++)
        if (strcmp(*list, path) == 0)
            return true;
    return false;
}

static bool wants(const char *const wanted[2], const char *path)
{
    return (wanted[0] && strcmp(wanted[0], path) == 0) ||
           (wanted[1] && strcmp(wanted[1], path) == 0);
}

static void needs(void **state)
{
    static const struct {
        const char *text, *wanted[2];
    } cases[] = {
        {"\177ELF", {NULL, NULL}},
        {"#!/bin/sh\n", {"/bin/sh", NULL}},
        {"#! /bin/sh -e\n", {"/bin/sh", NULL}},
        {"#!/bin/sh", {"/bin/sh", NULL}},
        {"#!\t /bin/sh\t-e", {"/bin/sh", NULL}},
        {"#!/bin/cat\r/sh\n", {"/bin/cat\r/sh", NULL}},
        {"#!/bin/cat\vsh\n", {"/bin/cat\vsh", NULL}},
        {"#!/usr/bin/env sh\n", {"/usr/bin/env", "/bin/sh"}},
        {"#!/usr/bin/env -S sh -e\n", {"/usr/bin/env", "/bin/sh"}},
        {"#!/usr/bin/env no-such-program-here\n", {"/usr/bin/env", NULL}},
        {"#!\n", {NULL, NULL}},
        {"# !/bin/cat\n", {NULL, NULL}},
        {"", {NULL, NULL}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *program = write_script("program", cases[i].text);
        char **read_only, **read_write;
        size_t n_programs;
        assert_int_equal(
            sandbox_needs(&(struct sandbox_program){program, "/nonexistent:/bin", NULL}, &read_only,
                          &n_programs, &read_write),
            0);
        assert_string_equal(read_only[0], program);
        assert_true(n_programs >= 1);
        assert_true(has(read_only, program));
        for (size_t k = 0; k < 2 && cases[i].wanted[k]; k++)
            if (!has(read_only, cases[i].wanted[k]))
                fail_msg("case %zu: no %s", i, cases[i].wanted[k]);
        assert_int_equal(has(read_only, "/bin/sh"), wants(cases[i].wanted, "/bin/sh"));
        assert_false(has(read_only, "/bin/cat"));
        assert_true(has(read_write, "/dev/null"));
        for (char **p = read_only + n_programs; *p; p++)
            assert_int_equal(access(*p, F_OK), 0);
        strv_free(read_only);
        strv_free(read_write);
    }
}

/* A script whose interpreter is a script, and one that is its own. */
static void interpreters_of_interpreters(void **state)
{
    char own[128], text[200], **read_only, **read_write;
    size_t n_programs;

    (void)snprintf(own, sizeof(own), "%s", write_script("inner", "#!/bin/sh\n"));
    (void)snprintf(text, sizeof(text), "#!%s\n", own);
    assert_int_equal(
        sandbox_needs(&(struct sandbox_program){write_script("outer", text), NULL, NULL},
                      &read_only, &n_programs, &read_write),
        0);
    assert_true(has(read_only, own));
    assert_true(has(read_only, "/bin/sh"));
    strv_free(read_only);
    strv_free(read_write);
    (void)snprintf(text, sizeof(text), "#!%s/own\n", directory);
    assert_int_equal(sandbox_needs(&(struct sandbox_program){write_script("own", text), NULL, NULL},
                                   &read_only, &n_programs, &read_write),
                     0);
    strv_free(read_only);
    strv_free(read_write);
}

/* ---- the sandbox ----------------------------------------------------------------------------- */

static void made_anew_for_another_file(void **state)
{
    struct sandbox_options config = {.mode = SANDBOX_STRICT};
    struct worker_sandbox sandbox = {0};
    struct problem p = {0};
    char program[128], other[128];

    (void)snprintf(program, sizeof(program), "%s", write_script("program", "#!/bin/sh\n"));
    int r = worker_sandbox_open(&sandbox, &config, &(struct sandbox_program){.file = program}, &p);
    if (r == -EOPNOTSUPP) {
        print_message("# SKIP: %s\n", p.text);
        skip();
    }
    assert_int_equal(r, 0);
    ait_sandbox *first = ait_sandbox_ref(sandbox.sandbox);
    assert_int_equal(worker_sandbox_update(&sandbox, &config, &p), 0);
    assert_ptr_equal(sandbox.sandbox, first);
    (void)snprintf(other, sizeof(other), "%s", write_script("other", "#!/bin/sh\n"));
    assert_int_equal(rename(other, program), 0);
    assert_int_equal(worker_sandbox_update(&sandbox, &config, &p), 0);
    assert_ptr_not_equal(sandbox.sandbox, first);
    ait_sandbox_unref(first);
    /* Without the program there is nothing to be made, and what was there stays. */
    first = sandbox.sandbox;
    assert_int_equal(unlink(program), 0);
    assert_int_equal(worker_sandbox_update(&sandbox, &config, &p), -ENOENT);
    assert_int_equal(p.status, STATUS_CONFIG);
    assert_ptr_equal(sandbox.sandbox, first);
    worker_sandbox_close(&sandbox);

    config.mode = SANDBOX_SERVICE;
    assert_int_equal(
        worker_sandbox_open(&sandbox, &config, &(struct sandbox_program){.file = "/bin/sh"}, &p),
        0);
    first = sandbox.sandbox;
    assert_int_equal(worker_sandbox_update(&sandbox, &config, &p), 0);
    assert_ptr_equal(sandbox.sandbox, first);
    worker_sandbox_close(&sandbox);
    config.mode = SANDBOX_NONE;
    assert_int_equal(
        worker_sandbox_open(&sandbox, &config, &(struct sandbox_program){.file = "/bin/sh"}, &p),
        0);
    assert_null(sandbox.sandbox);
    worker_sandbox_close(&sandbox);
}

/* What the system is short of is no sandbox that cannot be had: the worker is tried again, and
 * nobody else is stopped. */
static void shortage_is_no_sandbox(void **state)
{
    struct sandbox_options config = {.mode = SANDBOX_SERVICE};
    struct worker_sandbox sandbox = {0};
    struct problem p = {0};
    struct rlimit before, low;
    int next = dup(0);

    (void)close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    int r =
        worker_sandbox_open(&sandbox, &config, &(struct sandbox_program){.file = "/bin/sh"}, &p);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(r, -EMFILE);
    assert_int_equal(p.status, STATUS_OS);
    assert_null(sandbox.sandbox);
}

/* A link that is switched leads to another folder; the sandbox stays with the one that it was made
 * with. */
static void paths_are_found_once(void **state)
{
    struct sandbox_options config = {.mode = SANDBOX_SERVICE};
    struct worker_sandbox sandbox = {0};
    struct problem p = {0};
    char link[128], one[128], two[128];
    const char *why;

    (void)snprintf(link, sizeof(link), "%s/current", directory);
    (void)snprintf(one, sizeof(one), "%s/release-1", directory);
    (void)snprintf(two, sizeof(two), "%s/release-2", directory);
    assert_int_equal(mkdir(one, 0755) | mkdir(two, 0755) | symlink(one, link), 0);
    assert_int_equal(sandbox_options_add_path(&config.read_only, &config.n_read_only, link, &why),
                     0);
    int r =
        worker_sandbox_open(&sandbox, &config, &(struct sandbox_program){.file = "/bin/sh"}, &p);
    assert_true(r == 0 || r == -EOPNOTSUPP);
    if (r == 0) {
        ait_sandbox *first = sandbox.sandbox;

        assert_int_equal(unlink(link) | symlink(two, link), 0);
        assert_int_equal(worker_sandbox_update(&sandbox, &config, &p), 0);
        assert_ptr_equal(sandbox.sandbox, first);
        assert_string_equal(sandbox.read_only[0], one);
        worker_sandbox_close(&sandbox);
    }
    (void)unlink(link);
    r = worker_sandbox_open(&sandbox, &config, &(struct sandbox_program){.file = "/bin/sh"}, &p);
    assert_int_equal(r, -ENOENT);
    assert_int_equal(p.status, STATUS_CONFIG);
    assert_non_null(strstr(p.text, "--read-only="));
    assert_int_equal(rmdir(one) | rmdir(two), 0);
    sandbox_options_done(&config);
    if (r == -EOPNOTSUPP)
        skip();
}

/* ---- no worker decides what the next one may reach ------------------------------------------- */

static int open_writable(const char *program, const char *read_only, const char *const *read_write,
                         struct worker_sandbox *ret, struct problem *p)
{
    struct sandbox_options config = {.mode = SANDBOX_STRICT};
    const char *why;

    *p = (struct problem){0};
    if (read_only)
        assert_int_equal(
            sandbox_options_add_path(&config.read_only, &config.n_read_only, read_only, &why), 0);
    for (; *read_write; read_write++)
        assert_int_equal(
            sandbox_options_add_path(&config.read_write, &config.n_read_write, *read_write, &why),
            0);
    int r = worker_sandbox_open(ret, &config, &(struct sandbox_program){.file = program}, p);
    sandbox_options_done(&config);
    return r;
}

static void what_a_worker_may_write_is_not_trusted(void **state)
{
    char data[128], inside[160], text[200], outside[128], link[128];
    struct worker_sandbox sandbox = {0};
    struct problem p;

    (void)snprintf(data, sizeof(data), "%s/data", directory);
    assert_int_equal(mkdir(data, 0755), 0);
    const char *const only_data[] = {data, NULL};
    (void)snprintf(inside, sizeof(inside), "%s", write_script("data/program", "#!/bin/sh\n"));
    (void)snprintf(text, sizeof(text), "#!%s\n", inside);
    (void)snprintf(outside, sizeof(outside), "%s", write_script("outside", text));
    (void)snprintf(link, sizeof(link), "%s/link", directory);
    assert_int_equal(symlink(inside, link), 0);
    const struct {
        const char *program, *read_only, *words[2];
    } cases[] = {
        {inside, NULL, {"program ", "--read-write="}},
        {outside, NULL, {"interpreter ", "--read-write="}},
        {"/bin/sh", inside, {"--read-only=", "--read-write="}},
        {"/bin/sh", link, {"--read-only=", "--read-write="}},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(
            open_writable(cases[i].program, cases[i].read_only, only_data, &sandbox, &p), -EPERM);
        assert_int_equal(p.status, STATUS_CONFIG);
        for (size_t k = 0; k < 2; k++)
            if (!strstr(p.text, cases[i].words[k]))
                fail_msg("case %zu: %s", i, p.text);
    }
    (void)unlink(link);
}

/* What is writable with a folder around it has no rule of its own: it would follow a link. */
static void a_writable_path_is_not_opened_again(void **state)
{
    char outer[128], inner[160];
    struct worker_sandbox sandbox = {0};
    struct problem p;

    (void)snprintf(outer, sizeof(outer), "%s/around", directory);
    (void)snprintf(inner, sizeof(inner), "%s/inner", outer);
    assert_int_equal(mkdir(outer, 0755) | mkdir(inner, 0755), 0);
    const char *const both[] = {inner, outer, "/usr/share", NULL};
    int r = open_writable("/bin/sh", NULL, both, &sandbox, &p);
    if (r == -EOPNOTSUPP) {
        print_message("# SKIP: %s\n", p.text);
        skip();
    }
    assert_int_equal(r, 0);
    assert_false(has(sandbox.read_write, inner));
    assert_true(has(sandbox.read_write, outer));
    assert_true(has(sandbox.need_read_only, "/bin/sh"));
    worker_sandbox_close(&sandbox);
}

static int make_place(void **state)
{
    (void)snprintf(directory, sizeof(directory), "/tmp/test-sandbox.XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_place(void **state)
{
    char command[100];

    (void)snprintf(command, sizeof(command), "rm -rf %s", directory);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ports),
        cmocka_unit_test(conflicts),
        cmocka_unit_test(needs),
        cmocka_unit_test(interpreters_of_interpreters),
        cmocka_unit_test(made_anew_for_another_file),
        cmocka_unit_test(shortage_is_no_sandbox),
        cmocka_unit_test(paths_are_found_once),
        cmocka_unit_test(what_a_worker_may_write_is_not_trusted),
        cmocka_unit_test(a_writable_path_is_not_opened_again),
    };
    return cmocka_run_group_tests(tests, make_place, remove_place);
}
