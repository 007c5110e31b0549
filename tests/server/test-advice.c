/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The last of the output of a worker, and what it could not reach. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "strv.h"
#include "worker/reach.h"
#include "worker/tail.h"

#define N(x) (sizeof(x) / sizeof *(x))

/* ---- the tail -------------------------------------------------------------------------------- */

/* However it is cut into pieces, the end of it is there. */
static void test_tail(void **state)
{
    static char all[5 * TAIL_MAX];

    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (char)('a' + i % 23);
    for (size_t piece = 1; piece <= sizeof(all); piece = piece * 3 + 1) {
        struct tail tail = {0};
        size_t n = 0;

        assert_string_equal(tail_text(&tail), "");
        while (n < sizeof(all)) {
            size_t more = n + piece > sizeof(all) ? sizeof(all) - n : piece;

            tail_add(&tail, all + n, more);
            n += more;
            assert_int_equal(strlen(tail_text(&tail)), tail.n);
            assert_int_equal(tail.n, n < TAIL_MAX ? n : TAIL_MAX - 1);
            assert_memory_equal(tail_text(&tail), all + n - tail.n, tail.n);
        }
        tail_clear(&tail);
        assert_string_equal(tail_text(&tail), "");
    }
}

static void test_tail_zeros(void **state)
{
    struct tail tail = {0};

    tail_add(&tail, "a\0b", 3);
    tail_add(&tail, "", 0);
    tail_add(&tail, "\0c", 2);
    assert_string_equal(tail_text(&tail), "a?b?c");
    tail_clear(&tail);
}

/* ---- what it could not reach ----------------------------------------------------------------- */

static char root[] = "/tmp/ait-advice-XXXXXX";

static const char *below(const char *name)
{
    static char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s%s", root, name);
    return path;
}

static int setup(void **state)
{
    static const char *const folders[] = {"/app",  "/app/lib", "/given",
                                          "/data", "/venv",    "/venv/bin"};
    static const char *const files[] = {"/app/main.py", "/app/lib/a.py", "/given/conf", "/data/x y",
                                        "/venv/bin/run"};

    if (!mkdtemp(root))
        return -1;
    for (size_t i = 0; i < N(folders); i++)
        assert_int_equal(mkdir(below(folders[i]), 0755), 0);
    for (size_t i = 0; i < N(files); i++) {
        int fd = open(below(files[i]), O_WRONLY | O_CREAT, 0644);

        assert_true(fd >= 0);
        (void)close(fd);
    }
    return symlink("app", below("/current"));
}

static int teardown(void **state)
{
    char command[PATH_MAX];

    (void)snprintf(command, sizeof(command), "rm -r %s", root);
    return system(command);
}

/* % is the directory of the test. */
static void fill(char *to, const char *from)
{
    for (; *from; from++)
        if (from[0] == '%' && from[1] == '%')
            *to++ = *from++;
        else if (*from == '%')
            to = stpcpy(to, root);
        else
            *to++ = *from;
    *to = '\0';
}

#define DENIED_ONE                                                                                 \
    "if it was denied a file, `strace -f -e trace=%%file` shows which one; add --read-only= or "   \
    "--read-write="

static const struct {
    const char *output;
    const char *text; /* NULL: nothing to say */
} outputs[] = {
    /* words of programs */
    {"open() \"%/app/main.py\" failed (13: Permission denied)",
     "%/app/main.py cannot be read; add --read-only=%/app"},
    {"PermissionError: [Errno 13] Permission denied: '%/app/lib/a.py'\n",
     "%/app/lib/a.py cannot be read; add --read-only=%/app/lib"},
    {"Error: Cannot find module '%/app/main.py'",
     "%/app/main.py cannot be read; add --read-only=%/app"},
    {"calling fopen(%/app/main.py, rb): EACCES",
     "%/app/main.py cannot be read; add --read-only=%/app"},
    {"cannot open %/app/main.py: Permission denied.",
     "%/app/main.py cannot be read; add --read-only=%/app"},
    {"config=%/app/main.py\nfatal", "%/app/main.py cannot be read; add --read-only=%/app"},
    {"EACCES: '%/data/x y'", "%/data/x y cannot be read; add --read-only=%/data"},
    {"EACCES: %/app", "%/app cannot be read; add --read-only=%/app"},
    {"EACCES: %/current/main.py", "%/app/main.py cannot be read; add --read-only=%/app"},

    /* without a directory */
    {"sh: 1: made-up: Permission denied", DENIED_ONE},
    {"SemLock(kind): Permission denied", "/dev/shm cannot be written; add --read-write=/dev/shm"},
    {"could not find a temporary directory", "/tmp cannot be written; add --read-write=/tmp"},
    {"PermissionError: Permission denied", DENIED_ONE},
    {"Operation not permitted", NULL},

    /* of each process */
    {"EACCES: /proc/self/status", "/proc/self/status cannot be read; add --read-only=/proc"},

    /* several, each once, the wider instead of the narrower */
    {"EACCES: %/app/lib/a.py\nEACCES: %/app/main.py\nEACCES: %/app",
     "%/app/main.py cannot be read; add --read-only=%/app"},
    {"EACCES: %/app/main.py %/data/x.pid", "%/app/main.py cannot be read, %/data/x.pid cannot be "
                                           "written; add --read-only=%/app --read-write=%/data"},
    {"no temporary directory in ['/tmp', '/var/tmp', '%/none']",
     "/tmp cannot be written; add --read-write=/tmp"},

    /* what is made or written */
    {"cannot create %/data/x.pid: Permission denied",
     "%/data/x.pid cannot be written; add --read-write=%/data"},
    {"cannot write %/given/conf: Permission denied",
     "%/given/conf cannot be written; add --read-write=%/given"},
    {"cannot create %/given/new: EACCES",
     "%/given/new cannot be written; add --read-write=%/given"},
    {"EACCES: /var/log", "/var/log cannot be written; add --read-write=/var/log"},

    /* a file alone where the folder would be too much */
    {"EACCES: /etc/shadow", "/etc/shadow cannot be read; add --read-only=/etc/shadow"},

    /* what is allowed, is not there, or is no path */
    {"%/given/conf:12: cannot open", NULL},
    {"not found: /etc/hosts /usr/lib/x /dev/null", NULL},
    {"loaded %/given", NULL},
    {"EACCES: %/none/none", DENIED_ONE},
    {"no such file: %/app/none", NULL},
    {"not found: http://%/app/main.py x%/app .%/app", NULL},
    {"not found: / // '/' \"", NULL},
    {"not found: '", NULL},
    {"", NULL},
};

