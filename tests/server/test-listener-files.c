/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Files of unix sockets: their mode, what is replaced and what stays, and what becomes of one that
 * is removed. */

#include "listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_mode_despite_umask(void **state)
{
    mode_t before = umask(077);
    char path[64];
    struct listen_set *s = open_one(in_folder(path, "", "x"), 1);
    struct stat st;

    assert_int_equal(umask(before), 077);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mode, S_IFSOCK | 0666);
    listen_set_close(s);
}

/* A file that a killed server has left. */
static void leave_stale(const char *path, int type)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);

    strcpy(a.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    close(fd);
}

static void test_stale_is_replaced(void **state)
{
    static const char *const prefixes[] = {"", "seqpacket:"};
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};

    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 3; k++) {
            char text[64], path[64];
            struct listen_set *s;
            int fd;

            leave_stale(in_folder(path, "", "x"), types[k]);
            s = open_one(in_folder(text, prefixes[i], "x"), 1);
            assert_int_equal(listen_set_fds(s, 0, 0, &fd), 0);
            assert_serves(s, 0, fd);
            listen_set_close(s);
        }
}

static void test_live_is_refused(void **state)
{
    static const char *const prefixes[] = {"", "seqpacket:"};

    for (size_t i = 0; i < 2; i++) {
        char text[64], other[64];
        struct listen_set *s = open_one(in_folder(text, prefixes[i], "x"), 1);
        int fd;

        /* of the same and of another type */
        for (size_t k = 0; k < 2; k++)
            assert_refused(&(struct given){{in_folder(other, prefixes[k], "x")}, LISTEN_DEFAULT, 1},
                           -EADDRINUSE, STATUS_OS, "another server already listens on this socket");
        assert_int_equal(listen_set_fds(s, 0, 0, &fd), 0);
        listen_set_close(s);
    }
}

/* A full queue makes a server no less alive. */
static void test_full_queue_is_live(void **state)
{
    char path[64];
    struct listen_set *s = open_one(in_folder(path, "", "x"), 1);
    int fd, clients[2], n = 0;

    assert_int_equal(listen_set_fds(s, 0, 0, &fd), 0);
    assert_int_equal(listen(fd, 0), 0);
    for (; n < 2; n++) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};

        strcpy(a.sun_path, path);
        clients[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(clients[n], (struct sockaddr *)&a, sizeof a);
    }
    assert_refused(&(struct given){{path}, LISTEN_DEFAULT, 1}, -EADDRINUSE, STATUS_OS,
                   "already listens");
    while (n-- > 0)
        close(clients[n]);
    listen_set_close(s);
}

static void test_others_are_left_alone(void **state)
{
    char path[64], target[64];
    struct given g = {{in_folder(path, "", "x")}, LISTEN_DEFAULT, 1};
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    close(fd);
    assert_refused(&g, -EEXIST, STATUS_OS, "remove ");
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(unlink(path), 0);

    assert_int_equal(mkdir(path, 0700), 0);
    assert_refused(&g, -EEXIST, STATUS_OS, "not a socket");
    assert_int_equal(rmdir(path), 0);

    /* not even behind a symbolic link */
    leave_stale(in_folder(target, "", "y"), SOCK_STREAM);
    assert_int_equal(symlink(target, path), 0);
    assert_refused(&g, -EEXIST, STATUS_OS, "not a socket");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(target), 0);
}

