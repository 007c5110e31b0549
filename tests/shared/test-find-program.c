/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
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

#include "find-program.h"

/* a/tool: not executable; b/tool, c/tool: executable; a/only: not executable; a/folder: a
 * directory; a/pipe: a FIFO. */
static char root[] = "/tmp/find-program-XXXXXX";

static void make(const char *name, mode_t mode)
{
    int fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, mode);

    assert_true(fd >= 0);
    close(fd);
}

static int set_up(void **state)
{
    if (!mkdtemp(root) || chdir(root) < 0)
        return -1;
    (void)umask(022);
    assert_int_equal(
        mkdir("a", 0755) + mkdir("b", 0755) + mkdir("c", 0755) + mkdir("a/folder", 0755), 0);
    assert_int_equal(mkfifo("a/pipe", 0755), 0);
    make("a/tool", 0644);
    make("a/only", 0644);
    make("b/tool", 0755);
    make("c/tool", 0755);
    make("c/here", 0755);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"a/tool", "a/only", "a/pipe", "b/tool", "c/tool", "c/here"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)unlink(names[i]);
    (void)rmdir("a/folder");
    (void)rmdir("a");
    (void)rmdir("b");
    (void)rmdir("c");
    return chdir("/") + rmdir(root);
}

static void test_check(void **state)
{
    static const struct {
        const char *path;
        int error;
    } cases[] = {
        {"b/tool", 0},
        {"a/tool", -EACCES},
        {"a/folder", -EISDIR},
        {"a/pipe", -EINVAL},
        {"a/absent", -ENOENT},
        {"b/tool/x", -ENOTDIR},
        {"/proc/self/stat", -EACCES},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("%s\n", cases[i].path);
        assert_int_equal(program_check(cases[i].path), cases[i].error);
    }
}

/* "@" stands for the root. */
static char *with_root(const char *text)
{
    static char buffers[4][512];
    static unsigned turn;
    char *to = buffers[turn++ % 4], *p = to;

    for (; *text; text++)
        p += *text == '@' ? sprintf(p, "%s", root) : sprintf(p, "%c", *text);
    *p = '\0';
    return to;
}

static void test_search(void **state)
{
    static const struct {
        const char *name, *path, *base;
        int error;
        const char *found; /* or refused */
    } cases[] = {
        {"tool", "@/b:@/c", NULL, 0, "@/b/tool"},
        {"tool", "@/c:@/b", NULL, 0, "@/c/tool"},
        /* what cannot be executed is passed over */
        {"tool", "@/a:@/b", NULL, 0, "@/b/tool"},
        {"tool", "@/absent:@/b/tool:@/b", NULL, 0, "@/b/tool"},
        {"only", "@/b:@/a:@/c", NULL, -EACCES, "@/a/only"},
        {"folder", "@/a", NULL, -EISDIR, "@/a/folder"},
        {"pipe", "@/a", NULL, -EINVAL, "@/a/pipe"},
        {"absent", "@/a:@/b", NULL, -ENOENT, NULL},
        {"absent", "", NULL, -ENOENT, NULL},
        /* relative ones */
        {"tool", "b", NULL, 0, "b/tool"},
        {"tool", "b", "@", 0, "@/b/tool"},
        {"here", "", "@/c", 0, "@/c/here"},
        {"here", "@/a::@/b", "@/c", 0, "@/c/here"},
        {"here", "@/a:", "@/c", 0, "@/c/here"},
        {"here", "@/c", "@/b", 0, "@/c/here"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *found = NULL, *refused = NULL;
        const char *base = cases[i].base ? with_root(cases[i].base) : NULL;

        print_message("case %zu: %s\n", i, cases[i].name);
        assert_int_equal(
            program_search(cases[i].name, with_root(cases[i].path), base, &found, &refused),
            cases[i].error);
        assert_true((found != NULL) == (cases[i].error == 0));
        assert_true((refused != NULL) == (cases[i].error < 0 && cases[i].found));
        if (cases[i].found)
            assert_string_equal(found ? found : refused, with_root(cases[i].found));
        free(found);
        free(refused);
    }
    assert_int_equal(program_search("only", with_root("@/a"), NULL, NULL, NULL), -EACCES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_check), cmocka_unit_test(test_search)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
