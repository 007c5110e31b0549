/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Files, ports and the scope, live; and what older kernels would be told. */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "inside.h"
#include "enter/landlock.h"

#define FASTOPEN 0x20000000
#define MPTCP    262

static char directory[64];

static const char *in(const char *name)
{
    static char paths[8][160];
    static unsigned n;
    char *path = paths[n++ % 8];

    (void)snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

static int said(long r)
{
    return r < 0 ? errno : 0;
}

/* ---- files ----------------------------------------------------------------------------------- */

static int open_to(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    int r = said(fd);

    if (fd >= 0)
        close(fd);
    return r;
}

static int read_ro(const void *arg)
{
    return open_to(in("ro/file"), O_RDONLY);
}
static int write_ro(const void *arg)
{
    return open_to(in("ro/file"), O_WRONLY);
}
static int create_ro(const void *arg)
{
    return open_to(in("ro/new"), O_WRONLY | O_CREAT);
}
static int truncate_ro(const void *arg)
{
    return said(truncate(in("ro/file"), 0));
}
static int list_ro(const void *arg)
{
    return open_to(in("ro"), O_RDONLY | O_DIRECTORY);
}
static int list_parent(const void *arg)
{
    return open_to(directory, O_RDONLY | O_DIRECTORY);
}
static int read_other(const void *arg)
{
    return open_to(in("other"), O_RDONLY);
}
static int read_by_dots(const void *arg)
{
    return open_to(in("ro/../other"), O_RDONLY);
}
static int read_by_link(const void *arg)
{
    return open_to(in("ro/link"), O_RDONLY);
}
static int create_rw(const void *arg)
{
    return open_to(in("rw/new"), O_RDWR | O_CREAT);
}
static int truncate_rw(const void *arg)
{
    return said(truncate(in("rw/file"), 1));
}
static int rename_within(const void *arg)
{
    return said(rename(in("rw/file"), in("rw/sub/file")))
               ?: said(rename(in("rw/sub/file"), in("rw/file")));
}
static int rename_out(const void *arg)
{
    int r = said(rename(in("rw/file"), in("ro/file2")));
    return r == EXDEV ? EACCES : r;
}
static int link_in(const void *arg)
{
    int r = said(link(in("other"), in("rw/linked")));
    return r == EXDEV ? EACCES : r;
}
static int make_socket(const void *arg)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    (void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", in("rw/socket"));
    return said(bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&to, sizeof(to)));
}
static int make_device(const void *arg)
{
    return said(mknod(in("rw/device"), S_IFCHR | 0600, 0x103));
}
static int exec_path(const char *path)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        (void)execl(path, "true", (char *)NULL);
        _exit(errno);
    }
    (void)waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}
static int exec_ro(const void *arg)
{
    return exec_path(in("ro/true"));
}
static int exec_rw(const void *arg)
{
    return exec_path(in("rw/true"));
}
static int write_both(const void *arg)
{
    return open_to(in("both/file"), O_WRONLY | O_CREAT);
}
static int exec_both(const void *arg)
{
    return exec_path(in("both/true"));
}
static int one_file(const void *arg)
{
    return open_to(in("single"), O_RDWR);
}
static int its_sibling(const void *arg)
{
    return open_to(in("single2"), O_RDONLY);
}

