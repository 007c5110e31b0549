/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Where the runtime directory is, and what other users can do about it: nothing. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervise/rundir.h"

/* Nobody is called that, so that nothing in /tmp is in the way. */
static uid_t uid, other;
static char home[] = "/tmp/test-rundir-XXXXXX";

static int make_home(void **state)
{
    if (geteuid() != 0)
        return 0;
    uid = 1900000000u + (uid_t)getpid();
    other = uid + 1000000u;
    return mkdtemp(home) && chmod(home, 0755) == 0 ? 0 : -1;
}

static int remove_home(void **state)
{
    return geteuid() == 0 ? rmdir(home) : 0;
}

/* ---- what others make before us -------------------------------------------------------------- */

static void make_directory(const char *path)
{
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(chmod(path, 0777), 0);
    assert_int_equal(chown(path, other, other), 0);
}

/* To a directory that is even ours. */
static void make_link(const char *path)
{
    assert_int_equal(mkdir("/tmp/test-rundir-elsewhere", 0700), 0);
    assert_int_equal(chown("/tmp/test-rundir-elsewhere", uid, uid), 0);
    assert_int_equal(symlink("/tmp/test-rundir-elsewhere", path), 0);
    assert_int_equal(lchown(path, other, other), 0);
}

static void make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);

    assert_true(fd >= 0);
    assert_int_equal(fchown(fd, other, other), 0);
    close(fd);
}

static void make_fifo(const char *path)
{
    assert_int_equal(mkfifo(path, 0666), 0);
    assert_int_equal(chown(path, other, other), 0);
}

static void make_nothing(const char *path)
{
}

static void clear(const char *path)
{
    if (unlink(path) < 0 && rmdir(path) < 0)
        assert_int_equal(errno, ENOENT);
    (void)rmdir("/tmp/test-rundir-elsewhere");
}

/* ---- the user -------------------------------------------------------------------------------- */

struct result {
    int r;
    char path[80], text[sizeof(((struct problem *)0)->text)];
    struct stat is, parent;
    int second; /* that another server of the name gets */
};

static void open_both(struct result *result)
{
    struct predecessor none = {0};
    struct problem p = {0};
    struct rundir d, second;

    result->r = rundir_open(&d, "web", &none, &p);
    (void)snprintf(result->text, sizeof(result->text), "%s", p.text);
    if (result->r < 0)
        return;
    (void)snprintf(result->path, sizeof(result->path), "%s", d.path);
    (void)lstat(d.path, &result->is);
    *strrchr(result->path, '/') = '\0';
    (void)lstat(result->path, &result->parent);
    result->second = rundir_open(&second, "web", &none, NULL);
    rundir_close(&d);
}

/* In a child that becomes the user, with such variables. */
static struct result as_user(const char *variable, const char *value)
{
    struct result result = {.r = -1};
    int pair[2], status;
    pid_t pid;

