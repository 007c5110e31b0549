/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Revisions: what is looked up, what is refused and with which words, and that one stays what it
 * was when names lead elsewhere. Environment files. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/env-file.h"
#include "strv.h"
#include "worker/revision.h"

static char directory[PATH_MAX];

static char *in(const char *name)
{
    static char paths[8][PATH_MAX + 64];
    static unsigned next;
    char *path = paths[next++ % 8];

    (void)snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

static void put(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(in(name), "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(in(name), mode), 0);
}

static void point(const char *link, const char *to)
{
    (void)unlink(in(link));
    assert_int_equal(symlink(to, in(link)), 0);
}

static void config_for(struct server_config *c, const char *program)
{
    char *argv[] = {(char *)(uintptr_t)program, NULL};

    server_config_init(c);
    c->sandbox.mode = SANDBOX_NONE;
    assert_int_equal(server_config_set_argv(c, argv), 0);
}

static struct revision *make(const struct server_config *c, uint64_t generation)
{
    struct revision *rev = NULL;
    struct problem p = {.text = "none"};

    if (revision_new(&rev, c, generation, &p) < 0)
        fail_msg("%s", p.text);
    return rev;
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void chdir_absent(struct server_config *c)
{
    c->chdir = strdup("/nonexistent/folder");
}

static void chdir_file(struct server_config *c)
{
    c->chdir = strdup("/etc/passwd");
}

static void user_absent(struct server_config *c)
{
    c->user = strdup("no-such-user-here");
}

static void user_and_group_absent(struct server_config *c)
{
    c->user = strdup("0");
    c->group = strdup("no-such-group-here");
}

static void program_absent(struct server_config *c)
{
    free(c->argv[0]);
    c->argv[0] = strdup("no-such-program-here");
}

static void program_not_in_given_path(struct server_config *c)
{
    assert_int_equal(server_config_add_env(c, "PATH=/nonexistent", NULL), 0);
}

static void env_file_absent(struct server_config *c)
{
    assert_int_equal(strv_append(&c->env_files, &c->n_env_files, "/nonexistent/env"), 0);
}

static void env_file_is_no_file(struct server_config *c)
{
    assert_int_equal(strv_append(&c->env_files, &c->n_env_files, "/"), 0);
}

static void env_file_is_wrong(struct server_config *c)
{
    put("wrong", "A=1\nthis is not it\n", 0600);
    assert_int_equal(strv_append(&c->env_files, &c->n_env_files, in("wrong")), 0);
}

static void env_file_is_binary(struct server_config *c)
{
    assert_int_equal(truncate(in("wrong"), 100), 0);
    assert_int_equal(strv_append(&c->env_files, &c->n_env_files, in("wrong")), 0);
}

static void policy_absent(struct server_config *c)
{
    c->sandbox.mode = SANDBOX_SERVICE;
    c->sandbox.policy = strdup("/nonexistent/policy");
}

static void test_refusals(void **state)
{
    static const struct {
        void (*set)(struct server_config *c);
        const char *text;
    } cases[] = {
        {chdir_absent, "--chdir=/nonexistent/folder"},
        {chdir_file, "not a directory"},
        {user_absent, "--user=no-such-user-here"},
        {user_and_group_absent, "--group=no-such-group-here"},
        {program_absent, "no-such-program-here"},
        {program_not_in_given_path, "/nonexistent"},
        {env_file_absent, "--env-file=/nonexistent/env: No such file"},
        {env_file_is_no_file, "--env-file=/: "},
        {env_file_is_wrong, "wrong:2: is not an assignment"},
        {env_file_is_binary, "wrong: has a zero byte"},
        {policy_absent, "/nonexistent/policy"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct server_config c;
        struct revision *rev = NULL;
        struct problem p = {.status = 0, .text = "none"};

        config_for(&c, "true");
        cases[i].set(&c);
        assert_true(revision_new(&rev, &c, 0, &p) < 0);
        assert_null(rev);
        assert_int_equal(p.status, STATUS_CONFIG);
        if (!strstr(p.text, cases[i].text))
            fail_msg("%s: says nothing of %s", p.text, cases[i].text);
        server_config_done(&c);
    }
}

/* ---- what is found, and stays ---------------------------------------------------------------- */

static void test_program(void **state)
{
    struct server_config c;
    bool replaced;

    assert_int_equal(mkdir(in("release-1"), 0755) | mkdir(in("release-2"), 0755), 0);
    put("release-1/app", "#!/bin/sh\n", 0755);
    put("release-2/app", "#!/bin/sh\n", 0755);
    point("current", "release-1");
    config_for(&c, in("current/app"));
    struct revision *first = make(&c, 0);
    /* As it was named, as long as that leads to it: a program may look at its own name. */
    assert_string_equal(revision_program(first, &replaced), c.argv[0]);
    assert_false(replaced);
    point("current", "release-2");
    assert_string_equal(revision_program(first, &replaced), in("release-1/app"));
    assert_false(replaced);
    struct revision *second = make(&c, 1);
    assert_string_equal(revision_program(second, &replaced), c.argv[0]);
    assert_int_equal(second->generation, 1);
    /* Another file in its place: there is nothing else to run. */
    put("new", "#!/bin/sh\n", 0755);
    assert_int_equal(rename(in("new"), in("release-1/app")), 0);
    assert_string_equal(revision_program(first, &replaced), in("release-1/app"));
    assert_true(replaced);
    /* And where there is none, nothing has taken its place. */
    assert_int_equal(unlink(in("release-1/app")), 0);
    assert_string_equal(revision_program(first, &replaced), in("release-1/app"));
    assert_false(replaced);
    revision_unref(first);
    revision_unref(second);
    server_config_done(&c);
}

static void test_directory(void **state)
{
    struct server_config c;

    assert_int_equal(mkdir(in("site-1"), 0755) | mkdir(in("site-2"), 0755), 0);
    put("site-1/app", "#!/bin/sh\n", 0755);
    put("site-2/app", "#!/bin/sh\n", 0755);
    point("site", "site-1");
    config_for(&c, "./app");
    c.chdir = strdup(in("site"));
    struct revision *first = make(&c, 0);
    point("site", "site-2");
    struct revision *second = make(&c, 1);
    assert_string_equal(first->directory, in("site-1"));
    assert_string_equal(first->real_program, in("site-1/app"));
    assert_string_equal(second->directory, in("site-2"));
    assert_string_equal(second->real_program, in("site-2/app"));
    revision_unref(first);
    revision_unref(second);
    server_config_done(&c);
}

static void test_environment(void **state)
{
    struct server_config c;

    put("env", "A=file\nB=file\n", 0600);
    config_for(&c, "true");
    assert_int_equal(strv_append(&c.env_files, &c.n_env_files, in("env")), 0);
    assert_int_equal(server_config_add_env(&c, "B=option", NULL), 0);
    struct revision *first = make(&c, 0);
    put("env", "A=later\n", 0600);
    struct revision *second = make(&c, 1);
    assert_string_equal(first->env[0], "A=file");
    assert_string_equal(first->env[1], "B=file");
    assert_string_equal(first->env[2], "B=option"); /* later ones win */
    assert_string_equal(second->env[0], "A=later");
    assert_string_equal(second->env[1], "B=option");
    revision_unref(first);
    revision_unref(second);
    server_config_done(&c);
}

static void test_account(void **state)
{
    struct server_config c;
    char own[16];

    config_for(&c, "true");
    struct revision *rev = make(&c, 0);
    assert_null(rev->account);
    assert_int_equal(revision_uid(rev), geteuid());
    revision_unref(rev);
    (void)snprintf(own, sizeof(own), "%u", (unsigned)getuid());
    c.user = strdup(own);
    rev = make(&c, 0);
    assert_int_equal(rev->account->uid, getuid());
    revision_unref(rev);
    server_config_done(&c);
}

/* ---- environment files ----------------------------------------------------------------------- */

static void test_env_files(void **state)
{
    static const struct {
        const char *text;
        const char *list; /* joined by '|'; or what the message has to say after "f:" */
        bool wrong;
    } cases[] = {
        {"", ""},
        {"\n \n# A=1\n; B=2\n", ""},
        {"A=1", "A=1"},
        {"A=1\nB=2\n", "A=1|B=2"},
        {"  A = 1  \n", "A=1"},
        {"A=\nB=\"\"", "A=|B="},
        {"A=a b  c \t\n", "A=a b  c"},
        {"A='a  ' \n", "A=a  "},
        {"A=\"x\\\"y\\$z\\n\"\n", "A=x\"y$z\\n"},
        {"A='x\\y'\n", "A=x\\y"},
        {"A=x\\ \n", "A=x "},
        {"A=x\\\ny\nB=1", "A=xy|B=1"},
        {"A=\"x\ny\"\nB=1", "A=x\ny|B=1"},
        {"A='a' \"b\"\t'c'", "A=abc"},
        {"A='a'b\"c\"", "A=ab\"c\""}, /* a quote inside of a word is a character */
        {"A={\"a\": 'b'}\nB=1", "A={\"a\": 'b'}|B=1"},
        {"A=it's\nB=1", "A=it's|B=1"},
        {"A=\\'x' \nB=1", "A='x'|B=1"},
        {"A=1#2", "A=1#2"},
        {"A=$B", "A=$B"},
        {"A=x=y", "A=x=y"},
        {"A=1\r\nB=2\r\n", "A=1|B=2"},
        {"_a9=1", "_a9=1"},
        {"A=1\n\nexport B=2\n", "3: is not an assignment", true},
        {"A", "1: is not an assignment", true},
        {"=1", "1: is not an assignment", true},
        {"9=1", "1: is not an assignment", true},
        {"A-B=1", "1: is not an assignment", true},
        {"\nA='x\n\n", "2: has a quote that is not closed", true},
        {"A=\"x\\\"", "1: has a quote that is not closed", true},
        {"A=x\\", "A=x"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char **list = NULL, joined[256] = "", wanted[64];
        struct problem p = {.text = "none"};
        size_t n = 0;

        int r = env_file_parse("f", cases[i].text, &list, &n, &p);
        assert_int_equal(r, cases[i].wrong ? -EBADMSG : 0);
        for (size_t k = 0; k < n; k++) {
            (void)strcat(joined, k ? "|" : "");
            (void)strcat(joined, list[k]);
        }
        (void)snprintf(wanted, sizeof(wanted), "f:%s", cases[i].list);
        if (cases[i].wrong ? !strstr(p.text, wanted) : strcmp(joined, cases[i].list) != 0)
            fail_msg("%s: %s, %s", cases[i].text, joined, p.text);
        strv_free(list);
    }
}

/* ---- the stage ------------------------------------------------------------------------------- */

static int make_directory(void **state)
{
    char template[] = "/tmp/aiotools-sd-revision-XXXXXX";

    return mkdtemp(template) && realpath(template, directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    char command[PATH_MAX + 16];

    (void)snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),  cmocka_unit_test(test_program),
        cmocka_unit_test(test_directory), cmocka_unit_test(test_environment),
        cmocka_unit_test(test_account),   cmocka_unit_test(test_env_files),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
