/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reading, writing, polling and closing: what the edge-triggered table must get right. Everything
 * runs on real fds; nothing sleeps, and a hang ends the test by its deadline.
 */

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

#define DEADLINE (20 * AIT_USEC_PER_SEC)

/* ---- pairs of fds, of each kind -------------------------------------------------------------- */

static int tcp_pair(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (listener < 0 || bind(listener, (struct sockaddr *)&address, len) < 0 ||
        listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&address, &len) < 0)
        return -1;
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fds[1] < 0 || connect(fds[1], (struct sockaddr *)&address, len) < 0)
        return -1;
    fds[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    (void)close(listener);
    return fds[0] < 0 ? -1 : 0;
}

static int unix_pair(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
}

static int nonblocking_pair(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds);
}

static int packet_pair(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds);
}

static int pipe_pair(int fds[2])
{
    return pipe2(fds, O_CLOEXEC);
}

static int packet_pipe_pair(int fds[2])
{
    return pipe2(fds, O_CLOEXEC | O_DIRECT);
}

/* fds[0] is read, fds[1] written. */
struct kind {
    const char *name;
    int (*open)(int fds[2]);
    bool socket, stream;
};

static const struct kind kinds[] = {
    {"pipe", pipe_pair, false, true}, {"packet pipe", packet_pipe_pair, false, false},
    {"unix", unix_pair, true, true},  {"unix, non-blocking", nonblocking_pair, true, true},
    {"tcp", tcp_pair, true, true},    {"seqpacket", packet_pair, true, false},
};

struct pair {
    const struct kind *kind;
    int fds[2];
    size_t n; /* bytes, or whatever the test counts */
    unsigned seed;
};

static int (*kind_body)(struct pair *p);

/* One test body as the only task, for one kind of fd, within the deadline. */
static int kind_main(void *userdata)
{
    struct pair p = {.kind = userdata, .seed = 1};
    AIT_SCOPE(scope);
    int r;

    CHECK_EQ(p.kind->open(p.fds), 0);
    CHECK_EQ(ait_scope_enter_after(&scope, AIT_SCOPE_FAIL_FAST, DEADLINE), 0);
    r = ait_scope_exit(scope, kind_body(&p));
    if (r < 0)
        (void)fprintf(stderr, "%s: %s\n", p.kind->name, strerror(-r));
    for (int i = 0; i < 2; i++)
        if (p.fds[i] >= 0)
            CHECK_EQ(ait_close(p.fds[i]), 0);
    return r;
}

static void each_kind(int (*body)(struct pair *p), bool streams_only)
{
    kind_body = body;
    for (unsigned i = 0; i < ELEMENTS(kinds); i++)
        if (!streams_only || kinds[i].stream)
            assert_int_equal(run_real(kind_main, (void *)(kinds + i)), 0);
}

static int open_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* ---- streams --------------------------------------------------------------------------------- */

#define TOTAL ((size_t)1 << 20)

static unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 31 + (i >> 8));
}

static int write_stream(void *userdata)
{
    struct pair *p = userdata;
    unsigned char buf[5000];
    size_t done = 0;
    int r = 0;

    while (done < TOTAL && r >= 0) {
        size_t n = 1 + (size_t)rand_r(&p->seed) % sizeof(buf), sent = 0;

        if (n > TOTAL - done)
            n = TOTAL - done;
        for (size_t i = 0; i < n; i++)
            buf[i] = pattern(done + i);
        r = ait_write_all(p->fds[1], buf, n, &sent);
        CHECK_EQ(sent, n);
        done += n;
        if (r >= 0 && rand_r(&p->seed) % 4 == 0)
            r = ait_yield();
    }
    CHECK_EQ(ait_close(p->fds[1]), 0);
    p->fds[1] = -1;
    return r;
}

static int stream_body(struct pair *p)
{
    unsigned char buf[8000];
    unsigned seed = 7;
    ssize_t k;
    int r;

    r = ait_task_spawn(NULL, write_stream, p, NULL);
    if (r < 0)
        return r;
    for (;;) {
        k = ait_read(p->fds[0], buf,
                     p->kind->stream ? 1 + (size_t)rand_r(&seed) % sizeof(buf) : sizeof(buf));
        if (k <= 0)
            break;
        for (ssize_t i = 0; i < k; i++)
            if (buf[i] != pattern(p->n + (size_t)i))
                return -EBADMSG;
        p->n += (size_t)k;
    }
    CHECK_EQ(k, 0);
    CHECK_EQ(p->n, TOTAL);
    /* End of file stays. */
    CHECK_EQ(ait_read(p->fds[0], buf, sizeof(buf)), 0);
    CHECK_EQ(ait_read(p->fds[0], buf, 1), 0);
    return (int)k;
}