    assert_int_equal(pipe(pair), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)unsetenv("RUNTIME_DIRECTORY");
        (void)unsetenv("XDG_RUNTIME_DIR");
        if (variable)
            (void)setenv(variable, value, 1);
        if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
            _exit(1);
        (void)umask(0);
        open_both(&result);
        _exit(write(pair[1], &result, sizeof(result)) != sizeof(result));
    }
    close(pair[1]);
    assert_int_equal(read(pair[0], &result, sizeof(result)), sizeof(result));
    close(pair[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    return result;
}

static void check_own(const struct result *result)
{
    assert_int_equal(result->r, 0);
    assert_int_equal(result->is.st_uid, uid);
    assert_int_equal(result->is.st_mode, S_IFDIR | 0700);
    assert_int_equal(result->parent.st_uid, uid);
    assert_int_equal(result->parent.st_mode, S_IFDIR | 0700);
    assert_int_equal(result->second, -EWOULDBLOCK);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void (*const squatters[])(const char *path) = {make_directory, make_link, make_file,
                                                      make_fifo};
#define N_SQUATTERS (sizeof(squatters) / sizeof(*squatters))

static void name_of(char path[static 64], unsigned i)
{
    int n = snprintf(path, 64, "/tmp/aiotools-sd-%u", (unsigned)uid);

    if (i > 0)
        (void)snprintf(path + n, 64 - (size_t)n, "-%u", i);
}

static void test_tmp(void **state)
{
    char name[64], next[64];

    if (geteuid() != 0)
        skip();
    name_of(name, 0);
    name_of(next, 1);
    struct result result = as_user(NULL, NULL);
    check_own(&result);
    assert_string_equal(result.path, name);
    for (size_t i = 0; i < N_SQUATTERS; i++) {
        squatters[i](name);
        result = as_user(NULL, NULL);
        check_own(&result);
        assert_string_equal(result.path, next);
        clear(name);
    }
    assert_int_equal(access(name, F_OK), -1);
    assert_int_equal(access(next, F_OK), -1);
}

/* What is ours already is where the other servers of this user are. */
static void test_own_first(void **state)
{
    char name[64], third[64];

    if (geteuid() != 0)
        skip();
    name_of(name, 0);
    name_of(third, 3);
    assert_int_equal(mkdir(third, 0777), 0);
    assert_int_equal(chown(third, uid, uid), 0);
    struct result result = as_user(NULL, NULL);
    check_own(&result);
    assert_string_equal(result.path, third);
    clear(third);
}

static void test_all_taken(void **state)
{
    char name[64];

    if (geteuid() != 0)
        skip();
    for (unsigned i = 0; i < 10; i++) {
        name_of(name, i);
        squatters[i % 2 ? 0 : 2](name);
    }
    struct result result = as_user(NULL, NULL);
    assert_int_equal(result.r, -EEXIST);
    if (!strstr(result.text, "other users have made") || !strstr(result.text, "set RUNTIME_DIR"))
        fail_msg("%s", result.text);
    for (unsigned i = 0; i < 10; i++) {
        name_of(name, i);
        clear(name);
    }
}

/* $XDG_RUNTIME_DIR of another user, or one in which others may do as they like. */
static void test_xdg(void **state)
{
    const struct {
        uid_t owner;
        mode_t mode;
        bool used;
    } cases[] = {
        {uid, 0700, true},     {uid, 0755, true},    {uid, 01777, true}, {uid, 0777, false},
        {other, 01777, false}, {other, 0777, false}, {0, 01777, false},  {uid, 0770, false},
    };
    char name[64], below[64];

    if (geteuid() != 0)
        skip();
    name_of(name, 0);
    (void)snprintf(below, sizeof(below), "%s/aiotools-sd", home);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_int_equal(chown(home, cases[i].owner, cases[i].owner), 0);
        assert_int_equal(chmod(home, cases[i].mode), 0);
        struct result result = as_user("XDG_RUNTIME_DIR", home);
        check_own(&result);
        assert_string_equal(result.path, cases[i].used ? below : name);
    }
    assert_int_equal(chown(home, 0, 0), 0);
    assert_int_equal(chmod(home, 0755), 0);
}

/* In a directory that was given, a lock that somebody has made before us. */
static void test_lock(void **state)
{
    char lock[64], precious[64], text[16] = "";

    if (geteuid() != 0)
        skip();
    (void)snprintf(lock, sizeof(lock), "%s/lock", home);
    (void)snprintf(precious, sizeof(precious), "%s/precious", home);
    assert_int_equal(chown(home, uid, uid), 0);
    for (unsigned i = 0; i < 4; i++) {
        void (*const make[])(const char *) = {make_nothing, make_fifo, make_link, make_file};
        int fd = open(precious, O_RDWR | O_CREAT | O_TRUNC, 0600);

        assert_int_equal(write(fd, "precious", 8), 8);
        assert_int_equal(fchown(fd, uid, uid), 0);
        make[i](lock);
        if (i == 0)
            assert_int_equal(link(precious, lock), 0);
        struct result result = as_user("RUNTIME_DIRECTORY", home);
        assert_true(result.r < 0);
        if (!strstr(result.text, "cannot lock") || !strstr(result.text, "RUNTIME_DIRECTORY"))
            fail_msg("%u: %s", i, result.text);
        assert_int_equal(pread(fd, text, sizeof(text) - 1, 0), 8);
        close(fd);
        clear(lock);
    }
    clear(precious);
    assert_int_equal(chown(home, 0, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tmp),       cmocka_unit_test(test_own_first),
        cmocka_unit_test(test_all_taken), cmocka_unit_test(test_xdg),
        cmocka_unit_test(test_lock),
    };

    return cmocka_run_group_tests(tests, make_home, remove_home);
}
