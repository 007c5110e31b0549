/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a process has from its parent: ignored signals, closed standard fds, names and directories.
 */

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* In a child of its own; cmocka is the parent's. */
static void run_forked(int (*fn)(void))
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)alarm(60);
        check_failures = 0;
        _exit(fn() < 0 || check_failures > 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* ---- SIGCHLD is ignored ---------------------------------------------------------------------- */

static int ignored_main(void *userdata)
{
    for (unsigned flags = 0; flags <= AIT_SPAWN_PROCESS_GROUP; flags += AIT_SPAWN_PROCESS_GROUP) {
        ait_process_result result = {.size = sizeof(result)};
        AIT_CHILD(c);
        int r;

        CHECK_EQ(ait_run_process(&result, AIT_ARGV("sh", "-c", "echo out; echo err >&2; exit 3"),
                                 NULL, 0, AIT_SPAWN_OPTIONS(.flags = flags)),
                 0);
        CHECK(result.out && strcmp(result.out, "out\n") == 0);
        CHECK(result.err && strcmp(result.err, "err\n") == 0);
        /* Linux 6.15 still knows; else it is said that nobody does. */
        CHECK(result.exit_code == 3 || result.exit_code == -ECHILD);
        ait_process_result_free(&result);

        CHECK_EQ(ait_spawn(&c, AIT_ARGV("sleep", "100"), AIT_SPAWN_OPTIONS(.flags = flags)), 0);
        CHECK_EQ(ait_child_terminate(c, SIGTERM, 20 * AIT_USEC_PER_SEC), 0);
        r = ait_child_wait(c, NULL);
        CHECK(r == -ECHILD || (r == 0 && ait_child_exit_code(c) == 128 + SIGTERM));
    }
    return 0;
}

static int with_sigchld_ignored(void)
{
    (void)signal(SIGCHLD, SIG_IGN);
    return ait_run(ignored_main, NULL, 0);
}

/* ---- the standard fds are closed ------------------------------------------------------------- */

static int closed_main(void *userdata)
{
    int fds[2];
    char c;

    /* Nothing of the loop is in their places, so that the program may use them as it likes. */
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            _exit(10 + fd);
    for (int fd = 0; fd < 3; fd++)
        if (open("/dev/null", O_RDWR) != fd) /* NOLINT(android-cloexec-open) */
            _exit(20 + fd);
    CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    CHECK_EQ(ait_write(fds[1], "x", 1), 1);
    CHECK_EQ(ait_read(fds[0], &c, 1), 1);
    return ait_sleep(1);
}

static int with_stdio_closed(void)
{
    for (int fd = 0; fd < 3; fd++)
        (void)close(fd);
    return ait_run(closed_main, NULL, 0);
}

static void test_inherited(void **unused)
{
    run_forked(with_sigchld_ignored);
    run_forked(with_stdio_closed);
}

/* ---- PATH names directories of ours ---------------------------------------------------------- */

static char directory[] = "/tmp/ait-inherited-XXXXXX";

static void script(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    CHECK(f != NULL);
    (void)fprintf(f, "#!/bin/sh\necho %s\n", text);
    CHECK_EQ(fchmod(fileno(f), 0755), 0);
    (void)fclose(f);
}

static int path_main(void *userdata)
{
    static const struct {
        const char *path, *cwd;
    } rows[] = {
        {"bin:/usr/bin:/bin", NULL}, {"bin:/usr/bin:/bin", "other"}, {"bin:/usr/bin:/bin", "empty"},
        {"./bin:/bin", "other"},     {"other/../bin:/bin", "other"}, {"none:bin:/bin", "other/bin"},
    };

    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        ait_process_result result = {.size = sizeof(result)};

        CHECK_EQ(setenv("PATH", rows[i].path, 1), 0);
        CHECK_EQ(ait_run_process(&result, AIT_ARGV("tool"), NULL, 0,
                                 AIT_SPAWN_OPTIONS(.cwd = rows[i].cwd)),
                 0);
        if (!CHECK(result.out && strcmp(result.out, "ours\n") == 0))
            (void)fprintf(stderr, "  PATH=%s in %s\n", rows[i].path, rows[i].cwd);
        ait_process_result_free(&result);
    }
    /* An empty directory is the working directory. */
    CHECK_EQ(chdir("bin"), 0);
    CHECK_EQ(setenv("PATH", ":/bin", 1), 0);
    ait_process_result result = {.size = sizeof(result)};
    CHECK_EQ(ait_run_process(&result, AIT_ARGV("tool"), NULL, 0, AIT_SPAWN_OPTIONS(.cwd = "/")), 0);
    CHECK(result.out && strcmp(result.out, "ours\n") == 0);
    ait_process_result_free(&result);
    CHECK_EQ(chdir(".."), 0);
    return 0;
}

static int with_relative_path(void)
{
    if (mkdir("bin", 0755) < 0 || mkdir("other", 0755) < 0 || mkdir("other/bin", 0755) < 0 ||
        mkdir("empty", 0755) < 0)
        return -errno;
    script("bin/tool", "ours");
    script("other/bin/tool", "another");
    return ait_run(path_main, NULL, 0);
}

