/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Datagrams, vectors, and bytes that move inside the kernel: that they wait for the right side,
 * lose nothing, and raise no signal. */

#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

#define DEADLINE (20 * AIT_USEC_PER_SEC)

static ait_task_fn inner;

static int limited(void *userdata)
{
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter_after(&scope, AIT_SCOPE_FAIL_FAST, DEADLINE), 0);
    return ait_scope_exit(scope, inner(userdata));
}

static void run_limited(ait_task_fn fn)
{
    inner = fn;
    assert_int_equal(run_real(limited, NULL), 0);
}

static unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 31 + (i >> 8));
}

static void close_pair(const int fds[2])
{
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            CHECK_EQ(ait_close(fds[i]), 0);
}

/* ---- datagrams ------------------------------------------------------------------------------- */

static int udp_socket(struct sockaddr_in *ret_address)
{
    socklen_t len = sizeof(*ret_address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    *ret_address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_EQ(bind(fd, (struct sockaddr *)ret_address, len), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)ret_address, &len), 0);
    return fd;
}

/* Sends each datagram back to where it came from. */
static int udp_echo(void *userdata)
{
    int fd = (int)(intptr_t)userdata;

    for (;;) {
        struct sockaddr_storage from;
        socklen_t len = sizeof(from);
        char buf[64];
        ssize_t k = ait_recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);

        if (k >= 0)
            k = ait_sendto(fd, buf, (size_t)k, 0, (struct sockaddr *)&from, len);
        if (k < 0)
            return (int)k;
    }
}

