/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A worker's notification socket: who may send, what is understood, that nothing sent to it does
 * any harm. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "../stuck-fs.h"
#include "worker/notify.h"

static char folder[32];
static int lingering_peer;

static int make_folder(void **state)
{
    strcpy(folder, "/tmp/test-notify-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    return chmod(folder, 0711);
}

/* Fails where a socket has been left behind. */
static int remove_folder(void **state)
{
    return rmdir(folder);
}

static unsigned count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static struct notify_socket open_socket(unsigned slot)
{
    struct notify_socket s;
    struct problem p = {0};

    if (notify_socket_open(&s, folder, slot, geteuid(), getegid(), &p) < 0)
        fail_msg("%s", p.text);
    return s;
}

/* Waits, as long as it takes. */
static struct notify_message receive(struct notify_socket *s)
{
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    struct notify_message m;

    assert_int_equal(poll(&p, 1, 30000), 1);
    assert_int_equal(notify_receive(s, &m), 1);
    return m;
}

static int send_to(const struct notify_socket *s, const void *data, size_t size, int passed_fd,
                   unsigned n_passed)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(253 * sizeof(int))];
    } control = {0};
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct iovec part = {.iov_base = (void *)data, .iov_len = size};
    struct msghdr h = {.msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &part, .msg_iovlen = 1};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

    strcpy(a.sun_path, s->path);
    if (n_passed > 0) {
        h.msg_control = &control;
        h.msg_controllen = CMSG_SPACE(n_passed * sizeof(int));
        control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(n_passed * sizeof(int)),
                                          .cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS};
        for (unsigned i = 0; i < n_passed; i++)
            memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &passed_fd, sizeof(int));
    }
    r = sendmsg(fd, &h, 0) < 0 ? -errno : 0;
    close(fd);
    return r;
}

/* ---- fields ---------------------------------------------------------------------------------- */

/* One row a message: the fields it sets, and how many of its lines make no sense. */
static const struct {
    const char *text;
    size_t size; /* 0: strlen */
    unsigned fields, n_bad;
} messages[] = {
    {"READY=1", 0, NOTIFY_READY, 0},
    {"READY=1\n", 0, NOTIFY_READY, 0},
    {"READY=1\0", 8, NOTIFY_READY, 0},
    {"READY=1\0\0", 9, 0, 1},
    {"READY=0", 0, 0, 1},
    {"READY=", 0, 0, 1},
    {"READY", 0, 0, 1},
    {"READY=11", 0, 0, 1},
    {" READY=1", 0, 0, 0},
    {"ready=1", 0, 0, 0},
    {"READYX=1", 0, 0, 0},
    {"=1", 0, 0, 1},
    {"", 0, 0, 0},
    {"\n\n\n", 0, 0, 0},
    {"READY=1\nSTATUS=up\nMAINPID=17\nFDSTORE=1\n", 0, NOTIFY_READY | NOTIFY_STATUS, 0},
    {"READY=1\nSTA\0TUS=up\nSTOPPING=1", 29, NOTIFY_READY | NOTIFY_STOPPING, 1},
    {"STATUS=a\0b", 10, 0, 1},
    {"STATUS=a\0", 9, NOTIFY_STATUS, 0},
    {"STATUS=\xff\nREADY=1", 0, NOTIFY_READY, 1},
    {"STATUS=\xc0\xaf", 0, 0, 1},         /* overlong */
    {"STATUS=\xed\xa0\x80", 0, 0, 1},     /* a surrogate */
    {"STATUS=\xf4\x90\x80\x80", 0, 0, 1}, /* above U+10FFFF */
    {"STATUS=\xe2\x82", 0, 0, 1},         /* cut short */
    {"STATUS=\xe2\x82\xac", 0, NOTIFY_STATUS, 0},
    {"STOPPING=1", 0, NOTIFY_STOPPING, 0},
    {"RELOADING=1\nMONOTONIC_USEC=123", 0, NOTIFY_RELOADING | NOTIFY_MONOTONIC_USEC, 0},
    {"WATCHDOG=1", 0, NOTIFY_WATCHDOG, 0},
    {"WATCHDOG=trigger", 0, NOTIFY_WATCHDOG | NOTIFY_WATCHDOG_TRIGGER, 0},
    {"WATCHDOG=2", 0, 0, 1},
    {"WATCHDOG_USEC=5", 0, 0, 0},
    {"BARRIER=1", 0, NOTIFY_BARRIER, 0},
    {"EXTEND_TIMEOUT_USEC=5000000", 0, NOTIFY_EXTEND_TIMEOUT, 0},
    {"EXTEND_TIMEOUT_USEC=-1", 0, 0, 1},
    {"EXTEND_TIMEOUT_USEC=+1", 0, 0, 1},
    {"EXTEND_TIMEOUT_USEC= 1", 0, 0, 1},
    {"EXTEND_TIMEOUT_USEC=1s", 0, 0, 1},
    {"EXTEND_TIMEOUT_USEC=18446744073709551615", 0, NOTIFY_EXTEND_TIMEOUT, 0},
    {"EXTEND_TIMEOUT_USEC=18446744073709551616", 0, 0, 1},
    {"EXTEND_TIMEOUT_USEC=99999999999999999999999", 0, 0, 1},
    {"ERRNO=2", 0, NOTIFY_ERRNO, 0},
    {"ERRNO=0", 0, 0, 1},
    {"ERRNO=4096", 0, 0, 1},
    {"ERRNO=-2", 0, 0, 1},
    {"X_AIOTOOLS_REQUESTS=10\nX_AIOTOOLS_INFLIGHT=2", 0, NOTIFY_REQUESTS | NOTIFY_INFLIGHT, 0},
    {"X_AIOTOOLS_LOAD=0.75", 0, NOTIFY_LOAD, 0},
    {"X_AIOTOOLS_LOAD=3", 0, NOTIFY_LOAD, 0},
    {"X_AIOTOOLS_LOAD=1.23456789012345678901234567890", 0, NOTIFY_LOAD, 0},
    {"X_AIOTOOLS_LOAD=.5", 0, 0, 1},
    {"X_AIOTOOLS_LOAD=1.", 0, 0, 1},
    {"X_AIOTOOLS_LOAD=1.2.3", 0, 0, 1},
    {"X_AIOTOOLS_LOAD=1e3", 0, 0, 1},
    {"X_AIOTOOLS_LOAD=nan", 0, 0, 1},
    {"X_AIOTOOLS_LOAD=18446744073709552", 0, 0, 1},
    {"X_AIOTOOLS_LOAD=18446744073709551.999", 0, 0, 1},
    {"X_AIOTOOLS_OTHER=1", 0, 0, 0},
};