/* A megabyte in random pieces on both sides, each of which waits for the other again and again. */
static void test_stream(void **unused)
{
    each_kind(stream_body, false);
}

static int echo_back(void *userdata)
{
    struct pair *p = userdata;
    char buf[16];
    ssize_t k;

    while ((k = ait_read(p->fds[0], buf, sizeof(buf))) > 0) {
        k = ait_write(p->fds[0], buf, (size_t)k);
        if (k < 0)
            break;
    }
    return (int)k;
}

static int ping_pong_body(struct pair *p)
{
    char buf[16];
    int r;

    if (!p->kind->socket)
        return 0;
    r = ait_task_spawn(NULL, echo_back, p, NULL);
    for (unsigned i = 0; i < 1000 && r >= 0; i++) {
        ssize_t k = ait_write(p->fds[1], "ping", 4);

        CHECK_EQ(k, 4);
        k = ait_read(p->fds[1], buf, sizeof(buf));
        CHECK_EQ(k, 4);
        r = k == 4 && memcmp(buf, "ping", 4) == 0 ? 0 : -EBADMSG;
    }
    CHECK_EQ(ait_close(p->fds[1]), 0);
    p->fds[1] = -1;
    return r;
}

static void test_ping_pong(void **unused)
{
    each_kind(ping_pong_body, false);
}

/* ---- the end of it --------------------------------------------------------------------------- */

static int close_other(void *userdata)
{
    struct pair *p = userdata;
    int fd = p->fds[1];

    p->fds[1] = -1;
    return ait_close(fd);
}

static int eof_body(struct pair *p)
{
    char buf[100];

    /* Data and the end in one go, with a short read in between that must not be taken for
     * "drained". */
    CHECK_EQ(ait_write(p->fds[1], "hello", 5), 5);
    CHECK_EQ(close_other(p), 0);
    CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(ait_read(p->fds[0], buf, sizeof(buf)), 5);
    return (int)ait_read(p->fds[0], buf, sizeof(buf));
}

static int eof_drained_body(struct pair *p)
{
    char buf[100];

    /* Drained first, then the end while the reader waits. */
    CHECK_EQ(ait_write(p->fds[1], "hello", 5), 5);
    CHECK_EQ(ait_read(p->fds[0], buf, sizeof(buf)), 5);
    CHECK_EQ(ait_task_spawn(NULL, close_other, p, NULL), 0);
    return (int)ait_read(p->fds[0], buf, sizeof(buf));
}

static int eof_later_body(struct pair *p)
{
    char buf[100];

    /* The reader has waited once, so the fd is registered; data and end come before it looks again.
     */
    CHECK_EQ(ait_task_spawn(NULL, close_other, p, NULL), 0);
    CHECK_EQ(ait_write(p->fds[1], "a", 1), 1);
    CHECK_EQ(ait_read(p->fds[0], buf, sizeof(buf)), 1);
    CHECK_EQ(ait_write(p->fds[1], "bc", 2), 2);
    CHECK_EQ(check_settle(), 0);
    CHECK_EQ(p->fds[1], -1);
    CHECK_EQ(ait_read(p->fds[0], buf, sizeof(buf)), 2);
    return (int)ait_read(p->fds[0], buf, sizeof(buf));
}

static void test_eof(void **unused)
{
    each_kind(eof_body, false);
    each_kind(eof_drained_body, false);
    each_kind(eof_later_body, false);
}

static int shutdown_body(struct pair *p)
{
    char buf[100];

    if (!p->kind->socket)
        return 0;
    /* Half closed: the other direction goes on. */
    CHECK_EQ(ait_write(p->fds[1], "request", 7), 7);
    CHECK_EQ(shutdown(p->fds[1], SHUT_WR), 0);
    CHECK_EQ(ait_read(p->fds[0], buf, sizeof(buf)), 7);
    CHECK_EQ(ait_read(p->fds[0], buf, sizeof(buf)), 0);
    CHECK_EQ(ait_write(p->fds[0], "response", 8), 8);
    CHECK_EQ(ait_read(p->fds[1], buf, sizeof(buf)), 8);
    return 0;
}

static void test_half_close(void **unused)
{
    each_kind(shutdown_body, false);
}

