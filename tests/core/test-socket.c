/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sockets: accept, connect, messages, file descriptors in messages, and where a short read does not
 * mean "drained". */

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

#define DEADLINE (20 * AIT_USEC_PER_SEC)

struct net {
    int listener;
    struct sockaddr_storage address;
    socklen_t len;
    unsigned n;
};

static ait_task_fn inner_fn;

/* Nothing here may take longer. */
static int limited(void *userdata)
{
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter_after(&scope, AIT_SCOPE_FAIL_FAST, DEADLINE), 0);
    return ait_scope_exit(scope, inner_fn(userdata));
}

static void run_limited(ait_task_fn fn, void *userdata)
{
    inner_fn = fn;
    assert_int_equal(run_real(limited, userdata), 0);
}

static void listen_on(struct net *net, int family, int backlog)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&net->address;

    memset(net, 0, sizeof(*net));
    net->address.ss_family = (sa_family_t)family;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* Unix: the kernel chooses an abstract name. */
    net->len = family == AF_INET ? sizeof(*in) : sizeof(sa_family_t);
    net->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(net->listener >= 0);
    assert_int_equal(bind(net->listener, (struct sockaddr *)&net->address, net->len), 0);
    assert_int_equal(listen(net->listener, backlog), 0);
    net->len = sizeof(net->address);
    assert_int_equal(getsockname(net->listener, (struct sockaddr *)&net->address, &net->len), 0);
}

static int dial(const struct net *net)
{
    int fd = socket(net->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

    if (fd < 0)
        return -errno;
    r = ait_connect(fd, (const struct sockaddr *)&net->address, net->len);
    if (r >= 0)
        return fd;
    (void)ait_close(fd);
    return r;
}

static int count_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* ---- accept and connect ---------------------------------------------------------------------- */

#define CLIENTS 100

static int echo(void *userdata)
{
    int fd = (int)(intptr_t)userdata;
    char buf[64];
    ssize_t k;

    while ((k = ait_read(fd, buf, sizeof(buf))) > 0) {
        k = ait_write_all(fd, buf, (size_t)k, NULL);
        if (k < 0)
            break;
    }
    CHECK_EQ(ait_close(fd), 0);
    return (int)k;
}

static int serve(void *userdata)
{
    struct net *net = userdata;

    for (unsigned i = 0; i < CLIENTS; i++) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof(peer);
        int fd = ait_accept(net->listener, (struct sockaddr *)&peer, &len);

        if (fd < 0)
            return fd;
        CHECK_EQ(peer.ss_family, net->address.ss_family);
        CHECK_EQ(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
        CHECK_EQ(ait_task_spawn(NULL, echo, (void *)(intptr_t)fd, NULL), 0);
    }
    return 0;
}

static int client(void *userdata)
{
    struct net *net = userdata;
    char buf[64];
    int fd = dial(net);

    if (!CHECK(fd >= 0))
        return fd;
    for (unsigned i = 0; i < 10; i++) {
        size_t got = 0;

        CHECK_EQ(ait_write_all(fd, "0123456789", 10, NULL), 0);
        while (got < 10) {
            ssize_t k = ait_read(fd, buf, sizeof(buf));

            if (!CHECK(k > 0))
                return -EIO;
            got += (size_t)k;
        }
    }
    net->n++;
    return ait_close(fd);
}

static int many_clients(void *userdata)
{
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, serve, userdata, NULL), 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        CHECK_EQ(ait_scope_spawn(scope, NULL, client, userdata, NULL), 0);
    return ait_scope_exit(scope, 0);
}

static void test_accept(void **unused)
{
    static const int families[] = {AF_INET, AF_UNIX};
    int before = count_fds();

    for (unsigned i = 0; i < ELEMENTS(families); i++) {
        struct net net;

        /* With a backlog of 1 unix clients find it full, and there is nothing to poll for. */
        listen_on(&net, families[i], i == 1 ? 1 : 128);
        run_limited(many_clients, &net);
        assert_int_equal(net.n, CLIENTS);
        (void)close(net.listener);
    }
    assert_int_equal(count_fds(), before);
}