static void files(void **state)
{
    static const struct {
        const char *what;
        int (*fn)(const void *arg);
        int error, abi;
    } cases[] = {
        {"read", read_ro, 0, 1},
        {"write read-only", write_ro, EACCES, 1},
        {"create in read-only", create_ro, EACCES, 1},
        {"truncate read-only", truncate_ro, EACCES, 3},
        {"list read-only", list_ro, 0, 1},
        {"list the parent", list_parent, EACCES, 1},
        {"read something else", read_other, EACCES, 1},
        {"read something else by ..", read_by_dots, EACCES, 1},
        {"read something else by a link", read_by_link, EACCES, 1},
        {"create in read-write", create_rw, 0, 1},
        {"truncate read-write", truncate_rw, 0, 3},
        {"rename in read-write", rename_within, 0, 2},
        {"rename out of it", rename_out, EACCES, 2},
        {"link into it", link_in, EACCES, 2},
        {"bind in read-write", make_socket, 0, 1},
        {"make a device", make_device, EACCES, 1},
        {"execute read-only", exec_ro, 0, 1},
        {"execute read-write", exec_rw, EACCES, 1},
        {"write what is in both lists", write_both, 0, 1},
        {"execute what is in both lists", exec_both, 0, 1},
        {"a file by itself", one_file, 0, 1},
        {"the file beside it", its_sibling, EACCES, 1},
    };
    inside_needs_landlock(1);
    const char *read_only[] = {in("ro"), in("both"),         "/lib", "/usr/lib",
                               "/lib64", "/etc/ld.so.cache", NULL};
    const char *read_write[] = {in("rw"), in("both"), in("single"), NULL};
    ait_sandbox *s =
        inside_sandbox(AIT_SANDBOX_OPTIONS(.read_only = read_only, .read_write = read_write,
                                           .flags = AIT_SANDBOX_KEEP_CAPABILITIES));
    assert_non_null(strstr(ait_sandbox_text(s), "files"));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (landlock_abi() < cases[i].abi)
            continue;
        int r = inside(s, cases[i].fn, NULL);
        if (r != cases[i].error)
            fail_msg("%s: %s", cases[i].what, strerror(r));
    }
    ait_sandbox_unref(s);
}

static int ioctl_outside(const void *arg)
{
    int fd = open("/dev/full", O_RDWR | O_CLOEXEC), size;
    return fd < 0 ? errno : said(ioctl(fd, FIONREAD, &size));
}

/* FIONREAD is spared by the kernel on purpose; what a device alone knows is not. */
static int terminal_outside(const void *arg)
{
    struct termios t;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? errno : said(ioctl(fd, TCGETS, &t));
}

static void devices(void **state)
{
    inside_needs_landlock(5);
    const char *null[] = {"/dev/null", "/dev/full", NULL};
    ait_sandbox *ro = inside_sandbox(
        AIT_SANDBOX_OPTIONS(.read_only = null, .flags = AIT_SANDBOX_KEEP_CAPABILITIES));
    ait_sandbox *rw = inside_sandbox(
        AIT_SANDBOX_OPTIONS(.read_write = null, .flags = AIT_SANDBOX_KEEP_CAPABILITIES));

    assert_int_equal(inside(ro, terminal_outside, NULL), EACCES);
    assert_int_equal(inside(rw, terminal_outside, NULL), ENOTTY);
    assert_int_not_equal(inside(rw, ioctl_outside, NULL), EACCES);
    ait_sandbox_unref(ro);
    ait_sandbox_unref(rw);
}

static void nothing_at_all(void **state)
{
    inside_needs_landlock(1);
    const char *none[] = {NULL};
    ait_sandbox *s = inside_sandbox(
        AIT_SANDBOX_OPTIONS(.read_only = none, .flags = AIT_SANDBOX_KEEP_CAPABILITIES));

    assert_int_equal(inside(s, read_ro, NULL), EACCES);
    assert_int_equal(inside(s, list_parent, NULL), EACCES);
    ait_sandbox_unref(s);
}

static void missing_paths_are_named(void **state)
{
    inside_needs_landlock(1);
    const char *paths[] = {"/", "/nonexistent/path", NULL};
    ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
    ait_sandbox *s = NULL;

    assert_int_equal(ait_sandbox_new(&s, AIT_SANDBOX_OPTIONS(.read_write = paths), &problem),
                     -ENOENT);
    assert_null(s);
    assert_non_null(strstr(problem.message, "read-write=/nonexistent/path"));
    assert_int_equal(problem.error, -ENOENT);
}

/* ---- ports ----------------------------------------------------------------------------------- */