static void test_fields(void **state)
{
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        size_t size = messages[i].size ? messages[i].size : strlen(messages[i].text);
        struct notify_message m = {0};
        /* Exactly as long as it is, so that a sanitizer sees every step beyond. */
        char *copy = malloc(size + 1);

        memcpy(copy, messages[i].text, size);
        copy = realloc(copy, size ? size : 1);
        notify_parse(copy, size, &m);
        free(copy);
        if (m.fields != messages[i].fields || m.n_bad != messages[i].n_bad)
            fail_msg("\"%s\": fields %#x, %u bad", messages[i].text, m.fields, m.n_bad);
    }
}

static void test_values(void **state)
{
    struct notify_message m = {0};
    static const char text[] =
        "STATUS=first\nSTATUS=zw\xc3\xb6lf\nMONOTONIC_USEC=123\nEXTEND_TIMEOUT_USEC=456\nERRNO=7\n"
        "X_AIOTOOLS_REQUESTS=89\nX_AIOTOOLS_INFLIGHT=10\nX_AIOTOOLS_LOAD=2.0506\n"
        "ERRNO=0\nSTATUS=\xff";

    notify_parse(text, sizeof text - 1, &m);
    assert_string_equal(m.status, "zw\xc3\xb6lf"); /* the last good one */
    assert_int_equal(m.monotonic_usec, 123);
    assert_int_equal(m.extend_usec, 456);
    assert_int_equal(m.error, 7);
    assert_int_equal(m.requests, 89);
    assert_int_equal(m.inflight, 10);
    assert_int_equal(m.load_milli, 2050);
    assert_int_equal(m.n_bad, 2);
}