static int refused(void *userdata)
{
    struct sockaddr_un nowhere = {.sun_family = AF_UNIX, .sun_path = "/nonexistent/socket"};
    struct net *net = userdata;
    int fd;

    CHECK_EQ(dial(net), -ECONNREFUSED);
    CHECK_EQ(dial(net), -ECONNREFUSED);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(ait_connect(fd, (struct sockaddr *)&nowhere, sizeof(nowhere)), -ENOENT);
    CHECK_EQ(ait_close(fd), 0);
    CHECK_EQ(ait_connect(-1, (struct sockaddr *)&nowhere, sizeof(nowhere)), -EBADF);
    CHECK_EQ(ait_accept(-1, NULL, NULL), -EBADF);
    return 0;
}

static int refused_then_served(void *userdata)
{
    struct net *net = userdata;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), peer, r;
    char buf[8];

    /* The same socket, once more, after its first try has failed. */
    CHECK_EQ(ait_connect(fd, (struct sockaddr *)&net->address, net->len), -ECONNREFUSED);
    CHECK_EQ(listen(net->listener, 1), 0);
    r = ait_connect(fd, (struct sockaddr *)&net->address, net->len);
    /* Linux tells once more that the first one has failed. */
    if (r == -ECONNABORTED)
        r = ait_connect(fd, (struct sockaddr *)&net->address, net->len);
    CHECK_EQ(r, 0);
    peer = ait_accept(net->listener, NULL, NULL);
    CHECK(peer >= 0);
    CHECK_EQ(ait_write(peer, "abc", 3), 3);
    CHECK_EQ(ait_read(fd, buf, sizeof(buf)), 3);
    CHECK_EQ(ait_write(peer, "de", 2), 2);
    CHECK_EQ(ait_read(fd, buf, sizeof(buf)), 2);
    CHECK_EQ(ait_close(peer), 0);
    CHECK_EQ(ait_read(fd, buf, sizeof(buf)), 0);
    return ait_close(fd);
}

static void test_refused(void **unused)
{
    static const int families[] = {AF_INET, AF_UNIX};
    struct net net;

    for (unsigned i = 0; i < ELEMENTS(families); i++) {
        listen_on(&net, families[i], 1);
        (void)close(net.listener);
        run_limited(refused, &net);
    }
    listen_on(&net, AF_INET, 1);
    (void)close(net.listener);
    net.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(net.listener >= 0);
    /* Bound, not listening: the port stays ours, and refuses. */
    assert_int_equal(bind(net.listener, (struct sockaddr *)&net.address, net.len), 0);
    run_limited(refused_then_served, &net);
    (void)close(net.listener);
}

static int cancelled_accept(void *userdata)
{
    struct net *net = userdata;
    AIT_SCOPE(scope);
    int fd, peer;

    CHECK_EQ(ait_scope_enter_after(&scope, 0, MS(2)), 0);
    CHECK_EQ(ait_scope_exit(scope, ait_accept(net->listener, NULL, NULL)), -ETIME);
    fd = dial(net);
    peer = ait_accept(net->listener, NULL, NULL);
    CHECK(fd >= 0 && peer >= 0);
    CHECK_EQ(ait_close(peer), 0);
    return ait_close(fd);
}

static void test_accept_timeout(void **unused)
{
    struct net net;

    listen_on(&net, AF_INET, 8);
    run_limited(cancelled_accept, &net);
    (void)close(net.listener);
}

