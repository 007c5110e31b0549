/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Programs: what they start with, and how they are talked to. test-process-end.c has how they end.
 */

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "check.h"
#include "process-helpers.h"
#include "process-roles.h"

/* ---- what a program starts with -------------------------------------------------------------- */

static void expect(char *const argv[], const char *input, const ait_spawn_options *options,
                   int exit_code, const char *out, const char *err)
{
    AIT_CLEANUP(ait_process_result_free) ait_process_result result;

    if (!CHECK_EQ(run_role(&result, argv, input, options), 0))
        return;
    CHECK_EQ(result.exit_code, exit_code);
    CHECK_EQ(result.info.si_code, CLD_EXITED);
    if (!CHECK(out ? result.out && strcmp(result.out, out) == 0 : !result.out))
        (void)fprintf(stderr, "%s: '%s'\n", argv[1], result.out);
    CHECK(err ? result.err && strcmp(result.err, err) == 0 : !result.err);
    CHECK_EQ(result.n_out, out ? strlen(out) : 0);
}

static int start_main(void *userdata)
{
    char cwd[4096], here[8192], *const environment[] = {"SHOWN=there", NULL};

    if (!getcwd(cwd, sizeof(cwd)))
        return -errno;
    (void)snprintf(here, sizeof(here), "word|here|%s\n", cwd);
    CHECK_EQ(setenv("SHOWN", "here", 1), 0);
    expect(ROLE("show", "word"), NULL, NULL, 0, here, "");
    expect(ROLE("show"), NULL, AIT_SPAWN_OPTIONS(.envp = environment, .cwd = "/"), 0, "-|there|/\n",
           "");
    expect(AIT_ARGV("other name", "show"), NULL, AIT_SPAWN_OPTIONS(.path = self, .cwd = "/"), 0,
           "-|here|/\n", "");
    expect(ROLE("both"), NULL, NULL, 3, "out", "err");
    expect(ROLE("both"), NULL, AIT_SPAWN_OPTIONS(.flags = AIT_SPAWN_STDERR_NULL), 3, "out", NULL);
    expect(ROLE("both"), NULL, AIT_SPAWN_OPTIONS(.flags = AIT_SPAWN_STDERR_TO_STDOUT), 3, "outerr",
           NULL);
    expect(ROLE("cat"), NULL, NULL, 0, "", "");
    expect(ROLE("cat"), "through", NULL, 0, "through", "");
    expect(AIT_ARGV("sh", "-c", "echo found"), NULL, NULL, 0, "found\n", "");
    /* Nobody reads it. */
    expect(ROLE("both"), "unread", NULL, 3, "out", "err");
    return 0;
}

static void test_start(void **unused)
{
    assert_int_equal(run_real(start_main, NULL), 0);
}

static int fds_main(void *userdata)
{
    int a = open("/dev/null", O_RDWR), b = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    const ait_spawn_fd crossed[] = {{a, b}, {b, a}}, high[] = {{b, 97}};
    char text[64];

    if (!CHECK(a > 2 && b > 2 && a < b))
        return 0;
    expect(ROLE("fds"), NULL, NULL, 0, "", "");
    (void)snprintf(text, sizeof(text), "%d %d ", a, b);
    expect(ROLE("fds"), NULL, AIT_SPAWN_OPTIONS(.fds = crossed, .n_fds = 2), 0, text, "");
    expect(ROLE("fds"), NULL, AIT_SPAWN_OPTIONS(.fds = high, .n_fds = 1), 0, "97 ", "");
    (void)close(a);
    (void)close(b);
    return 0;
}

/* What the test itself was started with may be inherited by AIT_SPAWN_INHERIT_FDS, and by that
 * alone. */
static int inherit_main(void *userdata)
{
    AIT_CLEANUP(ait_process_result_free) ait_process_result result;
    int fd = fcntl(0, F_DUPFD, 50);

    CHECK(fd >= 50);
    CHECK_EQ(
        run_role(&result, ROLE("fds"), NULL, AIT_SPAWN_OPTIONS(.flags = AIT_SPAWN_INHERIT_FDS)), 0);
    CHECK(result.out && strstr(result.out, "50 ") != NULL);
    (void)close(fd);
    return 0;
}