static void test_status_is_harmless(void **state)
{
    struct notify_message m = {0};
    static const char text[] = "STATUS=\x1b[2Ja\tb\x7f\xc2\x9b"
                               "c";
    char longer[2000] = "STATUS=x";

    notify_parse(text, sizeof text - 1, &m);
    assert_string_equal(m.status, "?[2Ja?b??c");

    /* cut at a character: an odd byte, then two-byte ones */
    for (size_t i = 8; i + 1 < sizeof longer; i += 2)
        memcpy(longer + i, "\xc3\xb6", 2);
    notify_parse(longer, sizeof longer, &m);
    assert_int_equal(strlen(m.status), NOTIFY_STATUS_MAX - 1);
    assert_int_equal(m.status[NOTIFY_STATUS_MAX - 2], '\xb6');

    notify_parse("STATUS=", 7, &m);
    assert_string_equal(m.status, "");
}

/* Rows of the table, cut, joined and damaged at random. What comes out must be within bounds; the
 * rest is for the sanitizers to say. */
static void test_damaged(void **state)
{
    unsigned seed = (unsigned)getpid();

    print_message("# seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 20000; round++) {
        struct notify_message m = {0};
        char text[512];
        char *copy;
        size_t used = 0;

        while (used < 200) {
            size_t k = (size_t)rand() % (sizeof messages / sizeof *messages);
            size_t size = messages[k].size ? messages[k].size : strlen(messages[k].text);

            memcpy(text + used, messages[k].text, size);
            used += size;
            if (rand() % 4)
                text[used++] = '\n';
            if (rand() % 8 == 0)
                break;
        }
        for (int i = rand() % 6; i > 0 && used > 0; i--)
            text[(size_t)rand() % used] = (char)rand();
        used = used ? (size_t)rand() % used + 1 : 0;
        copy = malloc(used ? used : 1);
        memcpy(copy, text, used);
        notify_parse(copy, used, &m);
        free(copy);
        assert_true(memchr(m.status, 0, sizeof m.status));
        assert_in_range(m.error, 0, 4095);
        assert_int_equal(m.fields >> 13, 0);
        assert_true(!(m.fields & NOTIFY_ERRNO) || m.error > 0);
    }
}

/* ---- the socket ------------------------------------------------------------------------------ */

static void test_path_owner_mode(void **state)
{
    struct notify_socket a = open_socket(3), b = open_socket(3);
    struct stat st;
    char prefix[64];

    sprintf(prefix, "%s/notify-3-", folder);
    assert_memory_equal(a.path, prefix, strlen(prefix));
    assert_string_not_equal(a.path, b.path);
    assert_int_equal(lstat(a.path, &st), 0);
    assert_int_equal(st.st_mode, S_IFSOCK | (geteuid() == 0 ? 0666 : 0600));
    assert_int_equal(fcntl(a.fd, F_GETFD), FD_CLOEXEC);
    notify_socket_close(&a);
    assert_int_equal(lstat(prefix, &st), -1);
    assert_int_equal(a.fd, -1);
    notify_socket_close(&a);
    notify_socket_close(NULL);
    notify_socket_close(&b);
}

/* The worker's uid may send, another may not. */
static void test_other_users(void **state)
{
    static const struct {
        uid_t uid;
        int result;
    } senders[] = {{65534, 0}, {65533, -EACCES}};
    struct notify_socket s;
    struct stat st;

    if (geteuid() != 0) {
        print_message("SKIP: needs root to have another user\n");
        skip();
    }
    assert_int_equal(notify_socket_open(&s, folder, 0, 65534, 65534, NULL), 0);
    assert_int_equal(lstat(s.path, &st), 0);
    assert_int_equal(st.st_uid, 65534);
    assert_int_equal(st.st_gid, 65534);
    assert_int_equal(st.st_mode, S_IFSOCK | 0600);
    for (int i = 0; i < 2; i++) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            if (setresgid(65534, 65534, 65534) < 0 ||
                setresuid(senders[i].uid, senders[i].uid, senders[i].uid) < 0)
                _exit(1);
            _exit(send_to(&s, "READY=1", 7, -1, 0) == senders[i].result ? 0 : 2);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    assert_int_equal(receive(&s).uid, 65534);
    notify_socket_close(&s);
}

static void test_cannot_be_made(void **state)
{
    char deep[120];
    struct notify_socket s = NOTIFY_SOCKET_CLOSED;
    struct problem p = {0};
    unsigned before = count_fds();

    assert_int_equal(notify_socket_open(&s, "/no/such/folder", 0, geteuid(), getegid(), &p),
                     -ENOENT);
    assert_int_equal(p.status, STATUS_OS);
    assert_non_null(strstr(p.text, "/no/such/folder"));
    memset(deep, 'x', sizeof deep);
    deep[0] = '/';
    deep[100] = 0;
    assert_int_equal(notify_socket_open(&s, deep, 0, geteuid(), getegid(), &p), -ENAMETOOLONG);
    assert_int_equal(p.status, STATUS_CONFIG);
    assert_non_null(strstr(p.text, "--name"));
    assert_int_equal(s.fd, -1);
    assert_int_equal(count_fds(), before);
}