static int accept_reused(void *userdata)
{
    struct net *net = userdata;
    char buf[8];

    for (unsigned i = 0; i < 8; i++) {
        int fd = dial(net), peer = ait_accept(net->listener, NULL, NULL);

        CHECK(fd >= 0 && peer >= 0);
        CHECK_EQ(ait_write(fd, "x", 1), 1);
        CHECK_EQ(ait_read(peer, buf, sizeof(buf)), 1);
        CHECK_EQ(ait_write(fd, "yz", 2), 2);
        CHECK_EQ(ait_read(peer, buf, sizeof(buf)), 2);
        /* By a library that knows nothing of us; the next accept() gets the number again. */
        CHECK_EQ(close(peer), 0);
        CHECK_EQ(ait_close(fd), 0);
    }
    return 0;
}

/* What accept() returns is new, whatever the table says of that number. */
static void test_accept_after_plain_close(void **unused)
{
    struct net net;

    listen_on(&net, AF_INET, 8);
    run_limited(accept_reused, &net);
    (void)close(net.listener);
}

/* ---- where a read stops early ---------------------------------------------------------------- */

static int urgent(void *userdata)
{
    struct net *net = userdata;
    int fd = dial(net), peer = ait_accept(net->listener, NULL, NULL);
    char buf[64];
    size_t got = 0;

    CHECK(fd >= 0 && peer >= 0);
    for (unsigned round = 0; round < 3; round++) {
        CHECK_EQ(ait_send(fd, "ab", 2, 0), 2);
        CHECK_EQ(ait_send(fd, "!", 1, MSG_OOB), 1);
        CHECK_EQ(ait_send(fd, "cde", 3, 0), 3);
        /* All of it is here before the first look; reading stops at the mark. */
        for (got = 0; got < 5;) {
            ssize_t k;

            CHECK((ait_poll(peer, POLLIN) & POLLIN) != 0);
            k = ait_read(peer, buf, sizeof(buf));
            if (!CHECK(k > 0))
                return -EIO;
            got += (size_t)k;
        }
        CHECK_EQ(got, 5);
    }
    CHECK_EQ(ait_close(fd), 0);
    return ait_close(peer);
}

static int urgent_unpolled(void *userdata)
{
    struct net *net = userdata;
    int fd = dial(net), peer = ait_accept(net->listener, NULL, NULL);
    char buf[64];

    CHECK(fd >= 0 && peer >= 0);
    /* Registered and drained. */
    CHECK_EQ(ait_send(fd, "x", 1, 0), 1);
    CHECK_EQ(ait_read(peer, buf, sizeof(buf)), 1);
    CHECK_EQ(ait_send(fd, "y", 1, 0), 1);
    CHECK_EQ(ait_read(peer, buf, sizeof(buf)), 1);
    CHECK_EQ(ait_send(fd, "ab", 2, 0), 2);
    CHECK_EQ(ait_send(fd, "!", 1, MSG_OOB), 1);
    CHECK_EQ(ait_send(fd, "cde", 3, 0), 3);
    CHECK_EQ(ait_read(peer, buf, sizeof(buf)), 2);
    CHECK_EQ(ait_read(peer, buf, sizeof(buf)), 3);
    CHECK_EQ(ait_close(fd), 0);
    return ait_close(peer);
}

/* A read stops at TCP's urgent mark, with more behind it. */
static void test_urgent(void **unused)
{
    struct net net;

    listen_on(&net, AF_INET, 8);
    run_limited(urgent, &net);
    run_limited(urgent_unpolled, &net);
    (void)close(net.listener);
}

static int boundary(void *userdata)
{
    int fds[2];
    char buf[64];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    /* Registered and drained. */
    CHECK_EQ(ait_write(fds[1], "x", 1), 1);
    CHECK_EQ(ait_read(fds[0], buf, sizeof(buf)), 1);
    for (unsigned round = 0; round < 3; round++) {
        size_t got = 0;

        CHECK_EQ(ait_send_fds(fds[1], "abc", 3, fds, 1), 3);
        CHECK_EQ(ait_write(fds[1], "defg", 4), 4);
        for (unsigned i = 0; i < 4; i++)
            CHECK_EQ(ait_yield(), 0);
        while (got < 7) {
            ssize_t k = ait_read(fds[0], buf, sizeof(buf));

            if (!CHECK(k > 0))
                return -EIO;
            got += (size_t)k;
        }
        CHECK_EQ(got, 7);
    }
    CHECK_EQ(ait_close(fds[0]), 0);
    return ait_close(fds[1]);
}