static void test_only_own_file_is_unlinked(void **state)
{
    char path[64];
    struct listen_set *s = open_one(in_folder(path, "", "x"), 1), *second;
    int status;
    pid_t pid;

    /* in a child process: nothing */
    pid = fork();
    if (pid == 0) {
        listen_set_close(s);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(access(path, F_OK), 0);

    /* somebody has made room by force */
    assert_int_equal(unlink(path), 0);
    second = open_one(path, 1);
    listen_set_close(s);
    assert_int_equal(access(path, F_OK), 0);
    listen_set_close(second);
    assert_int_equal(access(path, F_OK), -1);
}

static int race_for(const char *path, int go, int done)
{
    struct given g = {{path}, LISTEN_DEFAULT, 1};
    struct listen_set *s = NULL;
    struct problem p;
    char byte;
    int r;

    (void)!read(go, &byte, 1);
    r = try_open(&g, &s, &p);
    if (r == 0)
        (void)!read(done, &byte, 1);
    listen_set_close(s);
    return r == 0 ? 0 : r == -EADDRINUSE ? 1 : 2;
}

static void test_race_for_a_stale_path(void **state)
{
    char path[64];

    in_folder(path, "", "x");
    for (int round = 0; round < 40; round++) {
        int go[2], done[2], status;

        leave_stale(path, SOCK_STREAM);
        assert_int_equal(pipe(go), 0);
        assert_int_equal(pipe(done), 0);
        for (int i = 0; i < 4; i++)
            if (fork() == 0) {
                close(go[1]);
                close(done[1]);
                _exit(race_for(path, go[0], done[0]));
            }
        close(go[1]);
        for (int i = 0; i < 3; i++) {
            assert_true(wait(&status) > 0);
            assert_int_equal(WEXITSTATUS(status), 1);
        }
        close(done[1]);
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
        close(go[0]);
        close(done[0]);
    }
}

static ino_t inode_of(const char *path)
{
    struct stat st;

    return lstat(path, &st) < 0 ? 0 : st.st_ino;
}

/* The path, its second name, then both: the socket stays as long as one of them is left. */
static void remove_in_steps(struct listen_set *s, const char *path)
{
    struct problem p = {.text = ""};
    char spare[128];
    ino_t inode = inode_of(path);
    int fd;

    (void)snprintf(spare, sizeof(spare), "%s/.removed.sock.spare", listen_folder);
    assert_int_equal(inode_of(spare), inode);
    assert_true(listen_set_owns_file(s, "removed.sock"));
    assert_true(listen_set_owns_file(s, ".removed.sock.spare"));
    assert_false(listen_set_owns_file(s, "other.sock"));
    assert_string_equal(listen_set_path(s, 0), path);
    assert_int_equal(listen_set_check_path(s, 0, &p), 0);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(listen_set_check_path(s, 0, &p), 1);
    assert_int_equal(inode_of(path), inode);
    assert_int_equal(unlink(spare), 0);
    assert_int_equal(listen_set_check_path(s, 0, &p), 0);
    assert_int_equal(inode_of(spare), inode);
    assert_int_equal(unlink(spare), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(listen_set_check_path(s, 0, &p), 1);
    assert_non_null(strstr(p.text, "another socket"));
    assert_int_equal(inode_of(spare), inode_of(path));
    assert_int_equal(listen_set_fds(s, 1, 1, &fd), 0);
    assert_serves(s, 0, fd);
}

static void test_removed_file(void **state)
{
    char path[108];
    struct problem p = {.text = ""};
    int fd;

    (void)snprintf(path, sizeof(path), "%s/removed.sock", listen_folder);
    struct listen_set *s = open_set(&(struct given){{path}, LISTEN_DEFAULT, 2});
    assert_int_equal(check_all(s, 0, 0, &p), 0);
    assert_string_equal(p.text, "");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(check_all(s, 0, 0, &p), 1);
    assert_non_null(strstr(p.text, "removed.sock"));
    assert_int_equal(check_all(s, 1, 1, &p), 0);
    assert_int_equal(listen_set_fds(s, 1, 1, &fd), 0);
    assert_serves(s, 0, fd);
    remove_in_steps(s, path);
    /* Where somebody else listens by now, that stays. */
    assert_int_equal(unlink(path), 0);
    struct listen_set *other = open_set(&(struct given){{path}, LISTEN_DEFAULT, 1});
    assert_int_equal(check_all(s, 0, 0, &p), 0);
    assert_int_equal(listen_set_check_path(s, 0, &p), -EADDRINUSE);
    assert_non_null(strstr(p.text, "in its place"));
    listen_set_close(s);
    assert_int_equal(access(path, F_OK), 0);
    listen_set_close(other);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mode_despite_umask),
        cmocka_unit_test(test_stale_is_replaced),
        cmocka_unit_test(test_live_is_refused),
        cmocka_unit_test(test_full_queue_is_live),
        cmocka_unit_test(test_others_are_left_alone),
        cmocka_unit_test(test_only_own_file_is_unlinked),
        cmocka_unit_test(test_race_for_a_stale_path),
        cmocka_unit_test(test_removed_file),
    };

    alarm(100); /* some cases wait for what a defect would keep from happening */
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