/* ---- names of files -------------------------------------------------------------------------- */

static int content_is(const char *path, const char *text)
{
    void *data = NULL;
    size_t n = 0;
    int r;

    r = ait_read_file(&data, &n, path, 100);
    CHECK(r == 0 && n == strlen(text) && memcmp(data, text, n) == 0);
    free(data);
    return r;
}

static unsigned n_files(const char *path)
{
    char command[64], line[16] = "";
    FILE *f;

    (void)snprintf(command, sizeof(command), "ls -A %s | wc -l", path);
    f = popen(command, "re"); /* NOLINT(cert-env33-c) */
    CHECK(f && fgets(line, sizeof(line), f));
    (void)pclose(f);
    return (unsigned)strtoul(line, NULL, 10);
}

static int change_directory(void *userdata)
{
    return chdir(userdata);
}

static int names_main(void *userdata)
{
    static const size_t lengths[] = {1, 100, 240, 247, 248, 249, 250, 254, 255};
    char name[300] = {};
    AIT_SCOPE(scope);

    for (size_t i = 0; i < ELEMENTS(lengths); i++) {
        memset(name, 'n', lengths[i]);
        name[lengths[i]] = '\0';
        CHECK_EQ(ait_write_file(name, "x", 1, 0600), 0);
        CHECK_EQ(content_is(name, "x"), 0);
        CHECK_EQ(unlink(name), 0);
    }
    memset(name, 'n', 256);
    CHECK_EQ(ait_write_file(name, "x", 1, 0600), -ENAMETOOLONG);
    CHECK_EQ(ait_write_file("", "x", 1, 0600), -ENOENT);
    CHECK_EQ(ait_write_file("one/", "x", 1, 0600), -EISDIR);
    CHECK_EQ(ait_write_file("none/x", "x", 1, 0600), -ENOENT);
    /* The directory of a relative name is the one of the beginning. */
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(ait_scope_enter(&scope, 0), 0);
        CHECK_EQ(ait_scope_spawn(scope, NULL, change_directory, i % 2 ? ".." : "one", NULL), 0);
        CHECK_EQ(ait_write_file("both", "x", 1, 0600), 0);
        CHECK_EQ(ait_scope_exit(scope, 0), 0);
        scope = ait_scope_leave(scope);
    }
    CHECK(n_files(".") <= 2 && n_files("one") <= 1);
    return 0;
}

static int with_long_names(void)
{
    return mkdir("one", 0700) < 0 ? -errno : ait_run(names_main, NULL, 0);
}

static void in_directory(int (*fn)(void))
{
    char remove[64];
    int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)snprintf(directory, sizeof(directory), "/tmp/ait-inherited-XXXXXX");
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chdir(directory), 0);
    run_forked(fn);
    assert_int_equal(fchdir(before), 0);
    (void)close(before);
    (void)snprintf(remove, sizeof(remove), "rm -rf %s", directory);
    assert_int_equal(system(remove), 0); /* NOLINT(cert-env33-c) */
}

static void test_names(void **unused)
{
    in_directory(with_relative_path);
    in_directory(with_long_names);
}

/* ---- ports ----------------------------------------------------------------------------------- */

static int ports_main(void *userdata)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
    socklen_t len = sizeof(a);
    long port;

    CHECK_EQ(bind(listener, (struct sockaddr *)&a, len), 0);
    CHECK_EQ(listen(listener, 16), 0);
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    port = ntohs(a.sin_port);
    const struct {
        const char *format;
        long port;
        bool connects;
    } rows[] = {
        {"%ld", port, true},
        {"%05ld", port, true},
        {"%010ld", port, true},
        {"%ld", port + 65536, false},
        {"%ld", port - 65536, false},
        {"%ld", port + 655360, false},
        {"%ld", port + (1L << 32), false},
        {" %ld", port, false},
        {"+%ld", port, false},
        {"1%ld", port + 10000000000000000, false},
        {"\t%ld", port, false},
        {"-%ld", 65536 - port, false},
    };

    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        char service[64];
        struct addrinfo *found = NULL;
        int r;

        (void)snprintf(service, sizeof(service), rows[i].format, rows[i].port); /* NOLINT */
        r = ait_connect_host(&fd, "127.0.0.1", service, NULL);
        if (!CHECK_EQ(r, rows[i].connects ? 0 : -EPROTONOSUPPORT))
            (void)fprintf(stderr, "  '%s'\n", service);
        if (r >= 0)
            CHECK_EQ(ait_close(fd), 0);
        r = ait_getaddrinfo(&found, "127.0.0.1", service, NULL);
        CHECK_EQ(r, rows[i].connects ? 0 : -EPROTONOSUPPORT);
        if (r >= 0)
            freeaddrinfo(found);
    }
    CHECK_EQ(ait_connect_host(&fd, "127.0.0.1", "", NULL), -EINVAL);
    CHECK_EQ(ait_connect_host(&fd, "127.0.0.1", "65536", NULL), -EPROTONOSUPPORT);
    return ait_close(listener);
}

static int ports(void)
{
    return ait_run(ports_main, NULL, 0);
}

static void test_ports(void **unused)
{
    run_forked(ports);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inherited),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_ports),
    };

    (void)alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