/* A child of ours that closes what it inherited unlinks nothing. */
static void test_child_does_not_unlink(void **state)
{
    struct notify_socket s = open_socket(0);
    pid_t pid = fork();

    if (pid == 0) {
        notify_socket_close(&s);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(access(s.path, F_OK), 0);
    notify_socket_close(&s);
}

static void test_receive(void **state)
{
    struct notify_socket s = open_socket(0);
    struct notify_message m;

    assert_int_equal(notify_receive(&s, &m), 0);
    assert_int_equal(send_to(&s, "READY=1\nSTATUS=on", 17, -1, 0), 0);
    assert_int_equal(send_to(&s, "STOPPING=1", 10, -1, 0), 0);
    m = receive(&s);
    assert_int_equal(m.fields, NOTIFY_READY | NOTIFY_STATUS);
    assert_int_equal(m.pid, getpid());
    assert_int_equal(m.uid, geteuid());
    assert_int_equal(m.gid, getegid());
    assert_string_equal(m.status, "on");
    m = receive(&s);
    assert_int_equal(m.fields, NOTIFY_STOPPING);
    assert_string_equal(m.status, "");
    assert_int_equal(notify_receive(&s, &m), 0);
    notify_socket_close(&s);
}

static void test_sizes(void **state)
{
    struct notify_socket s = open_socket(0);
    struct notify_message m;
    char big[NOTIFY_MESSAGE_MAX + 1];

    memset(big, '\n', sizeof big);
    memcpy(big, "READY=1", 7);
    assert_int_equal(send_to(&s, big, NOTIFY_MESSAGE_MAX, -1, 0), 0);
    assert_int_equal(receive(&s).fields, NOTIFY_READY);
    assert_int_equal(send_to(&s, big, sizeof big, 0, 3), 0);
    m = receive(&s);
    assert_int_equal(m.fields, 0);
    assert_int_equal(m.n_bad, 1);
    assert_true(m.passes_fds);
    assert_int_equal(m.pid, getpid());
    assert_int_equal(send_to(&s, "", 0, -1, 0), 0);
    m = receive(&s);
    assert_int_equal(m.fields, 0);
    assert_int_equal(m.n_bad, 0);
    notify_socket_close(&s);
}

static void await_end(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;

    assert_int_equal(poll(&p, 1, 30000), 1);
    assert_int_equal(read(fd, &byte, 1), 0);
}

static void test_passed_fds_are_closed(void **state)
{
    static const unsigned counts[] = {1, 2, 100, 253};
    struct notify_socket s = open_socket(0);

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        unsigned before = count_fds();
        int ends[2];
        char byte;

        assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
        assert_int_equal(send_to(&s, "BARRIER=1", 9, ends[1], counts[i]), 0);
        close(ends[1]);
        assert_int_equal(read(ends[0], &byte, 1), -1); /* in flight: still open */
        assert_true(receive(&s).passes_fds);
        await_end(ends[0]); /* acknowledged */
        notify_drops_done(&s.drops);
        close(ends[0]);
        assert_int_equal(count_fds(), before);
    }
    notify_socket_close(&s);
}

/* Its close waits for somebody who never reads, unless it is the end of a process that closes it.
 */
static int lingering_socket(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger for_ever = {.l_onoff = 1, .l_linger = 3600};
    static const char data[65536];
    socklen_t n = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_int_equal(bind(listener, (struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &n), 0);
    (void)connect(fd, (struct sockaddr *)&a, n);
    while (send(fd, data, sizeof data, MSG_NOSIGNAL) > 0)
        ;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &for_ever, sizeof for_ever), 0);
    lingering_peer = listener;
    return fd;
}