static int fill(int fd)
{
    static const char zeros[4096];
    ssize_t k = 0;

    /* By hand, so that the table does not know it yet. */
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    while (k >= 0)
        k = write(fd, zeros, sizeof(zeros));
    return errno == EAGAIN ? 0 : -errno;
}

static int close_reader(void *userdata)
{
    struct pair *p = userdata;
    int fd = p->fds[0];

    p->fds[0] = -1;
    return ait_close(fd);
}

static int broken_pipe_body(struct pair *p)
{
    static char big[1 << 16];
    ssize_t k = 0;

    CHECK_EQ(fill(p->fds[1]), 0);
    CHECK_EQ(ait_task_spawn(NULL, close_reader, p, NULL), 0);
    while (k >= 0)
        k = ait_write(p->fds[1], big, sizeof(big));
    CHECK(k == -EPIPE || k == -ECONNRESET);
    return 0;
}

/* A writer that waits for room learns that its reader has gone. */
static void test_broken_pipe(void **unused)
{
    each_kind(broken_pipe_body, false);
}

static int drain_all(void *userdata)
{
    struct pair *p = userdata;
    char buf[4096];
    ssize_t k;

    while ((k = ait_read(p->fds[0], buf, sizeof(buf))) > 0)
        p->n += (size_t)k;
    return (int)k;
}

static int full_body(struct pair *p)
{
    char buf[64] = {0};

    CHECK_EQ(fill(p->fds[1]), 0);
    CHECK_EQ(ait_task_spawn(NULL, drain_all, p, NULL), 0);
    CHECK_EQ(ait_write(p->fds[1], buf, sizeof(buf)), sizeof(buf));
    CHECK(p->n > 0);
    return close_other(p);
}

static void test_full(void **unused)
{
    each_kind(full_body, false);
}

/* ---- many waiters, closing ------------------------------------------------------------------- */

#define WAITERS 50

static int write_a_byte(void *userdata)
{
    struct pair *p = userdata;

    return ait_write(p->fds[1], "x", 1) == 1 ? 0 : -EIO;
}

static int read_one(void *userdata)
{
    struct pair *p = userdata;
    char c;

    if (!CHECK_EQ(ait_read(p->fds[0], &c, 1), 1))
        return -EIO;
    p->n++;
    return 0;
}

static int many_body(struct pair *p)
{
    char buf[WAITERS] = {0};
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST), 0);
    for (unsigned i = 0; i < WAITERS; i++)
        CHECK_EQ(ait_scope_spawn(scope, NULL, read_one, p, NULL), 0);
    CHECK_EQ(ait_yield(), 0);
    /* One byte for one of them, then the rest for all the others at once. */
    CHECK_EQ(ait_write(p->fds[1], buf, 1), 1);
    while (p->n == 0)
        CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(p->n, 1);
    if (p->kind->stream)
        CHECK_EQ(ait_write(p->fds[1], buf, WAITERS - 1), WAITERS - 1);
    else
        for (unsigned i = 1; i < WAITERS; i++)
            CHECK_EQ(ait_write(p->fds[1], buf, 1), 1);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(p->n, WAITERS);
    return 0;
}

static void test_many_waiters(void **unused)
{
    each_kind(many_body, false);
}

static int read_closed(void *userdata)
{
    struct pair *p = userdata;
    char c;

    CHECK_EQ(ait_read(p->fds[0], &c, 1), -EBADF);
    p->n++;
    return 0;
}

static int write_closed(void *userdata)
{
    struct pair *p = userdata;

    CHECK_EQ(ait_write(p->fds[1], p, sizeof(*p)), -EBADF);
    p->n++;
    return 0;
}

static int poll_closed(void *userdata)
{
    struct pair *p = userdata;

    CHECK_EQ(ait_poll(p->fds[0], POLLIN), -EBADF);
    p->n++;
    return 0;
}

static int close_body(struct pair *p)
{
    int before = open_fds();
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, read_closed, p, NULL), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, read_closed, p, NULL), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, poll_closed, p, NULL), 0);
    CHECK_EQ(check_settle(), 0);
    CHECK_EQ(ait_close(p->fds[0]), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(p->n, 3);
    CHECK_EQ(open_fds(), before - 1);
    CHECK_EQ(ait_close(p->fds[0]), -EBADF);
    CHECK_EQ(ait_read(p->fds[0], &before, 1), -EBADF);
    p->fds[0] = -1;
    CHECK_EQ(ait_close(-1), -EBADF);
    CHECK_EQ(ait_read(-1, &before, 1), -EBADF);
    CHECK_EQ(ait_poll(-1, POLLIN), -EBADF);
    return 0;
}