static int datagram_main(void *unused)
{
    struct sockaddr_in server_address, address, from;
    int server = udp_socket(&server_address), fd = udp_socket(&address);
    AIT_CLEANUP(ait_task_unrefp) ait_task *echo = NULL;
    int result = 0;

    CHECK_EQ(ait_task_spawn(&echo, udp_echo, (void *)(intptr_t)server, NULL), 0);
    for (int i = 0; i < 300; i++) {
        socklen_t len = sizeof(from);
        int got = -1;

        CHECK_EQ(ait_sendto(fd, &i, sizeof(i), 0, (struct sockaddr *)&server_address,
                            sizeof(server_address)),
                 sizeof(i));
        CHECK_EQ(ait_recvfrom(fd, &got, sizeof(got), 0, (struct sockaddr *)&from, &len),
                 sizeof(got));
        CHECK_EQ(got, i);
        CHECK_EQ(len, sizeof(from));
        CHECK_EQ(from.sin_port, server_address.sin_port);
    }
    /* Empty ones, and ones that are cut, whose length MSG_TRUNC tells. */
    CHECK_EQ(ait_sendto(fd, "", 0, 0, (struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_EQ(ait_sendto(fd, "longer", 6, 0, (struct sockaddr *)&address, sizeof(address)), 6);
    CHECK_EQ(ait_recvfrom(fd, &result, sizeof(result), 0, NULL, NULL), 0);
    CHECK_EQ(ait_recvfrom(fd, &result, 4, MSG_TRUNC, NULL, NULL), 6);
    CHECK_EQ(ait_cancel_and_wait(echo, &result), 0);
    CHECK_EQ(result, -ECANCELED);
    close_pair((int[]){server, fd});
    return 0;
}

static void test_datagrams(void **unused)
{
    run_limited(datagram_main);
}

static int count_datagrams(void *userdata)
{
    int fd = (int)(intptr_t)userdata, next = 0, n;

    while (next < 500) {
        ssize_t k = ait_recvfrom(fd, &n, sizeof(n), 0, NULL, NULL);

        if (k < 0)
            return (int)k;
        CHECK_EQ(n, next++);
    }
    return 0;
}

/* A unix socket has flow control: the sender waits for the receiver. */
static int full_queue_main(void *unused)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *receiver = NULL;
    int fds[2], result = -1;

    CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_EQ(ait_task_spawn(&receiver, count_datagrams, (void *)(intptr_t)fds[0], NULL), 0);
    for (int i = 0; i < 500; i++)
        CHECK_EQ(ait_sendto(fds[1], &i, sizeof(i), 0, NULL, 0), sizeof(i));
    CHECK_EQ(ait_task_wait(receiver, &result), 0);
    CHECK_EQ(result, 0);
    close_pair(fds);
    return 0;
}

static void test_full_queue(void **unused)
{
    run_limited(full_queue_main);
}

/* ---- vectors --------------------------------------------------------------------------------- */

struct pair {
    int fds[2];
    int file;
    size_t n;
};

/* All of it in threes of odd sizes. */
static int send_vectors(void *userdata)
{
    struct pair *p = userdata;
    unsigned char buf[6000];
    size_t done = 0;

    while (done < p->n) {
        size_t n = p->n - done < sizeof(buf) ? p->n - done : sizeof(buf);
        struct iovec iov[] = {{buf, n / 3}, {buf + n / 3, 0}, {buf + n / 3, n - n / 3}};
        ssize_t k;

        for (size_t i = 0; i < n; i++)
            buf[i] = pattern(done + i);
        k = ait_writev(p->fds[1], iov, 3);
        if (k < 0)
            return (int)k;
        done += (size_t)k;
    }
    CHECK_EQ(ait_close(p->fds[1]), 0);
    p->fds[1] = -1;
    return 0;
}

static int receive_vectors(struct pair *p)
{
    unsigned char a[100], b[3000];
    size_t done = 0;
    ssize_t k;

    for (;;) {
        struct iovec iov[] = {{a, sizeof(a)}, {b, sizeof(b)}};

        k = ait_readv(p->fds[0], iov, 2);
        if (k <= 0)
            break;
        for (size_t i = 0; i < (size_t)k; i++)
            if ((i < sizeof(a) ? a[i] : b[i - sizeof(a)]) != pattern(done + i))
                return -EBADMSG;
        done += (size_t)k;
    }
    CHECK_EQ(done, p->n);
    return (int)k;
}

static int vectors_main(void *unused)
{
    for (int i = 0; i < 2; i++) {
        struct pair p = {.n = 400000};

        CHECK_EQ(i == 0 ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p.fds)
                        : pipe2(p.fds, O_CLOEXEC),
                 0);
        CHECK_EQ(ait_task_spawn(NULL, send_vectors, &p, NULL), 0);
        CHECK_EQ(receive_vectors(&p), 0);
        close_pair(p.fds);
    }
    CHECK_EQ(ait_readv(0, NULL, 1), -EINVAL);
    CHECK_EQ(ait_readv(0, NULL, -1), -EINVAL);
    CHECK_EQ(ait_writev(0, NULL, IOV_MAX + 1), -EINVAL);
    CHECK_EQ(ait_writev(-1, NULL, 0), -EBADF);
    return 0;
}

static void test_vectors(void **unused)
{
    run_limited(vectors_main);
}

/* ---- inside the kernel ----------------------------------------------------------------------- */

static int pattern_file(size_t n)
{
    int fd = memfd_create("pattern", MFD_CLOEXEC);
    unsigned char *p = malloc(n);

    for (size_t i = 0; i < n; i++)
        p[i] = pattern(i);
    CHECK_EQ(write(fd, p, n), n);
    free(p);
    return fd;
}

static int send_file(void *userdata)
{
    struct pair *p = userdata;
    off_t offset = 0;
    ssize_t k;

    while ((k = ait_sendfile(p->fds[1], p->file, &offset, 100000)) > 0)
        continue;
    CHECK_EQ(offset, p->n);
    CHECK_EQ(ait_close(p->fds[1]), 0);
    p->fds[1] = -1;
    return (int)k;
}

static int receive_pattern(struct pair *p)
{
    unsigned char buf[5000];
    size_t done = 0;
    ssize_t k;

    while ((k = ait_read(p->fds[0], buf, sizeof(buf))) > 0) {
        for (size_t i = 0; i < (size_t)k; i++)
            if (buf[i] != pattern(done + i))
                return -EBADMSG;
        done += (size_t)k;
    }
    CHECK_EQ(done, p->n);
    return (int)k;
}

static int sendfile_main(void *unused)
{
    for (int i = 0; i < 2; i++) {
        struct pair p = {.n = 1000000, .file = pattern_file(1000000)};

        CHECK_EQ(i == 0 ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p.fds)
                        : pipe2(p.fds, O_CLOEXEC),
                 0);
        CHECK_EQ(ait_task_spawn(NULL, send_file, &p, NULL), 0);
        CHECK_EQ(receive_pattern(&p), 0);
        close_pair(p.fds);
        CHECK_EQ(ait_close(p.file), 0);
    }
    return 0;
}

static void test_sendfile(void **unused)
{
    run_limited(sendfile_main);
}

/* From a socket into a pipe, */
static int splice_in(void *userdata)
{
    int *fds = userdata;
    ssize_t k;

    while ((k = ait_splice(fds[0], NULL, fds[1], NULL, 100000, 0)) > 0)
        continue;
    CHECK_EQ(ait_close(fds[1]), 0);
    return (int)k;
}