/* A read of a unix socket stops behind a message that carries descriptors. */
static void test_unix_boundary(void **unused)
{
    run_limited(boundary, NULL);
}

static int peek(void *userdata)
{
    int fds[2];
    char buf[64];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(ait_send(fds[1], "abc", 3, 0), 3);
        CHECK_EQ(ait_recv(fds[0], buf, sizeof(buf), MSG_PEEK), 3);
        CHECK_EQ(ait_recv(fds[0], buf, sizeof(buf), MSG_PEEK), 3);
        CHECK_EQ(ait_recv(fds[0], buf, sizeof(buf), 0), 3);
    }
    CHECK_EQ(ait_close(fds[0]), 0);
    return ait_close(fds[1]);
}

static void test_peek(void **unused)
{
    run_limited(peek, NULL);
}

static int datagrams(void *userdata)
{
    char buf[64], small[2];
    int fds[2];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_EQ(ait_write(fds[1], "x", 1), 1);
    CHECK_EQ(ait_read(fds[0], buf, sizeof(buf)), 1);
    /* Several short ones in a row, an empty one, a truncated one. */
    CHECK_EQ(ait_write(fds[1], "ab", 2), 2);
    CHECK_EQ(ait_send(fds[1], "", 0, 0), 0);
    CHECK_EQ(ait_write(fds[1], "cde", 3), 3);
    CHECK_EQ(ait_write(fds[1], "fghi", 4), 4);
    CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(ait_read(fds[0], buf, sizeof(buf)), 2);
    CHECK_EQ(ait_read(fds[0], buf, sizeof(buf)), 0);
    CHECK_EQ(ait_recv(fds[0], small, sizeof(small), MSG_TRUNC), 3);
    CHECK_EQ(ait_read(fds[0], buf, sizeof(buf)), 4);
    CHECK_EQ(ait_close(fds[0]), 0);
    return ait_close(fds[1]);
}

static void test_datagrams(void **unused)
{
    run_limited(datagrams, NULL);
}

/* ---- messages -------------------------------------------------------------------------------- */

static int later(void *userdata)
{
    const struct net *net = userdata;

    return ait_write(net->listener, "hello", 5) == 5 ? 0 : -EIO;
}

static int messages(void *userdata)
{
    struct net net = {};
    char a[2], b[8], control[128];
    struct iovec iov[] = {{a, sizeof(a)}, {b, sizeof(b)}};
    struct msghdr msg = {
        .msg_iov = iov, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof(control)};
    int fds[2];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    net.listener = fds[1];
    /* The first try finds nothing, and must not have spoilt the lengths for the next. */
    CHECK_EQ(ait_task_spawn(NULL, later, &net, NULL), 0);
    CHECK_EQ(ait_recvmsg(fds[0], &msg, 0), 5);
    CHECK(memcmp(a, "he", 2) == 0 && memcmp(b, "llo", 3) == 0);
    CHECK_EQ(ait_sendmsg(fds[0], &(struct msghdr){.msg_iov = iov, .msg_iovlen = 1}, 0), 2);
    CHECK_EQ(ait_recv(fds[1], b, sizeof(b), 0), 2);
    CHECK_EQ(ait_recvmsg(fds[0], NULL, 0), -EINVAL);
    CHECK_EQ(ait_sendmsg(fds[0], NULL, 0), -EINVAL);
    CHECK_EQ(ait_close(fds[0]), 0);
    return ait_close(fds[1]);
}

static void test_messages(void **unused)
{
    run_limited(messages, NULL);
}