static int close_writer_body(struct pair *p)
{
    AIT_SCOPE(scope);

    CHECK_EQ(fill(p->fds[1]), 0);
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, write_closed, p, NULL), 0);
    CHECK_EQ(check_settle(), 0);
    CHECK_EQ(ait_close(p->fds[1]), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(p->n, 1);
    p->fds[1] = -1;
    return 0;
}

static void test_close(void **unused)
{
    each_kind(close_body, false);
    each_kind(close_writer_body, false);
}

static int successor_body(struct pair *p)
{
    char buf[8];
    int old = p->fds[0], fds[2];

    /* Waited once, so that the old one is registered and known to be drained. */
    CHECK_EQ(ait_write(p->fds[1], "x", 1), 1);
    CHECK_EQ(ait_read(old, buf, sizeof(buf)), 1);
    CHECK_EQ(ait_close(old), 0);
    for (unsigned i = 0; i < ELEMENTS(kinds); i++) {
        CHECK_EQ(kinds[i].open(fds), 0);
        if (fds[1] == old) {
            fds[1] = fcntl(old, F_DUPFD_CLOEXEC, 0);
            CHECK_EQ(close(old), 0);
        }
        if (fds[0] != old) {
            CHECK_EQ(dup3(fds[0], old, O_CLOEXEC), old);
            CHECK_EQ(close(fds[0]), 0);
            fds[0] = old;
        }
        CHECK_EQ(ait_write(fds[1], "12", 2), 2);
        CHECK_EQ(ait_read(fds[0], buf, sizeof(buf)), 2);
        CHECK_EQ(ait_write(fds[1], "345", 3), 3);
        CHECK_EQ(ait_read(fds[0], buf, sizeof(buf)), 3);
        CHECK_EQ(ait_close(fds[1]), 0);
        CHECK_EQ(ait_read(fds[0], buf, sizeof(buf)), 0);
        CHECK_EQ(ait_close(fds[0]), 0);
    }
    p->fds[0] = -1;
    return 0;
}

/* A number that comes back as another kind of file is not taken for its predecessor. */
static void test_number_reused(void **unused)
{
    each_kind(successor_body, false);
}

static int pieces_body(struct pair *p)
{
    char buf[64];

    /* Registered, drained, and then all the edges there will be have been seen. */
    CHECK_EQ(ait_task_spawn(NULL, write_a_byte, p, NULL), 0);
    CHECK_EQ(ait_read(p->fds[0], buf, sizeof(buf)), 1);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(ait_write(p->fds[1], "abcd", 2 + i), 2 + i);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    if (p->kind->stream) {
        CHECK_EQ(ait_read(p->fds[0], buf, sizeof(buf)), 9);
        return 0;
    }
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(ait_read(p->fds[0], buf, sizeof(buf)), 2 + i);
    return 0;
}

/* Where reads stop at each packet, a short one does not mean that there is no more. */
static void test_pieces(void **unused)
{
    each_kind(pieces_body, false);
}

static int closed_under_body(struct pair *p)
{
    int other[2], old = p->fds[0];
    AIT_SCOPE(scope);
    char c = 0;

    CHECK_EQ(pipe_pair(other), 0);
    CHECK_EQ(write(other[1], "s", 1), 1);
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, read_closed, p, NULL), 0);
    CHECK_EQ(check_settle(), 0);
    CHECK_EQ(ait_close(old), 0);
    /* Under the same number there is another file, with data, before the reader has run. */
    CHECK_EQ(dup3(other[0], old, O_CLOEXEC), old);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(p->n, 1);
    CHECK_EQ(ait_read(old, &c, 1), 1);
    CHECK_EQ(c, 's');
    CHECK_EQ(ait_close(other[0]), 0);
    return ait_close(other[1]);
}

/* The reader of a closed file does not read its successor. */
static void test_closed_under_reader(void **unused)
{
    each_kind(closed_under_body, false);
}

/* ---- time, cancelling ------------------------------------------------------------------------ */

static int timeout_body(struct pair *p)
{
    AIT_SCOPE(scope);
    char buf[8];
    int r;

    CHECK_EQ(ait_scope_enter_after(&scope, 0, MS(2)), 0);
    r = ait_scope_exit(scope, (int)ait_read(p->fds[0], buf, sizeof(buf)));
    CHECK_EQ(r, -ETIME);
    /* Nothing is lost, and no waiter was left behind. */
    CHECK_EQ(ait_write(p->fds[1], "abc", 3), 3);
    CHECK_EQ(ait_read(p->fds[0], buf, sizeof(buf)), 3);
    return memcmp(buf, "abc", 3) == 0 ? 0 : -EBADMSG;
}