static struct sockaddr_in local(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int listen_somewhere(uint16_t *ret_port)
{
    struct sockaddr_in at = local(0);
    socklen_t size = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static int connect_by(int protocol, int flags, uint16_t port)
{
    struct sockaddr_in to = local(port);
    struct iovec data = {.iov_base = "x", .iov_len = 1};
    struct mmsghdr message = {
        .msg_hdr = {.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &data, .msg_iovlen = 1}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, protocol);

    if (fd < 0)
        return errno;
    if (flags == 0)
        return said(connect(fd, (struct sockaddr *)&to, sizeof(to)));
    if (flags == 1)
        return said(sendto(fd, "x", 1, FASTOPEN, (struct sockaddr *)&to, sizeof(to)));
    if (flags == 2)
        return said(sendmsg(fd, &message.msg_hdr, FASTOPEN));
    return said(sendmmsg(fd, &message, 1, FASTOPEN));
}

struct attempt {
    int protocol, way;
    uint16_t port;
};

static int connect_as(const void *arg)
{
    const struct attempt *a = arg;
    return connect_by(a->protocol, a->way, a->port);
}

static void ports(void **state)
{
    uint16_t allowed, other;
    int fds[] = {listen_somewhere(&allowed), listen_somewhere(&other)};

    inside_needs_landlock(4);
    ait_sandbox *s =
        inside_sandbox(AIT_SANDBOX_OPTIONS(.connect_ports = &allowed, .n_connect_ports = 1,
                                           .flags = AIT_SANDBOX_KEEP_CAPABILITIES));
    ait_sandbox *nowhere = inside_sandbox(
        AIT_SANDBOX_OPTIONS(.connect_ports = &allowed, .flags = AIT_SANDBOX_KEEP_CAPABILITIES));
    const struct {
        ait_sandbox *sandbox;
        struct attempt attempt;
        int error;
    } cases[] = {
        {NULL, {0, 0, other}, 0},       {s, {0, 0, allowed}, 0},
        {s, {0, 0, other}, EACCES},     {nowhere, {0, 0, allowed}, EACCES},
        {s, {0, 1, other}, EOPNOTSUPP}, {s, {0, 2, other}, EOPNOTSUPP},
        {s, {0, 3, other}, EOPNOTSUPP}, {s, {MPTCP, 0, other}, EPROTONOSUPPORT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int r = inside(cases[i].sandbox, connect_as, &cases[i].attempt);
        if (r != cases[i].error)
            fail_msg("case %zu: %s", i, strerror(r));
    }
    ait_sandbox_unref(s);
    ait_sandbox_unref(nowhere);
    close(fds[0]);
    close(fds[1]);
}

/* ---- scope ----------------------------------------------------------------------------------- */

static int signal_parent(const void *arg)
{
    return said(kill(getppid(), 0));
}

static int signal_child(const void *arg)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    int r = said(kill(pid, SIGKILL));
    (void)waitpid(pid, NULL, 0);
    return r;
}

static socklen_t abstract(struct sockaddr_un *to, const char *kind)
{
    *to = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n =
        snprintf(to->sun_path + 1, sizeof(to->sun_path) - 1, "test-landlock-%s-%d", kind, getpid());
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

struct there {
    struct sockaddr_un address;
    socklen_t size;
};

static int connect_abstract(const void *arg)
{
    const struct there *there = arg;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return said(connect(fd, (const struct sockaddr *)&there->address, there->size));
}

static int connect_own_abstract(const void *arg)
{
    struct there there;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    there.size = abstract(&there.address, "in");
    if (bind(fd, (struct sockaddr *)&there.address, there.size) < 0 || listen(fd, 1) < 0)
        return errno;
    return connect_abstract(&there);
}

static void scope(void **state)
{
    struct there there;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    inside_needs_landlock(6);
    there.size = abstract(&there.address, "out");
    assert_int_equal(bind(fd, (struct sockaddr *)&there.address, there.size), 0);
    assert_int_equal(listen(fd, 4), 0);
    ait_sandbox *s = inside_sandbox(
        AIT_SANDBOX_OPTIONS(.flags = AIT_SANDBOX_SCOPE | AIT_SANDBOX_KEEP_CAPABILITIES));
    assert_int_equal(inside(NULL, signal_parent, NULL), 0);
    assert_int_equal(inside(s, signal_parent, NULL), EPERM);
    assert_int_equal(inside(s, signal_child, NULL), 0);
    assert_int_equal(inside(NULL, connect_abstract, &there), 0);
    assert_int_equal(inside(s, connect_abstract, &there), EPERM);
    assert_int_equal(inside(s, connect_own_abstract, NULL), 0);
    assert_int_equal(inside(s, read_other, NULL), 0);
    ait_sandbox_unref(s);
    close(fd);
}

/* ---- older kernels --------------------------------------------------------------------------- */

static int enter_ruleset(const void *arg)
{
    const struct landlock_result *result = arg;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return errno;
    return said(syscall(SYS_landlock_restrict_self, result->fd, result->flags)) ?: write_ro(NULL);
}

static void older_kernels(void **state)
{
    const char *paths[] = {in("ro"), NULL};
    const uint16_t port = 80;
    static const struct {
        int abi, files, connect;
        const char *text, *lacking;
    } cases[] = {
        {0, -EOPNOTSUPP, -EOPNOTSUPP, "", ""},
        {1, 0, -EOPNOTSUPP, "files",
         "truncate() is not confined (ABI 3), ioctl() on devices is not confined (ABI 5), "},
        {2, 0, -EOPNOTSUPP, "files",
         "truncate() is not confined (ABI 3), ioctl() on devices is not confined (ABI 5), "},
        {3, 0, -EOPNOTSUPP, "files", "ioctl() on devices is not confined (ABI 5), "},
        {4, 0, 0, "files", "ioctl() on devices is not confined (ABI 5), "},
        {5, 0, 0, "files", ""},
        {6, 0, 0, "files, scope", NULL},
        {7, 0, 0, "files, scope", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]) && cases[i].abi <= landlock_abi();
         i++) {
        ait_sandbox_problem problem = AIT_SANDBOX_PROBLEM_INIT;
        struct landlock_result result = {.fd = 4711};
        char lacking[200] = "";
        int r = landlock_make(AIT_SANDBOX_OPTIONS(.read_only = paths, .flags = AIT_SANDBOX_SCOPE),
                              cases[i].abi, &result, &problem);
        assert_int_equal(r, cases[i].files);
        if (r < 0) {
            assert_int_equal(result.fd, 4711);
            assert_non_null(strstr(problem.message, "read-only needs Landlock"));
        } else {
            assert_string_equal(result.text, cases[i].text);
            if (cases[i].lacking)
                (void)snprintf(lacking, sizeof(lacking),
                               "%ssignals and abstract sockets are not confined (ABI 6)",
                               cases[i].lacking);
            assert_string_equal(result.lacking, lacking);
            assert_int_equal(inside(NULL, enter_ruleset, &result), EACCES);
            assert_int_equal(fcntl(result.fd, F_GETFD), FD_CLOEXEC);
            close(result.fd);
        }
        r = landlock_make(AIT_SANDBOX_OPTIONS(.connect_ports = &port, .n_connect_ports = 1),
                          cases[i].abi, &result, &problem);
        assert_int_equal(r, cases[i].connect);
        if (r >= 0)
            close(result.fd);
        else if (cases[i].abi > 0)
            assert_non_null(
                strstr(problem.message, "connect needs Landlock ABI 4, and this kernel has ABI"));
    }
}

/* ---- a ruleset for its own sake -------------------------------------------------------------- */

static pid_t other;

/* 0 where it works as outside, but for another process: 100 + what /proc says. */
static int only_ptrace_is_confined(const void *arg)
{
    const struct landlock_result *result = arg;
    char path[64];
    int r;

    (void)snprintf(path, sizeof(path), "/proc/%d/mem", other);
    r = open_to(path, O_RDONLY);
    if (r != 0)
        return r;
    if (result->fd >= 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
                            syscall(SYS_landlock_restrict_self, result->fd, result->flags) < 0))
        return errno;
    r = write_ro(NULL) ?: read_other(NULL) ?: create_rw(NULL) ?: truncate_rw(NULL) ?: list_parent(NULL);
    r = r ?: said(rename(in("rw/file"), in("rw/sub/file"))) ?: said(rename(in("rw/sub/file"), in("rw/file")));
    if (r == 0 && geteuid() == 0)
        r = said(mknod(in("rw/null"), S_IFCHR | 0600, 0x103)) ?: said(unlink(in("rw/null")));
    return r ?: said(kill(other, 0)) ?: 100 + open_to(path, O_RDONLY);
}

static void ptrace_without_scope(void **state)
{
    static const struct {
        int abi;
        const char *text, *lacking;
        int result;
    } cases[] = {
        {1, "",
         "signals and abstract sockets are not confined (ABI 6), ptrace is not confined (ABI 2)",
         100},
        {2, "ptrace", "signals and abstract sockets are not confined (ABI 6)", 100 + EACCES},
        {4, "ptrace", "signals and abstract sockets are not confined (ABI 6)", 100 + EACCES},
        {5, "ptrace", "signals and abstract sockets are not confined (ABI 6)", 100 + EACCES},
    };

    other = fork();
    assert_true(other >= 0);
    if (other == 0)
        for (;;)
            pause();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]) && cases[i].abi <= landlock_abi();
         i++) {
        struct landlock_result result;
        assert_int_equal(landlock_make(AIT_SANDBOX_OPTIONS(.flags = AIT_SANDBOX_SCOPE),
                                       cases[i].abi, &result, NULL),
                         0);
        assert_string_equal(result.text, cases[i].text);
        assert_string_equal(result.lacking, cases[i].lacking);
        assert_false(result.signals);
        assert_int_equal(inside(NULL, only_ptrace_is_confined, &result), cases[i].result);
        if (result.fd >= 0)
            close(result.fd);
    }
    kill(other, SIGKILL);
    assert_int_equal(waitpid(other, NULL, 0), other);
}