static void check_output(struct revision *revision, const char *output, const char *wanted)
{
    char buffer[REACH_TEXT_MAX], text[REACH_TEXT_MAX], expected[REACH_TEXT_MAX];
    const char *got;

    fill(text, output);
    got = reach_describe(revision, text, buffer);
    if (wanted)
        fill(expected, wanted);
    if (!got != !wanted || (got && strcmp(got, expected) != 0))
        fail_msg("\"%s\": %s", text, got ? got : "nothing");
}

static struct revision *revision_of(const char *directory, const char *program, char **argv)
{
    static struct server_config config;
    static struct revision revision;
    static char dir[PATH_MAX], file[PATH_MAX], given[PATH_MAX], *read_only[] = {given, NULL};
    struct worker_sandbox *s = &revision.sandbox;
    char **need_read_only, **need_read_write;
    size_t n;

    fill(dir, directory);
    fill(file, program);
    fill(given, "%/given");
    config.argv = argv;
    assert_int_equal(sandbox_needs(&(struct sandbox_program){.file = file}, &need_read_only, &n,
                                   &need_read_write),
                     0);
    strv_free(s->need_read_only);
    strv_free(s->need_read_write);
    revision = (struct revision){.config = &config,
                                 .directory = dir,
                                 .program = file,
                                 .real_program = file,
                                 .sandbox = {.read_only = read_only,
                                             .need_read_only = need_read_only,
                                             .need_read_write = need_read_write,
                                             .identity = 1}};
    return &revision;
}

static void test_outputs(void **state)
{
    char *argv[] = {(char *)"true", NULL};

    for (size_t i = 0; i < N(outputs); i++)
        check_output(revision_of("/", "/bin/true", argv), outputs[i].output, outputs[i].text);
}

/* Where nothing is named, or all that is named can be reached. */
static void test_start(void **state)
{
    char arg[PATH_MAX], *plain[] = {(char *)"true", NULL}, *with[] = {(char *)"true", arg, NULL};

    fill(arg, "%/data/x y");
    check_output(revision_of("%/app", "/bin/true", plain),
                 "ModuleNotFoundError: No module named 'app'",
                 "%/app cannot be read; add --read-only=%/app");
    check_output(revision_of("%/app", "/bin/true", plain), "",
                 "%/app cannot be read; add --read-only=%/app");
    check_output(revision_of("%/app", "/bin/true", plain), "EACCES: %/app/lib/a.py",
                 "%/app/lib/a.py cannot be read; add --read-only=%/app");
    check_output(revision_of("%/given", "/bin/true", plain), "cannot open conf", NULL);
    check_output(revision_of("%/given", "/bin/true", plain), "Permission denied: 'conf'",
                 "%/given/conf cannot be written; add --read-write=%/given");
    check_output(revision_of("%/given", "/bin/true", plain), "Permission denied: 'new.txt'",
                 "%/given/new.txt cannot be written; add --read-write=%/given");
    check_output(revision_of("%/app", "/bin/true", plain),
                 "Permission denied @ rb_sysopen - lib/a.py",
                 "%/app/lib/a.py cannot be read; add --read-only=%/app");
    check_output(revision_of("%/given", "/bin/true", plain), "sh: 1: env: Permission denied",
                 "/usr/bin/env cannot be read; add --read-only=/usr/bin/env");
    check_output(revision_of("/", "%/venv/bin/run", plain), "No module named x",
                 "%/venv cannot be read; add --read-only=%/venv");
    check_output(revision_of("/", "/bin/true", with), "",
                 "%/data/x y cannot be read; add --read-only=%/data");
}

static void test_not_confined(void **state)
{
    char *argv[] = {(char *)"true", NULL};
    struct revision *revision = revision_of("%/app", "/bin/true", argv);

    revision->sandbox.identity = 0;
    check_output(revision, "EACCES: %/app/main.py", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tail),         cmocka_unit_test(test_tail_zeros),
        cmocka_unit_test(test_outputs),      cmocka_unit_test(test_start),
        cmocka_unit_test(test_not_confined),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