/* Runs in a process of its own: what hangs must not hang the test. */
static int is_prompt(void (*fn)(int fd), int fd)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        alarm(20);
        fn(fd);
        _exit(0);
    }
    close(fd);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void receive_and_close(int fd)
{
    struct notify_socket s = open_socket(0);
    struct notify_message m;

    if (send_to(&s, "READY=1", 7, fd, 1) < 0 || send_to(&s, "STATUS=on", 9, -1, 0) < 0 ||
        send_to(&s, "STOPPING=1", 10, fd, 3) < 0)
        _exit(1);
    close(fd);
    if (receive(&s).fields != NOTIFY_READY || receive(&s).fields != NOTIFY_STATUS ||
        receive(&s).fields != NOTIFY_STOPPING || notify_receive(&s, &m) != 0)
        _exit(2);
    notify_socket_close(&s);
}

static void close_unread(int fd)
{
    struct notify_socket s = open_socket(0);

    for (int i = 0; i < 5; i++)
        if (send_to(&s, "READY=1", 7, i % 2 == 0 ? fd : -1, i % 2 == 0 ? 253 : 0) < 0)
            _exit(1);
    close(fd);
    notify_socket_close(&s);
}

/* The limit is below what one datagram needs: nothing of it is ever ours. */
static void without_room(int fd)
{
    struct notify_socket s = open_socket(0);
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || send_to(&s, "READY=1", 7, fd, 253) < 0)
        _exit(1);
    close(fd);
    limit.rlim_cur = (rlim_t)s.fd + 4;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        _exit(1);
    if (receive(&s).fields != NOTIFY_READY)
        _exit(2);
    notify_socket_close(&s);
}

static void (*const prompt[])(int fd) = {receive_and_close, close_unread, without_room};

static void test_lingering_sockets(void **state)
{
    for (size_t i = 0; i < sizeof prompt / sizeof *prompt; i++) {
        assert_int_equal(is_prompt(prompt[i], lingering_socket()), 0);
        close(lingering_peer);
    }
}

static char stuck_folder[64];

static void start_stuck(struct stuck_fs *fs)
{
    int r;

    snprintf(stuck_folder, sizeof stuck_folder, "%s/stuck", folder);
    assert_int_equal(mkdir(stuck_folder, 0755), 0);
    r = geteuid() == 0 ? stuck_fs_start(fs, stuck_folder) : -EPERM;
    if (r < 0) {
        rmdir(stuck_folder);
        print_message("SKIP: no file system of our own here: %s\n", strerror(-r));
        skip();
    }
}

/* Passes a file that hangs, and hangs itself at its end, until the file system has ended. */
static void send_stuck(const struct notify_socket *s, unsigned times)
{
    char path[80];
    pid_t pid = fork();

    if (pid == 0) {
        snprintf(path, sizeof path, "%s/flush", stuck_folder);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        while (fd >= 0 && times-- > 0)
            (void)send_to(s, "READY=1", 7, fd, 1);
        _exit(0);
    }
}

static void end_stuck(struct stuck_fs *fs)
{
    stuck_fs_end(fs, stuck_folder);
    assert_int_equal(rmdir(stuck_folder), 0);
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

/* Those that hang are limited; when they are free, all goes on. */
static void test_too_many_hang(void **state)
{
    struct notify_socket s = open_socket(0);
    struct notify_message m;
    struct stuck_fs fs;
    int r;

    start_stuck(&fs);
    send_stuck(&s, NOTIFY_DROPS_MAX + 1);
    for (unsigned i = 0; i < NOTIFY_DROPS_MAX; i++)
        assert_int_equal(receive(&s).fields, NOTIFY_READY);
    assert_int_equal(poll(&(struct pollfd){.fd = s.fd, .events = POLLIN}, 1, 30000), 1);
    assert_int_equal(notify_receive(&s, &m), -EBUSY);
    end_stuck(&fs);
    while ((r = notify_receive(&s, &m)) == -EBUSY)
        usleep(1000);
    assert_int_equal(r, 1);
    assert_int_equal(m.fields, NOTIFY_READY);
    notify_socket_close(&s);
}

/* With what hangs in the queue, and some that hang already. */
static void test_closing_does_not_hang(void **state)
{
    struct notify_socket s = open_socket(0);
    unsigned fds = count_fds();
    struct stuck_fs fs;

    start_stuck(&fs);
    send_stuck(&s, NOTIFY_DROPS_MAX + 3);
    for (unsigned i = 0; i < NOTIFY_DROPS_MAX; i++)
        assert_int_equal(receive(&s).fields, NOTIFY_READY);
    notify_socket_close(&s);
    assert_int_equal(count_fds(), fds - 1);
    end_stuck(&fs);
}

/* What libsystemd sends, its barrier included. */
static void test_sd_notify(void **state)
{
    struct notify_socket s = open_socket(0);
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        setenv("NOTIFY_SOCKET", s.path, 1);
        if (sd_notify(0, "READY=1\nSTATUS=from libsystemd") <= 0)
            _exit(1);
        _exit(sd_notify_barrier(0, 30 * 1000000) > 0 ? 0 : 2);
    }
    assert_int_equal(receive(&s).fields, NOTIFY_READY | NOTIFY_STATUS);
    assert_int_equal(receive(&s).fields, NOTIFY_BARRIER);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    notify_socket_close(&s);
}