static int send_later(void *userdata)
{
    int *fds = userdata;

    return ait_send_fds(fds[1], "fd", 2, (int[]){fds[2], fds[2], STDERR_FILENO}, 3) == 2 ? 0 : -EIO;
}

static bool same_file(int a, int b)
{
    struct stat sa, sb;

    return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_ino == sb.st_ino &&
           sa.st_dev == sb.st_dev;
}

static int pass_fds(void *userdata)
{
    int fds[3], got[4] = {-1, -1, -1, -1}, before;
    size_t n = 99;
    char buf[8];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    fds[2] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    before = count_fds();
    CHECK_EQ(ait_task_spawn(NULL, send_later, fds, NULL), 0);
    CHECK_EQ(ait_recv_fds(fds[0], buf, sizeof(buf), got, 4, &n), 2);
    CHECK_EQ(n, 3);
    CHECK(same_file(got[0], fds[2]) && same_file(got[1], fds[2]) &&
          same_file(got[2], STDERR_FILENO));
    for (unsigned i = 0; i < n && i < 4; i++) {
        CHECK_EQ(fcntl(got[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        CHECK_EQ(ait_close(got[i]), 0);
    }
    /* More than there is room for: none is kept, none leaks, the outputs stay. */
    n = 99;
    CHECK_EQ(send_later(fds), 0);
    CHECK_EQ(ait_recv_fds(fds[0], buf, sizeof(buf), got, 2, &n), -EMSGSIZE);
    CHECK_EQ(n, 99);
    CHECK_EQ(send_later(fds), 0);
    CHECK_EQ(ait_recv_fds(fds[0], buf, sizeof(buf), NULL, 0, NULL), -EMSGSIZE);
    /* None at all is no error. */
    CHECK_EQ(ait_send_fds(fds[1], "x", 1, NULL, 0), 1);
    CHECK_EQ(ait_recv_fds(fds[0], buf, sizeof(buf), got, 4, &n), 1);
    CHECK_EQ(n, 0);
    CHECK_EQ(ait_send_fds(fds[1], "", 0, fds, 1), -EINVAL);
    CHECK_EQ(ait_send_fds(fds[1], "x", 1, fds, 1000), -EINVAL);
    CHECK_EQ(ait_send_fds(fds[1], "x", 1, NULL, 1), -EINVAL);
    CHECK_EQ(ait_send_fds(fds[1], "x", 1, (int[]){-1}, 1), -EBADF);
    CHECK_EQ(ait_recv_fds(fds[0], buf, sizeof(buf), NULL, 1, &n), -EINVAL);
    CHECK_EQ(count_fds(), before);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(ait_close(fds[i]), 0);
    return 0;
}

static void test_fds(void **unused)
{
    int before = count_fds();

    run_limited(pass_fds, NULL);
    assert_int_equal(count_fds(), before);
}

static int pipe_signal(void *userdata)
{
    int fds[2];
    ssize_t k = 0;

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_EQ(ait_close(fds[0]), 0);
    /* With SIGPIPE at its default, this process would end here. */
    k = ait_write(fds[1], "x", 1);
    CHECK_EQ(k, -EPIPE);
    CHECK_EQ(ait_send(fds[1], "x", 1, 0), -EPIPE);
    return ait_close(fds[1]);
}

static void test_no_sigpipe(void **unused)
{
    (void)signal(SIGPIPE, SIG_DFL);
    run_limited(pipe_signal, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_accept_timeout), cmocka_unit_test(test_accept_after_plain_close),
        cmocka_unit_test(test_urgent),         cmocka_unit_test(test_unix_boundary),
        cmocka_unit_test(test_peek),           cmocka_unit_test(test_datagrams),
        cmocka_unit_test(test_messages),       cmocka_unit_test(test_fds),
        cmocka_unit_test(test_no_sigpipe),
    };

    (void)alarm(200);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
