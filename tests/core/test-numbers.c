/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The number of an fd is no open file. Its file may go while a call waits, and the number come back
 * as another one: each call has to notice. Epoll keeps watching a file whose number is closed here
 * and open elsewhere: nothing must stay registered. A queue that is empty is not another queue of
 * the same socket.
 *
 * Time is virtual. Where a wait keeps the loop busy, the clock does not jump, and alarm(2) ends the
 * test.
 */

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

#define BUSY 128 /* operations after which a task lets others run */

static int unix_pair(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
}

static void fill(int fd)
{
    char chunk[4096] = {};

    while (send(fd, chunk, sizeof(chunk), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        continue;
    while (send(fd, chunk, 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        continue;
}

static size_t drain(int fd)
{
    size_t total = 0;
    char chunk[4096];
    ssize_t k;

    while ((k = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0)
        total += (size_t)k;
    return total;
}

/* ---- the calls ------------------------------------------------------------------------------- */

static char buffer[64];
static int spare; /* a second fd, of calls that have one */

static ssize_t op_read(int fd)
{
    return ait_read(fd, buffer, sizeof(buffer));
}

static ssize_t op_readv(int fd)
{
    const struct iovec iov = {buffer, sizeof(buffer)};

    return ait_readv(fd, &iov, 1);
}

static ssize_t op_recv(int fd)
{
    return ait_recv(fd, buffer, sizeof(buffer), 0);
}

static ssize_t op_peek(int fd)
{
    return ait_recv(fd, buffer, sizeof(buffer), MSG_PEEK);
}

static ssize_t op_recvfrom(int fd)
{
    return ait_recvfrom(fd, buffer, sizeof(buffer), 0, NULL, NULL);
}

static ssize_t op_recvmsg(int fd)
{
    struct iovec iov = {buffer, sizeof(buffer)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    return ait_recvmsg(fd, &msg, 0);
}

static ssize_t op_recv_fds(int fd)
{
    size_t n;

    return ait_recv_fds(fd, buffer, sizeof(buffer), NULL, 0, &n);
}

static ssize_t op_poll_in(int fd)
{
    return ait_poll(fd, POLLIN);
}

static ssize_t poll_many(int fd, short events)
{
    struct pollfd p[] = {{.fd = fd, .events = events}, {.fd = -1}};
    int r = ait_poll_many(p, 2);

    return r == 1 && p[0].revents == POLLNVAL ? -EBADF : r < 0 ? r : p[0].revents;
}

static ssize_t op_poll_many_in(int fd)
{
    return poll_many(fd, POLLIN);
}

static ssize_t op_splice_from(int fd)
{
    return ait_splice(fd, NULL, spare, NULL, 1, 0);
}

static ssize_t op_write(int fd)
{
    return ait_write(fd, "secret", 6);
}

static ssize_t op_write_all(int fd)
{
    return ait_write_all(fd, "secret", 6, NULL);
}

static ssize_t op_writev(int fd)
{
    const struct iovec iov = {"secret", 6};

    return ait_writev(fd, &iov, 1);
}

static ssize_t op_send(int fd)
{
    return ait_send(fd, "secret", 6, 0);
}

static ssize_t op_sendto(int fd)
{
    return ait_sendto(fd, "secret", 6, 0, NULL, 0);
}

static ssize_t op_sendmsg(int fd)
{
    struct iovec iov = {"secret", 6};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    return ait_sendmsg(fd, &msg, 0);
}

static ssize_t op_send_fds(int fd)
{
    return ait_send_fds(fd, "secret", 6, &spare, 1);
}

static ssize_t op_poll_out(int fd)
{
    return ait_poll(fd, POLLOUT);
}

static ssize_t op_poll_many_out(int fd)
{
    return poll_many(fd, POLLOUT);
}

static ssize_t op_sendfile(int fd)
{
    off_t offset = 0;

    return ait_sendfile(fd, spare, &offset, 6);
}

static ssize_t op_splice_to(int fd)
{
    return ait_splice(spare, NULL, fd, NULL, 1, 0);
}

enum { SPARE_NONE, SPARE_FILE, SPARE_PIPE_OUT, SPARE_PIPE_IN };

static const struct call {
    const char *name;
    ssize_t (*fn)(int fd);
    bool writes;
    int spare;
} calls[] = {
    {"read", op_read, false, SPARE_NONE},
    {"readv", op_readv, false, SPARE_NONE},
    {"recv", op_recv, false, SPARE_NONE},
    {"peek", op_peek, false, SPARE_NONE},
    {"recvfrom", op_recvfrom, false, SPARE_NONE},
    {"recvmsg", op_recvmsg, false, SPARE_NONE},
    {"recv_fds", op_recv_fds, false, SPARE_NONE},
    {"poll in", op_poll_in, false, SPARE_NONE},
    {"poll_many in", op_poll_many_in, false, SPARE_NONE},
    {"splice from", op_splice_from, false, SPARE_PIPE_IN},
    {"write", op_write, true, SPARE_NONE},
    {"write_all", op_write_all, true, SPARE_NONE},
    {"writev", op_writev, true, SPARE_NONE},
    {"send", op_send, true, SPARE_NONE},
    {"sendto", op_sendto, true, SPARE_NONE},
    {"sendmsg", op_sendmsg, true, SPARE_NONE},
    {"send_fds", op_send_fds, true, SPARE_FILE},
    {"poll out", op_poll_out, true, SPARE_NONE},
    {"poll_many out", op_poll_many_out, true, SPARE_NONE},
    {"sendfile", op_sendfile, true, SPARE_FILE},
    {"splice to", op_splice_to, true, SPARE_PIPE_OUT},
};

static int temporary_file(const char *text)
{
    char path[] = "/tmp/ait-numbers-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);

    if (fd >= 0 && (unlink(path) < 0 || write(fd, text, strlen(text)) < 0))
        return -1;
    return fd;
}

/* ---- the file goes while a call waits -------------------------------------------------------- */

enum { IN_BUDGET, IN_WAIT, N_WHEN };
enum { THE_FD, THE_SPARE, N_WHICH };

struct story {
    const struct call *call;
    int when, which;
    int fds[2], pipe[2];
    int other; /* the far end of what has the number afterwards */
    bool begun;
    ssize_t result;
};

static int caller(void *userdata)
{
    struct story *s = userdata;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    for (int i = 0; i < BUSY && s->when == IN_BUDGET; i++)
        CHECK_EQ(ait_write(null, "x", 1), 1);
    s->begun = true;
    s->result = s->call->fn(s->fds[0]);
    return ait_close(null);
}

static int closer(void *userdata)
{
    struct story *s = userdata;
    int victim = s->which == THE_FD ? s->fds[0] : spare, pair[2];

    while (!s->begun)
        CHECK_EQ(ait_yield(), 0);
    if (s->when == IN_WAIT)
        CHECK_EQ(check_settle(), 0); /* it has tried, and waits */
    CHECK_EQ(ait_close(victim), 0);
    CHECK_EQ(unix_pair(pair), 0);
    if (pair[0] != victim) {
        CHECK_EQ(dup3(pair[0], victim, O_CLOEXEC), victim);
        CHECK_EQ(close(pair[0]), 0);
    }
    s->other = pair[1];
    CHECK_EQ(write(s->other, "fresh", 5), 5);
    if (s->which == THE_SPARE && s->call->writes)
        (void)drain(s->fds[1]); /* there is room again, and the call goes on */
    else if (s->which == THE_SPARE)
        CHECK_EQ(write(s->fds[1], "more", 4), 4);
    return 0;
}

static void story_spare(struct story *s)
{
    s->pipe[0] = s->pipe[1] = spare = -1;
    if (s->call->spare == SPARE_FILE) {
        spare = temporary_file("secret");
        CHECK(spare >= 0);
    } else if (s->call->spare != SPARE_NONE) {
        bool reads = s->call->spare == SPARE_PIPE_OUT; /* data comes out of it */

        CHECK_EQ(pipe2(s->pipe, O_CLOEXEC), 0);
        if (reads)
            CHECK_EQ(write(s->pipe[1], "secret", 6), 6);
        spare = s->pipe[reads ? 0 : 1];
        s->pipe[reads ? 0 : 1] = -1;
    }
}

static void story_close(struct story *s)
{
    const int all[] = {s->fds[0], s->fds[1], s->pipe[0], s->pipe[1], spare, s->other};

    for (size_t i = 0; i < ELEMENTS(all); i++)
        if (all[i] >= 0)
            CHECK_EQ(ait_close(all[i]), 0);
}

static int story_main(void *userdata)
{
    struct story *s = userdata;
    AIT_SCOPE(scope);

    CHECK_EQ(unix_pair(s->fds), 0);
    story_spare(s);
    if (s->call->writes && s->when == IN_WAIT)
        fill(s->fds[0]);
    CHECK_EQ(ait_scope_enter_after(&scope, 0, 20 * AIT_USEC_PER_SEC), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, caller, s, NULL), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, closer, s, NULL), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    if (!CHECK_EQ(s->result, -EBADF) || !CHECK_EQ(drain(s->other), 0))
        (void)fprintf(stderr, "  %s, %s, %s\n", s->call->name,
                      s->when == IN_BUDGET ? "as it begins" : "as it waits",
                      s->which == THE_FD ? "its fd" : "its other fd");
    story_close(s);
    return 0;
}

static void test_reused(void **unused)
{
    for (size_t i = 0; i < ELEMENTS(calls); i++)
        for (int when = 0; when < N_WHEN; when++)
            for (int which = 0; which < (calls[i].spare == SPARE_NONE ? 1 : N_WHICH); which++) {
                struct story s = {.call = calls + i, .when = when, .which = which, .other = -1};

                /* Where the closer may go first, there is nothing that the caller could notice. */
                if (when != IN_BUDGET || !check_shuffled())
                    assert_int_equal(run_virtual(story_main, &s), 0);
            }
}

/* connect() to a unix socket whose queue is full has nothing to poll for. */
static int connect_caller(void *userdata)
{
    struct sockaddr_un *addr = userdata;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    spare = fd;
    return ait_connect(fd, (struct sockaddr *)addr, sizeof(*addr));
}

static int connect_main(void *userdata)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), queued[8], n = 0, r;
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;

    (void)snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "ait-numbers-%d", getpid());
    CHECK_EQ(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
    CHECK_EQ(listen(listener, 1), 0);
    do
        queued[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    while (connect(queued[n++], (struct sockaddr *)&addr, sizeof(addr)) == 0 && n < 8);
    CHECK_EQ(ait_task_spawn(&task, connect_caller, &addr, NULL), 0);
    CHECK_EQ(check_settle(), 0);
    CHECK_EQ(ait_close(spare), 0);
    /* The number is free; would the retry use it, this socket were connected. */
    CHECK_EQ(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), spare);
    CHECK_EQ(close(accept(listener, NULL, NULL)), 0);
    CHECK_EQ(ait_task_wait(task, &r), 0);
    CHECK_EQ(r, -EBADF);
    CHECK(send(spare, "x", 1, MSG_NOSIGNAL) < 0 && errno == ENOTCONN);
    for (int i = 0; i < n; i++)
        (void)close(queued[i]);
    CHECK_EQ(ait_close(spare), 0);
    return ait_close(listener);
}

static void test_connect(void **unused)
{
    assert_int_equal(run_virtual(connect_main, NULL), 0);
}

/* ---- what stays registered ------------------------------------------------------------------- */

/* All fds that any epoll of the process watches. */
static int n_watched(void)
{
    DIR *fds = opendir("/proc/self/fdinfo");
    const struct dirent *entry;
    char path[300], line[256];
    int n = 0;

    while ((entry = readdir(fds))) {
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%s", entry->d_name);
        f = fopen(path, "re");
        while (f && fgets(line, sizeof(line), f))
            n += strncmp(line, "tfd:", 4) == 0;
        if (f)
            (void)fclose(f);
    }
    (void)closedir(fds);
    return n;
}

/* How a copy of the file lives on. */
enum { BY_DUP, BY_MESSAGE, N_COPIES };

static int copy_of(int fd, int how)
{
    int pair[2], copy = -1;
    size_t n = 0;
    char c;

    if (how == BY_DUP)
        return fcntl(fd, F_DUPFD_CLOEXEC, 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    CHECK_EQ(ait_send_fds(pair[0], "x", 1, &fd, 1), 1);
    CHECK_EQ(ait_recv_fds(pair[1], &c, 1, &copy, 1, &n), 1);
    CHECK_EQ(ait_close(pair[0]), 0);
    CHECK_EQ(ait_close(pair[1]), 0);
    return copy;
}

static int accepted(int *ret_peer)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(a);

    CHECK_EQ(bind(listener, (struct sockaddr *)&a, len), 0);
    CHECK_EQ(listen(listener, 1), 0);
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    *ret_peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(*ret_peer, (struct sockaddr *)&a, len), 0);
    fd = ait_accept(listener, NULL, NULL);
    CHECK_EQ(ait_close(listener), 0);
    return fd;
}

/* Waits for fd with the call until a limit cuts it. */
static void wait_cut(const struct call *call, int fd)
{
    int r = 0;

    if (call->writes)
        fill(fd);
    AIT_MOVE_ON_AFTER(r, MS(10))
        r = (int)call->fn(fd);
    CHECK_EQ(r, 0);
}

static bool polls(const struct call *call)
{
    return call->fn == op_poll_in || call->fn == op_poll_out || call->fn == op_poll_many_in ||
           call->fn == op_poll_many_out;
}

static int watched_main(void *userdata)
{
    for (size_t i = 0; i < ELEMENTS(calls); i++)
        for (int how = 0; how < N_COPIES; how++)
            for (int closing = 0; closing < (polls(calls + i) ? 2 : 1); closing++) {
                int before = n_watched(), peer, fd = accepted(&peer), copy;

                if (calls[i].spare != SPARE_NONE)
                    continue;
                wait_cut(calls + i, fd);
                copy = copy_of(fd, how);
                CHECK(copy >= 0);
                /* ait_poll() is for fds that other code closes, without a word. */
                CHECK_EQ(closing == 0 ? ait_close(fd) : close(fd), 0);
                if (!CHECK_EQ(n_watched(), before))
                    (void)fprintf(stderr, "  after %s, copy %d\n", calls[i].name, how);
                CHECK_EQ(ait_close(copy), 0);
                CHECK_EQ(ait_close(peer), 0);
            }
    return 0;
}

static void test_watched(void **unused)
{
    assert_int_equal(run_virtual(watched_main, NULL), 0);
}

/* ---- polling files that other code closes ---------------------------------------------------- */

static int write_later(void *userdata)
{
    int r = check_settle();

    return r < 0 ? r : write(*(int *)userdata, "x", 1) == 1 ? 0 : -errno;
}

/* What the loop knows of the number from before. */
enum { UNKNOWN, POLLED, READ, POLLED_TOO_LATE, N_HISTORIES };

static int stale_once(const struct call *call, int history)
{
    int fds[2], next[2], r = 0;
    AIT_SCOPE(scope);

    CHECK_EQ(unix_pair(fds), 0);
    if (history == POLLED)
        wait_cut(call, fds[0]);
    else if (history == READ)
        AIT_MOVE_ON_AFTER(r, MS(10))
            r = (int)ait_read(fds[0], buffer, sizeof(buffer));
    /* As libraries do. */
    CHECK_EQ(close(fds[0]), 0);
    CHECK_EQ(close(fds[1]), 0);
    CHECK_EQ(unix_pair(next), 0);
    CHECK_EQ(next[0], fds[0]);
    if (history == POLLED_TOO_LATE)
        wait_cut(call, next[0]);
    CHECK_EQ(ait_scope_enter_after(&scope, 0, 20 * AIT_USEC_PER_SEC), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, write_later, &next[1], NULL), 0);
    r = (int)call->fn(next[0]);
    if (!CHECK_EQ(r, POLLIN))
        (void)fprintf(stderr, "  %s, history %d\n", call->name, history);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(close(next[0]), 0);
    CHECK_EQ(close(next[1]), 0);
    return 0;
}

static int stale_main(void *userdata)
{
    for (size_t i = 0; i < ELEMENTS(calls); i++)
        for (int history = 0; history < N_HISTORIES && !calls[i].writes && polls(calls + i);
             history++)
            for (int round = 0; round < 3; round++)
                CHECK_EQ(stale_once(calls + i, history), 0);
    return 0;
}

static void test_stale(void **unused)
{
    assert_int_equal(run_virtual(stale_main, NULL), 0);
}

/* With AIT_DEBUG our own calls notice, too, and say so. */
static int debug_main(void *userdata)
{
    for (size_t i = 0; i < ELEMENTS(calls); i++) {
        int fds[2], next[2], r = 0;

        if (polls(calls + i) || calls[i].writes || calls[i].spare != SPARE_NONE ||
            calls[i].fn == op_peek)
            continue;
        CHECK_EQ(unix_pair(fds), 0);
        AIT_MOVE_ON_AFTER(r, MS(10))
            r = (int)ait_read(fds[0], buffer, sizeof(buffer));
        CHECK_EQ(close(fds[0]), 0);
        CHECK_EQ(close(fds[1]), 0);
        CHECK_EQ(unix_pair(next), 0);
        CHECK_EQ(next[0], fds[0]);
        CHECK_EQ(write(next[1], "x", 1), 1);
        AIT_MOVE_ON_AFTER(r, MS(10))
            r = (int)calls[i].fn(next[0]);
        if (!CHECK_EQ(r, 1))
            (void)fprintf(stderr, "  %s\n", calls[i].name);
        CHECK_EQ(ait_close(next[0]), 0);
        CHECK_EQ(ait_close(next[1]), 0);
    }
    return 0;
}

static void test_debug(void **unused)
{
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3), fds[2];
    char text[4096] = "";

    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(setenv("AIT_DEBUG", "1", 1), 0);
    assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    (void)run_virtual(debug_main, NULL);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(unsetenv("AIT_DEBUG"), 0);
    assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
    assert_non_null(strstr(text, "was closed by other code while the loop knew it"));
    assert_null(strstr(text, "test-numbers.c"));
    (void)close(saved);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* Several wait for one fd, each for its own events, with or without a call of ours beside them. */
static int wait_for_hangup(void *userdata)
{
    return ait_poll(*(int *)userdata, POLLRDHUP);
}

static int wait_for_room(void *userdata)
{
    return ait_poll(*(int *)userdata, POLLOUT | POLLWRNORM);
}

static int wait_for_data(void *userdata)
{
    return ait_poll(*(int *)userdata, POLLIN);
}

static int pollers_main(void *userdata)
{
    bool read_before = userdata;
    static const ait_task_fn fns[] = {wait_for_hangup, wait_for_room, wait_for_data};
    ait_task *tasks[3];
    int fds[2], r = 0;

    CHECK_EQ(unix_pair(fds), 0);
    fill(fds[0]);
    if (read_before)
        AIT_MOVE_ON_AFTER(r, MS(10))
            r = (int)ait_read(fds[0], buffer, 1);
    for (size_t i = 0; i < 3; i++)
        CHECK_EQ(ait_task_spawn(&tasks[i], fns[i], &fds[0], NULL), 0);
    CHECK_EQ(ait_sleep(MS(10)), 0);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    CHECK_EQ(ait_task_wait(tasks[2], &r), 0);
    CHECK_EQ(r, POLLIN);
    /* Data is there, and nobody takes it: no reason to be awake. */
    CHECK_EQ(ait_sleep(MS(10)), 0);
    CHECK(!ait_task_is_done(tasks[0]) && !ait_task_is_done(tasks[1]));
    (void)drain(fds[1]);
    CHECK_EQ(ait_task_wait(tasks[1], &r), 0);
    CHECK_EQ(r, POLLOUT | POLLWRNORM);
    CHECK_EQ(ait_sleep(MS(10)), 0);
    CHECK(!ait_task_is_done(tasks[0]));
    CHECK_EQ(shutdown(fds[1], SHUT_WR), 0);
    CHECK_EQ(ait_task_wait(tasks[0], &r), 0);
    CHECK_EQ(r, POLLRDHUP);
    for (size_t i = 0; i < 3; i++)
        ait_task_unref(tasks[i]);
    CHECK_EQ(ait_close(fds[0]), 0);
    return ait_close(fds[1]);
}

static void test_pollers(void **unused)
{
    assert_int_equal(run_virtual(pollers_main, NULL), 0);
    assert_int_equal(run_virtual(pollers_main, (void *)1), 0);
}

/* ---- queues ---------------------------------------------------------------------------------- */

static ssize_t receive(int fd, int how, int flags)
{
    struct iovec iov = {buffer, sizeof(buffer)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    return how == 0   ? ait_recv(fd, buffer, sizeof(buffer), flags)
           : how == 1 ? ait_recvfrom(fd, buffer, sizeof(buffer), flags, NULL, NULL)
                      : ait_recvmsg(fd, &msg, flags);
}

/* Waits in one queue, in which nothing is; what is in the other comes at once. */
static int queues_main(void *userdata)
{
    static const int flags[] = {MSG_ERRQUEUE, MSG_PEEK};

    for (int how = 0; how < 3; how++)
        for (size_t i = 0; i < ELEMENTS(flags); i++) {
            struct sockaddr_in a = {.sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
            socklen_t len = sizeof(a);
            int server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0, offset = 5;
            int client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

            CHECK_EQ(bind(server, (struct sockaddr *)&a, len), 0);
            CHECK_EQ(getsockname(server, (struct sockaddr *)&a, &len), 0);
            CHECK_EQ(connect(client, (struct sockaddr *)&a, len), 0);
            if (flags[i] == MSG_PEEK) /* behind the only datagram */
                CHECK_EQ(setsockopt(server, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)), 0);
            AIT_MOVE_ON_AFTER(r, MS(10))
                r = (int)receive(server, how, 0);
            CHECK_EQ(send(client, "hello", 5, 0), 5);
            CHECK_EQ(ait_sleep(MS(10)), 0);
            AIT_MOVE_ON_AFTER(r, MS(10))
                r = (int)receive(server, how, flags[i]);
            CHECK_EQ(r, 0);
            AIT_MOVE_ON_AFTER(r, MS(10))
                r = (int)receive(server, how, 0);
            if (!CHECK_EQ(r, 5))
                (void)fprintf(stderr, "  call %d, flags %#x\n", how, (unsigned)flags[i]);
            CHECK_EQ(ait_close(server), 0);
            CHECK_EQ(ait_close(client), 0);
        }
    return 0;
}

static void test_queues(void **unused)
{
    assert_int_equal(run_virtual(queues_main, NULL), 0);
}

/* ---- senders of datagrams -------------------------------------------------------------------- */

static int unix_receiver(struct sockaddr_un *addr, int number)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    *addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(addr->sun_path + 1, sizeof(addr->sun_path) - 1, "ait-numbers-%d-%d", getpid(),
                   number);
    CHECK_EQ(bind(fd, (struct sockaddr *)addr, sizeof(*addr)), 0);
    return fd;
}

/* 0: connected; then with the address in the call */
static ssize_t send_one(int fd, int how, struct sockaddr_un *addr)
{
    struct iovec iov = {"b", 1};
    struct msghdr msg = {
        .msg_name = addr, .msg_namelen = sizeof(*addr), .msg_iov = &iov, .msg_iovlen = 1};

    if (how == 0 && connect(fd, (struct sockaddr *)addr, sizeof(*addr)) < 0)
        return -errno;
    return how == 0   ? ait_send(fd, "b", 1, 0)
           : how == 1 ? ait_sendto(fd, "b", 1, 0, (struct sockaddr *)addr, sizeof(*addr))
                      : ait_sendmsg(fd, &msg, 0);
}

static int empty_later(void *userdata)
{
    int r = ait_sleep(MS(100));

    (void)drain(*(int *)userdata);
    return r;
}

static int dgram_main(void *userdata)
{
    for (int how = 0; how < 3; how++) {
        struct sockaddr_un full, empty;
        int receiver = unix_receiver(&full, how), idle = unix_receiver(&empty, how + 10);
        int other = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r = 0;
        int sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        while (sendto(other, "a", 1, 0, (struct sockaddr *)&full, sizeof(full)) == 1)
            continue;
        /* The receiver is full, and the sender waits without being busy, */
        AIT_MOVE_ON_AFTER(r, MS(1000))
            r = (int)send_one(sender, how, &full);
        CHECK_EQ(r, 0);
        /* which concerns no other receiver, */
        if (how > 0)
            CHECK_EQ(send_one(sender, how, &empty), 1);
        /* and ends when there is room. */
        CHECK_EQ(ait_task_spawn(NULL, empty_later, &receiver, NULL), 0);
        CHECK_EQ(send_one(sender, how, &full), 1);
        CHECK_EQ(drain(receiver), 1);
        CHECK_EQ(ait_close(sender), 0);
        CHECK_EQ(ait_close(other), 0);
        CHECK_EQ(ait_close(receiver), 0);
        CHECK_EQ(ait_close(idle), 0);
    }
    return 0;
}

static void test_dgram(void **unused)
{
    assert_int_equal(run_virtual(dgram_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reused),  cmocka_unit_test(test_connect),
        cmocka_unit_test(test_watched), cmocka_unit_test(test_stale),
        cmocka_unit_test(test_pollers), cmocka_unit_test(test_queues),
        cmocka_unit_test(test_dgram),   cmocka_unit_test(test_debug),
    };

    (void)alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