/* ---- senders --------------------------------------------------------------------------------- */

/* A process of a given descent sends READY=1 and stays until it is told to go. */
struct cast {
    struct notify_socket socket;
    int hold[2]; /* its end closes when all shall go */
};

static void stay(const struct cast *c)
{
    char byte;

    (void)!read(c->hold[0], &byte, 1);
    _exit(0);
}

static void speak(const struct cast *c)
{
    (void)send_to(&c->socket, "READY=1", 7, -1, 0);
}

static void speak_and_stay(const struct cast *c)
{
    speak(c);
    stay(c);
}

static void as_worker(const struct cast *c)
{
    speak_and_stay(c);
}

static void as_child(const struct cast *c)
{
    if (fork() == 0)
        speak_and_stay(c);
    stay(c);
}

static void as_great_grandchild(const struct cast *c)
{
    if (fork() == 0 && setsid() > 0) {
        if (fork() == 0 && fork() == 0)
            speak_and_stay(c);
        stay(c);
    }
    stay(c);
}

/* Its parent has exited, so that it belongs to the supervisor. */
static void as_orphan(const struct cast *c)
{
    pid_t pid = fork();

    if (pid == 0) {
        pid_t parent = getpid();

        if (fork() != 0)
            _exit(0);
        while (getppid() == parent)
            usleep(1000);
        speak_and_stay(c);
    }
    (void)waitpid(pid, NULL, 0);
    stay(c);
}

/* Has left the session as well: nothing tells any more where it comes from. */
static void as_daemon(const struct cast *c)
{
    pid_t pid = fork();

    if (pid == 0) {
        pid_t parent = getpid();

        if (fork() != 0)
            _exit(0);
        (void)setsid();
        while (getppid() == parent)
            usleep(1000);
        speak_and_stay(c);
    }
    (void)waitpid(pid, NULL, 0);
    stay(c);
}

static void as_helper_that_is_gone(const struct cast *c)
{
    pid_t pid = fork();

    if (pid == 0) {
        speak(c);
        _exit(0);
    }
    (void)waitpid(pid, NULL, 0);
    speak(c); /* a second message: the helper has been reaped */
    stay(c);
}

/* A command that tries to look like the fields of /proc/PID/stat. */
static void as_child_with_a_name(const struct cast *c)
{
    if (fork() == 0) {
        (void)prctl(PR_SET_NAME, ") S 1 1 1 (");
        speak_and_stay(c);
    }
    stay(c);
}

static pid_t start_worker(const struct cast *c, void (*play)(const struct cast *))
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        close(c->hold[1]);
        (void)setsid();
        play(c);
        _exit(1);
    }
    return pid;
}

static void end(struct cast *c)
{
    close(c->hold[1]);
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    close(c->hold[0]);
    notify_socket_close(&c->socket);
}

static struct cast begin(void)
{
    struct cast c = {.socket = open_socket(0)};

    assert_int_equal(pipe2(c.hold, O_CLOEXEC), 0);
    return c;
}

static bool is_one_of(pid_t pid, void *userdata)
{
    for (const pid_t *known = userdata; *known; known++)
        if (*known == pid)
            return true;
    return false;
}

/* What the supervisor knows of a worker, and who asks. */
static int check_sender(const struct notify_message *m, pid_t worker, const pid_t *known, uid_t uid)
{
    return notify_sender_check(m, &(struct family){.tree = {.pid = worker}, .group = CGROUP_NONE},
                               uid, is_one_of, (void *)known);
}