/* and from a file into the socket, by another pipe. */
static int splice_file(void *userdata)
{
    struct pair *p = userdata;
    off_t offset = 0;
    int pipe[2];
    ssize_t k;

    CHECK_EQ(pipe2(pipe, O_CLOEXEC), 0);
    while ((k = ait_splice(p->file, &offset, pipe[1], NULL, 30000, 0)) > 0)
        for (ssize_t left = k; left > 0; left -= k) {
            k = ait_splice(pipe[0], NULL, p->fds[1], NULL, (size_t)left, 0);
            if (k <= 0)
                return -EIO;
        }
    CHECK_EQ(offset, p->n);
    close_pair(pipe);
    CHECK_EQ(ait_close(p->fds[1]), 0);
    p->fds[1] = -1;
    return (int)k;
}

static int splice_main(void *unused)
{
    struct pair p = {.n = 1000000, .file = pattern_file(1000000)};
    int pipe[2], in[2];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p.fds), 0);
    CHECK_EQ(pipe2(pipe, O_CLOEXEC), 0);
    in[0] = p.fds[0];
    in[1] = pipe[1];
    CHECK_EQ(ait_task_spawn(NULL, splice_file, &p, NULL), 0);
    CHECK_EQ(ait_task_spawn(NULL, splice_in, in, NULL), 0);
    p.fds[0] = pipe[0];
    CHECK_EQ(receive_pattern(&p), 0);
    CHECK_EQ(ait_close(in[0]), 0);
    CHECK_EQ(ait_close(pipe[0]), 0);
    CHECK_EQ(ait_close(p.file), 0);
    return 0;
}

static void test_splice(void **unused)
{
    run_limited(splice_main);
}

/* Cancelled while there is no room: what went, went, and the offset tells. */
static int cancelled_main(void *unused)
{
    struct pair p = {.n = 4000000, .file = pattern_file(4000000)};
    off_t offset = 0;
    ssize_t k = 0;

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p.fds), 0);
    {
        AIT_SCOPE(limit);

        CHECK_EQ(ait_scope_enter_after(&limit, AIT_SCOPE_MOVE_ON, MS(20)), 0);
        while (k >= 0)
            k = ait_sendfile(p.fds[1], p.file, &offset, p.n);
        CHECK_EQ(k, -ECANCELED);
        CHECK_EQ(ait_splice(p.fds[0], NULL, p.fds[1], NULL, 1, 0), -ECANCELED);
        CHECK_EQ(ait_scope_exit(limit, (int)k), 0);
    }
    CHECK(offset > 0 && (size_t)offset < p.n);
    p.n = (size_t)offset;
    CHECK_EQ(shutdown(p.fds[1], SHUT_WR), 0);
    CHECK_EQ(receive_pattern(&p), 0);
    close_pair(p.fds);
    CHECK_EQ(ait_close(p.file), 0);
    return 0;
}

static void test_cancelled(void **unused)
{
    run_limited(cancelled_main);
}

static int n_signals;

static void on_pipe(int signo)
{
    n_signals++;
}

static int broken_main(void *unused)
{
    int file = pattern_file(1000), fds[2], pipe[2];
    off_t offset = 0;
    sigset_t pending;

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_EQ(pipe2(pipe, O_CLOEXEC), 0);
    CHECK_EQ(write(pipe[1], "x", 1), 1);
    CHECK_EQ(ait_close(fds[0]), 0);
    CHECK_EQ(ait_sendfile(fds[1], file, &offset, 1000), -EPIPE);
    CHECK_EQ(ait_splice(pipe[0], NULL, fds[1], NULL, 1, 0), -EPIPE);
    CHECK_EQ(offset, 0);
    CHECK_EQ(n_signals, 0);
    CHECK_EQ(sigpending(&pending), 0);
    CHECK_EQ(sigismember(&pending, SIGPIPE), 0);
    CHECK_EQ(ait_splice(-1, NULL, fds[1], NULL, 1, 0), -EBADF);
    CHECK_EQ(ait_splice(file, NULL, fds[1], NULL, 1, 0), -EINVAL);
    CHECK_EQ(ait_sendfile(-1, file, NULL, 1), -EBADF);
    CHECK_EQ(ait_close(fds[1]), 0);
    close_pair(pipe);
    return ait_close(file);
}

/* Whether the signal is let through or blocked. */
static void test_broken(void **unused)
{
    struct sigaction action = {.sa_handler = on_pipe}, before;
    sigset_t set, mask, pending;

    assert_int_equal(sigaction(SIGPIPE, &action, &before), 0);
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    run_limited(broken_main);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, &mask), 0);
    run_limited(broken_main);
    assert_int_equal(sigpending(&pending), 0);
    assert_int_equal(sigismember(&pending, SIGPIPE), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &mask, NULL), 0);
    assert_int_equal(sigaction(SIGPIPE, &before, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_datagrams), cmocka_unit_test(test_full_queue),
        cmocka_unit_test(test_vectors),   cmocka_unit_test(test_sendfile),
        cmocka_unit_test(test_splice),    cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_broken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