static void nothing_to_restrict(void **state)
{
    struct landlock_result result;

    assert_int_equal(landlock_make(AIT_SANDBOX_OPTIONS(.flags = 0), landlock_abi(), &result, NULL),
                     0);
    assert_int_equal(result.fd, -1);
    assert_string_equal(result.text, "");
    assert_int_equal(
        landlock_make(AIT_SANDBOX_OPTIONS(.flags = AIT_SANDBOX_SCOPE), 0, &result, NULL), 0);
    assert_int_equal(result.fd, -1);
    assert_non_null(strstr(result.lacking, "ABI 6"));
}

/* ---- the place ------------------------------------------------------------------------------- */

static int make_place(void **state)
{
    char command[700];

    (void)snprintf(directory, sizeof(directory), "/tmp/test-landlock.XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    (void)snprintf(command, sizeof(command),
                   "cd %s && mkdir ro rw rw/sub both && for d in ro rw both; do cp -L /bin/true "
                   "$d/true && echo text >$d/file; done && echo text >other && echo text >single "
                   "&& echo text >single2 && ln -s ../other ro/link",
                   directory);
    return system(command);
}

static int remove_place(void **state)
{
    char command[100];

    (void)snprintf(command, sizeof(command), "rm -rf %s", directory);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files),
        cmocka_unit_test(devices),
        cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(missing_paths_are_named),
        cmocka_unit_test(ports),
        cmocka_unit_test(scope),
        cmocka_unit_test(older_kernels),
        cmocka_unit_test(nothing_to_restrict),
        cmocka_unit_test(ptrace_without_scope),
    };
    return cmocka_run_group_tests(tests, make_place, remove_place);
}