static void test_senders(void **state)
{
    static const struct {
        void (*play)(const struct cast *);
        int result;
    } cases[] = {
        {as_worker, NOTIFY_FROM_WORKER},
        {as_child, NOTIFY_FROM_HELPER},
        {as_child_with_a_name, NOTIFY_FROM_HELPER},
        {as_great_grandchild, NOTIFY_FROM_HELPER},
        {as_orphan, NOTIFY_FROM_HELPER},
        {as_daemon, NOTIFY_FROM_DAEMON},
    };

    /* As the supervisor is. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cast c = begin();
        pid_t worker = start_worker(&c, cases[i].play);
        struct notify_message m = receive(&c.socket);
        int r = check_sender(&m, worker, (pid_t[]){worker, 0}, geteuid());

        if (r != cases[i].result)
            fail_msg("case %zu: %d", i, r);
        end(&c);
    }
}

static void test_gone_sender(void **state)
{
    struct cast c = begin();
    pid_t worker = start_worker(&c, as_helper_that_is_gone);
    struct notify_message helper = receive(&c.socket), second = receive(&c.socket);

    assert_int_equal(second.pid, worker);
    assert_int_equal(check_sender(&helper, worker, (pid_t[]){worker, 0}, geteuid()),
                     NOTIFY_FROM_GONE);
    assert_int_equal(check_sender(&helper, worker, (pid_t[]){worker, 0}, geteuid() + 1), -EPERM);
    end(&c);
}

/* Another slot's worker, its helper, ourselves, process 1, and nobody. */
static void test_strangers(void **state)
{
    struct cast c = begin();
    pid_t worker = start_worker(&c, stay), other = start_worker(&c, as_worker), third;
    struct notify_message m = receive(&c.socket);
    pid_t known[] = {worker, other, 0, 0};

    assert_int_equal(m.pid, other);
    assert_int_equal(check_sender(&m, worker, known, geteuid()), -EPERM);
    third = known[2] = start_worker(&c, as_child);
    m = receive(&c.socket);
    assert_int_not_equal(m.pid, third);
    assert_int_equal(check_sender(&m, worker, known, geteuid()), -EPERM);
    assert_int_equal(check_sender(&m, third, known, geteuid()), NOTIFY_FROM_HELPER);
    m.pid = getpid();
    assert_int_equal(check_sender(&m, worker, known, geteuid()), -EPERM);
    m.pid = 1;
    assert_int_equal(check_sender(&m, worker, known, geteuid()), -EPERM);
    m.pid = 0;
    assert_int_equal(check_sender(&m, worker, known, geteuid()), -EPERM);
    end(&c);
}

/* Its path leads to another socket after it was removed; who is connected to the old one is heard.
 */
static void test_path_is_removed(void **state)
{
    struct notify_socket old = open_socket(3), fresh;
    struct problem p = {0};
    int connected = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    strcpy(address.sun_path, old.path);
    assert_int_equal(connect(connected, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_true(notify_socket_is_there(&old));
    assert_int_equal(unlink(old.path), 0);
    assert_false(notify_socket_is_there(&old));
    assert_int_equal(notify_socket_renew(&fresh, &old, geteuid(), getegid(), &p), 0);
    assert_string_equal(fresh.path, old.path);
    assert_true(notify_socket_is_there(&fresh));
    assert_false(notify_socket_is_there(&old));
    assert_int_equal(send(connected, "READY=1", 7, 0), 7);
    assert_int_equal(receive(&old).fields, NOTIFY_READY);
    assert_int_equal(send_to(&fresh, "STOPPING=1", 10, -1, 0), 0);
    assert_int_equal(receive(&fresh).fields, NOTIFY_STOPPING);
    close(connected);
    notify_socket_close(&old);
    assert_true(notify_socket_is_there(&fresh));
    notify_socket_close(&fresh);
    assert_false(notify_socket_is_there(&fresh));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_status_is_harmless),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_path_owner_mode),
        cmocka_unit_test(test_other_users),
        cmocka_unit_test(test_cannot_be_made),
        cmocka_unit_test(test_child_does_not_unlink),
        cmocka_unit_test(test_receive),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_passed_fds_are_closed),
        cmocka_unit_test(test_lingering_sockets),
        cmocka_unit_test(test_too_many_hang),
        cmocka_unit_test(test_closing_does_not_hang),
        cmocka_unit_test(test_sd_notify),
        cmocka_unit_test(test_senders),
        cmocka_unit_test(test_gone_sender),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_path_is_removed),
    };

    alarm(100); /* some cases wait for what a defect would keep from happening */
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