static void test_timeout(void **unused)
{
    each_kind(timeout_body, false);
}

static int read_some(void *userdata)
{
    struct pair *p = userdata;
    char buf[8];

    return (int)ait_read(p->fds[0], buf, sizeof(buf));
}

static int race_body(struct pair *p)
{
    char buf[8];

    for (unsigned i = 0; i < 20; i++) {
        AIT_CLEANUP(ait_task_unrefp) ait_task *t = NULL;
        AIT_SCOPE(scope);
        int result = 99;

        CHECK_EQ(ait_scope_enter(&scope, 0), 0);
        CHECK_EQ(ait_scope_spawn(scope, &t, read_some, p, NULL), 0);
        CHECK_EQ(ait_yield(), 0);
        CHECK_EQ(ait_write(p->fds[1], "abc", 3), 3);
        for (unsigned k = 0; k < i % 4; k++)
            CHECK_EQ(ait_yield(), 0);
        (void)ait_cancel_and_wait(t, &result);
        CHECK_EQ(ait_scope_exit(scope, 0), 0);
        /* Either it has the data, or they are still there. */
        CHECK(result == 3 || result == -ECANCELED);
        if (result != 3)
            CHECK_EQ(ait_read(p->fds[0], buf, sizeof(buf)), 3);
    }
    return 0;
}

static void test_cancel_race(void **unused)
{
    each_kind(race_body, false);
}

/* ---- poll ------------------------------------------------------------------------------------ */

static int poll_body(struct pair *p)
{
    char c;

    CHECK_EQ(ait_poll(p->fds[0], 0), -EINVAL);
    CHECK_EQ(ait_poll(p->fds[1], POLLOUT), POLLOUT);
    CHECK_EQ(ait_write(p->fds[1], "x", 1), 1);
    CHECK_EQ(ait_poll(p->fds[0], POLLIN), POLLIN);
    CHECK_EQ(ait_poll(p->fds[0], POLLIN), POLLIN); /* as poll(2): the level, not the edge */
    CHECK_EQ(ait_read(p->fds[0], &c, 1), 1);
    CHECK_EQ(ait_task_spawn(NULL, close_other, p, NULL), 0);
    CHECK((ait_poll(p->fds[0], POLLIN | POLLRDHUP) & (POLLHUP | POLLRDHUP)) != 0);
    return 0;
}

static void test_poll(void **unused)
{
    each_kind(poll_body, false);
}

/* ---- mode ------------------------------------------------------------------------------------ */

static int blocking_body(struct pair *p)
{
    int before = fcntl(p->fds[0], F_GETFL);
    char buf[8];

    CHECK_EQ(ait_write(p->fds[1], "abc", 3), 3);
    CHECK_EQ(ait_read(p->fds[0], buf, sizeof(buf)), 3);
    if (p->kind->socket)
        CHECK_EQ(fcntl(p->fds[0], F_GETFL), before);
    else
        CHECK_EQ(fcntl(p->fds[0], F_GETFL), before | O_NONBLOCK);
    return 0;
}

/* A socket's mode is left alone; a pipe that is ours becomes non-blocking. */
static void test_mode(void **unused)
{
    each_kind(blocking_body, false);
}

/* Outside tasks nothing can wait; closing works. */
static void test_outside(void **unused)
{
    ait_loop *loop = NULL;
    int fds[2];
    char c;

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(ait_read(fds[0], &c, 1), -EPERM);
    assert_int_equal(ait_loop_new(&loop), 0);
    assert_int_equal(ait_read(fds[0], &c, 1), -EPERM);
    assert_int_equal(ait_write(fds[1], "x", 1), -EPERM);
    assert_int_equal(ait_poll(fds[0], POLLIN), -EPERM);
    assert_int_equal(ait_close(fds[0]), 0);
    ait_loop_unref(loop);
    assert_int_equal(ait_close(fds[1]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_ping_pong),
        cmocka_unit_test(test_eof),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_broken_pipe),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_many_waiters),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_number_reused),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_closed_under_reader),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_cancel_race),
        cmocka_unit_test(test_poll),
        cmocka_unit_test(test_mode),
        cmocka_unit_test(test_outside),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    (void)alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