static void test_fds(void **unused)
{
    assert_int_equal(run_real(fds_main, NULL), 0);
    assert_int_equal(run_real(inherit_main, NULL), 0);
}

/* fd 0 to 2 by the list, one of them crossed. */
static int stdio_list_main(void *userdata)
{
    int pipe_fds[2];
    char buf[16] = "";

    if (!CHECK_EQ(pipe2(pipe_fds, O_CLOEXEC), 0))
        return 0;
    const ait_spawn_fd fds[] = {{pipe_fds[1], 2}};
    expect(ROLE("both"), NULL, AIT_SPAWN_OPTIONS(.fds = fds, .n_fds = 1), 3, "out", NULL);
    CHECK_EQ(read(pipe_fds[0], buf, sizeof(buf)), 3);
    CHECK(strcmp(buf, "err") == 0);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
    return 0;
}

static void test_stdio_list(void **unused)
{
    assert_int_equal(run_real(stdio_list_main, NULL), 0);
}

static void on_usr1(int signo)
{
}

static int signals_main(void *userdata)
{
    expect(ROLE("signals"), NULL, NULL, 0, userdata, "");
    return 0;
}

/* Blocked ones are unblocked, SIGPIPE is as by default, what is ignored stays so, handlers go. */
static void test_signals(void **unused)
{
    sigset_t set, before;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR2);
    (void)sigprocmask(SIG_BLOCK, &set, &before);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGUSR1, on_usr1);
    assert_int_equal(run_real(signals_main, "0000"), 0);
    (void)signal(SIGUSR1, SIG_IGN);
    assert_int_equal(run_real(signals_main, "0001"), 0);
    (void)signal(SIGUSR1, SIG_DFL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static int errors_main(void *userdata)
{
    const ait_spawn_fd twice[] = {{0, 5}, {1, 5}}, bad[] = {{-1, 5}}, closed[] = {{99, 5}};
    struct {
        char *const *argv;
        const ait_spawn_options *options;
        int r;
    } cases[] = {
        {NULL, NULL, -EINVAL},
        {AIT_ARGV(NULL), NULL, -EINVAL},
        {AIT_ARGV("no-such-program-anywhere"), NULL, -ENOENT},
        {AIT_ARGV(""), NULL, -ENOENT},
        {AIT_ARGV("/"), NULL, -EACCES},
        {AIT_ARGV("/no/such"), NULL, -ENOENT},
        {ROLE("show"), AIT_SPAWN_OPTIONS(.cwd = "/no/such"), -ENOENT},
        {ROLE("show"), AIT_SPAWN_OPTIONS(.flags = 1U << 31), -EINVAL},
        {ROLE("show"), AIT_SPAWN_OPTIONS(.flags = AIT_SPAWN_STDIN_PIPE | AIT_SPAWN_STDIN_NULL),
         -EINVAL},
        {ROLE("show"),
         AIT_SPAWN_OPTIONS(.flags = AIT_SPAWN_STDERR_PIPE | AIT_SPAWN_STDERR_TO_STDOUT), -EINVAL},
        {ROLE("show"), AIT_SPAWN_OPTIONS(.death_signal = 1000), -EINVAL},
        {ROLE("show"), AIT_SPAWN_OPTIONS(.stop_signal = -1), -EINVAL},
        {ROLE("show"), AIT_SPAWN_OPTIONS(.fds = twice, .n_fds = 2), -EINVAL},
        {ROLE("show"), AIT_SPAWN_OPTIONS(.fds = bad, .n_fds = 1), -EINVAL},
        {ROLE("show"), AIT_SPAWN_OPTIONS(.n_fds = 1), -EINVAL},
        {ROLE("show"), AIT_SPAWN_OPTIONS(.fds = closed, .n_fds = 1), -EBADF},
        {ROLE("show"), &(const ait_spawn_options){.size = 4}, -EINVAL},
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        ait_child *child = NULL;

        if (!CHECK_EQ(ait_spawn(&child, cases[i].argv, cases[i].options), cases[i].r))
            (void)fprintf(stderr, "case %zu\n", i);
        CHECK(child == NULL);
    }
    CHECK_EQ(ait_spawn(NULL, ROLE("show"), NULL), -EINVAL);
    return 0;
}

static void test_errors(void **unused)
{
    unsigned n = count_fds();

    assert_int_equal(run_real(errors_main, NULL), 0);
    assert_int_equal(count_fds(), n);
    /* Nothing is left to reap. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void test_arguments(void **unused)
{
    ait_process_result result = {};
    ait_child *c = NULL;

    assert_int_equal(ait_child_wait(NULL, NULL), -EINVAL);
    assert_int_equal(ait_child_supervise(NULL, NULL), -EINVAL);
    assert_int_equal(ait_child_kill(NULL, SIGTERM), -EINVAL);
    assert_int_equal(ait_child_terminate(NULL, SIGTERM, 1), -EINVAL);
    assert_int_equal(ait_child_set_stop(NULL, SIGTERM, 1), -EINVAL);
    assert_int_equal(ait_child_exit_code(NULL), -EINVAL);
    assert_int_equal(ait_child_stdio(NULL, 0), -EINVAL);
    assert_int_equal(ait_child_pid(NULL), -EINVAL);
    assert_int_equal(ait_child_pidfd(NULL), -EINVAL);
    assert_int_equal(ait_child_adopt(NULL, 1, -1), -EINVAL);
    assert_int_equal(ait_child_adopt(&c, 0, -1), -EINVAL);
    assert_null(ait_child_ref(NULL));
    assert_null(ait_child_unref(NULL));
    assert_null(ait_child_end(NULL));
    assert_int_equal(ait_run_process(&result, ROLE("show"), NULL, 0, NULL), -EINVAL);
    assert_int_equal(ait_run_process(NULL, ROLE("show"), NULL, 0, NULL), -EINVAL);
    result.size = sizeof(result);
    assert_int_equal(ait_run_process(&result, ROLE("show"), NULL, 1, NULL), -EINVAL);
    assert_int_equal(ait_run_process(&result, ROLE("show"), NULL, 0, NULL), -EPERM);
    ait_process_result_free(NULL);
    ait_process_result_free(&result);

    /* Without a loop: started and ended, not awaited. */
    assert_int_equal(ait_spawn(&c, ROLE("hold"), AIT_SPAWN_OPTIONS(.flags = AIT_SPAWN_STDOUT_PIPE)),
                     0);
    assert_int_equal(ait_child_wait(c, NULL), -EPERM);
    assert_int_equal(ait_child_terminate(c, 0, 1), -EINVAL);
    assert_int_equal(ait_child_terminate(c, SIGTERM, 1), -EPERM);
    assert_int_equal(ait_child_set_stop(c, NSIG, 1), -EINVAL);
    assert_int_equal(ait_child_stdio(c, 3), -EINVAL);
    assert_int_equal(ait_child_stdio(c, 0), -EBADF);
    assert_true(ait_child_pid(c) > 0 && ait_child_pidfd(c) >= 0);
    assert_null(ait_child_end(c));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* Each descriptor in turn is the one too many: nothing is left behind, nobody runs. */
static int fd_limit_main(void *userdata)
{
    const ait_spawn_options *options =
        AIT_SPAWN_OPTIONS(.flags =
                              AIT_SPAWN_STDIN_PIPE | AIT_SPAWN_STDOUT_PIPE | AIT_SPAWN_STDERR_NULL);
    struct rlimit limit, before;
    unsigned n_fds, n_refused = 0;
    int r = -EMFILE;

    /* The first of them teaches the loop its table. */
    AIT_CLEANUP(ait_child_endp) ait_child *first = NULL;
    CHECK_EQ(ait_spawn(&first, ROLE("hold"), options), 0);
    n_fds = count_fds();
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (unsigned n = 0; n < 20 && r == -EMFILE; n++) {
        ait_child *c = NULL;

        limit = before;
        limit.rlim_cur = (rlim_t)lowest_free_fd() + n;
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
        r = ait_spawn(&c, ROLE("hold"), options);
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
        CHECK(r == 0 || (r == -EMFILE && !c));
        n_refused += r < 0;
        ait_child_end(c);
        CHECK_EQ(count_fds(), n_fds);
    }
    CHECK_EQ(r, 0);
    CHECK(n_refused >= 4);
    return 0;
}

static void test_fd_limit(void **unused)
{
    assert_int_equal(run_real(fd_limit_main, NULL), 0);
}

static int no_memory_main(void *userdata)
{
    bool failed = true;

    for (unsigned n = 1; failed; n++) {
        ait_process_result result;
        int r;

        alloc_fail_at(n);
        r = run_role(&result, ROLE("cat"), "some text", NULL);
        failed = alloc_count() >= n;
        alloc_fail_at(0);
        if (!CHECK_EQ(r, failed ? -ENOMEM : 0))
            return 0;
        if (r == 0)
            CHECK_EQ(result.n_out, 9);
        CHECK(!failed || !result.out);
        ait_process_result_free(&result);
    }
    return 0;
}

static void test_no_memory(void **unused)
{
    unsigned n = count_fds();

    assert_int_equal(run_real(no_memory_main, NULL), 0);
    assert_int_equal(count_fds(), n);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* ---- talking to it --------------------------------------------------------------------------- */

static int pipes_main(void *userdata)
{
    AIT_CHILD(c);
    char buf[16] = "";
    siginfo_t info;
    int fd;

    CHECK_EQ(ait_spawn(&c, ROLE("cat"),
                       AIT_SPAWN_OPTIONS(.flags = AIT_SPAWN_STDIN_PIPE | AIT_SPAWN_STDOUT_PIPE)),
             0);
    CHECK_EQ(ait_child_exit_code(c), -EBUSY);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(ait_write_all(ait_child_stdio(c, 0), "ping", 4, NULL), 0);
        CHECK_EQ(ait_read(ait_child_stdio(c, 1), buf, sizeof(buf)), 4);
        CHECK(strcmp(buf, "ping") == 0);
    }
    CHECK_EQ(ait_child_stdio(c, 2), -EBADF);
    fd = ait_child_take_stdio(c, 1);
    CHECK(fd >= 0);
    CHECK_EQ(ait_child_take_stdio(c, 1), -EBADF);
    CHECK_EQ(ait_child_close_stdio(c, 0), 0);
    CHECK_EQ(ait_child_close_stdio(c, 0), -EBADF);
    CHECK_EQ(ait_read(fd, buf, sizeof(buf)), 0);
    CHECK_EQ(ait_close(fd), 0);
    CHECK_EQ(ait_child_wait(c, &info), 0);
    CHECK_EQ(info.si_code, CLD_EXITED);
    CHECK_EQ(info.si_pid, ait_child_pid(c));
    CHECK_EQ(ait_child_exit_code(c), 0);
    CHECK_EQ(ait_child_kill(c, 0), -ESRCH);
    /* Once more: it is known. */
    CHECK_EQ(ait_child_wait(c, NULL), 0);
    CHECK_EQ(ait_child_terminate(c, SIGTERM, 1), 0);
    return 0;
}

static void test_pipes(void **unused)
{
    assert_int_equal(run_real(pipes_main, NULL), 0);
}

/* More than the pipes hold, in both directions at once. */
static int volume_main(void *userdata)
{
    AIT_CLEANUP(ait_process_result_free) ait_process_result result = {.size = sizeof(result)};
    size_t n = 1024 * 1024;
    char *text = malloc(n);

    if (!text)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        text[i] = (char)('a' + i % 26);
    CHECK_EQ(ait_run_process(&result, ROLE("cat"), text, n, NULL), 0);
    CHECK_EQ(result.n_out, n);
    CHECK(result.out && memcmp(result.out, text, n) == 0);
    free(text);
    return 0;
}

static int too_much_main(void *userdata)
{
    ait_process_result result;

    CHECK_EQ(run_role(&result, ROLE("flood"), NULL, AIT_SPAWN_OPTIONS(.max_output = 100000)),
             -EMSGSIZE);
    CHECK(!result.out && result.n_out == 0);
    return 0;
}

static void test_volume(void **unused)
{
    assert_int_equal(run_real(volume_main, NULL), 0);
    assert_int_equal(run_real(too_much_main, NULL), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments), cmocka_unit_test(test_start),
        cmocka_unit_test(test_fds),       cmocka_unit_test(test_stdio_list),
        cmocka_unit_test(test_signals),   cmocka_unit_test(test_errors),
        cmocka_unit_test(test_fd_limit),  cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_pipes),     cmocka_unit_test(test_volume),
    };
    int status;

    if (!roles_begin(argc, argv, &status))
        return status;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
