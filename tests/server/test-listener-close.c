/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The close of a listening socket waits for nothing that a worker or a client has made of it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../stuck-fs.h"
#include "sockets/socket.h"

#define PROMPT_MSEC 10000

static char folder[] = "/tmp/test-listener-close-XXXXXX";

static int make_folder(void **state)
{
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    return rmdir(folder);
}

/* In a process of its own, since a close that hangs cannot be given up. */
static bool closes_at_once(int fd)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        (void)raise(SIGSTOP);
        listener_close(fd);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    /* So that the process closes the last one. */
    close(fd);
    assert_int_equal(kill(pid, SIGCONT), 0);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    bool prompt = poll(&p, 1, PROMPT_MSEC) == 1;
    if (!prompt)
        (void)kill(pid, SIGKILL);
    close(pidfd);
    return waitpid(pid, &status, 0) == pid && prompt && status == 0;
}

static int tcp_listener(struct sockaddr_in *ret)
{
    socklen_t n = sizeof *ret;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)ret, n), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &n), 0);
    return fd;
}

/* A worker makes a connection of it, to somebody who never reads. */
static void test_connected_listener(void **state)
{
    static const char data[65536];
    struct sockaddr_in own, peer;
    int fd = tcp_listener(&own), other = tcp_listener(&peer);

    assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&peer, sizeof peer), 0);
    while (send(fd, data, sizeof data, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        ;
    struct linger for_ever = {.l_onoff = 1, .l_linger = 3600};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &for_ever, sizeof for_ever), 0);
    assert_true(closes_at_once(fd));
    close(other);
}

/* Sends a file that hangs over a connection that nobody accepts; hangs itself at its end. */
static void pass_file(const struct sockaddr_un *to, const char *path)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    struct iovec part = {.iov_base = "x", .iov_len = 1};
    struct msghdr h = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    int file = open(path, O_RDONLY | O_CLOEXEC), s = socket(AF_UNIX, SOCK_STREAM, 0);

    memcpy(CMSG_DATA(&control.header), &file, sizeof file);
    if (file < 0 || connect(s, (const struct sockaddr *)to, sizeof *to) < 0 ||
        sendmsg(s, &h, MSG_NOSIGNAL) != 1)
        _exit(1);
    (void)raise(SIGSTOP);
    _exit(0);
}

static void test_file_in_the_queue(void **state)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char directory[80], path[96];
    struct stuck_fs fs;
    int status, r;

    snprintf(directory, sizeof directory, "%s/stuck", folder);
    assert_int_equal(mkdir(directory, 0755), 0);
    r = geteuid() == 0 ? stuck_fs_start(&fs, directory) : -EPERM;
    if (r < 0) {
        rmdir(directory);
        print_message("SKIP: no file system of our own here: %s\n", strerror(-r));
        skip();
    }
    snprintf(path, sizeof path, "%s/flush", directory);
    snprintf(a.sun_path, sizeof a.sun_path, "%s/socket", folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 1), 0);
    pid_t sender = fork();
    if (sender == 0) {
        close(fd);
        pass_file(&a, path);
    }
    assert_int_equal(waitpid(sender, &status, WUNTRACED), sender);
    assert_true(WIFSTOPPED(status));
    bool prompt = closes_at_once(fd);
    (void)kill(sender, SIGKILL);
    stuck_fs_end(&fs, directory);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    assert_int_equal(rmdir(directory), 0);
    assert_int_equal(unlink(a.sun_path), 0);
    assert_true(prompt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connected_listener),
        cmocka_unit_test(test_file_in_the_queue),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
