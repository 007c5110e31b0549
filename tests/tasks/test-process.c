/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Programs: what they start with, how they are talked to, how they end. The program is this one,
 * started with a role as its argument. */

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "check.h"
#include "process-helpers.h"

static char self[4096];

#define ROLE(...) AIT_ARGV(self, __VA_ARGS__)
#define SOON      (30 * AIT_USEC_PER_SEC) /* a bound for what should come at once */

/* ---- roles ----------------------------------------------------------------------------------- */

static int role_show(char **argv)
{
    char cwd[4096];

    (void)printf("%s|%s|%s\n", argv[2] ? argv[2] : "-", getenv("SHOWN") ? getenv("SHOWN") : "-",
                 getcwd(cwd, sizeof(cwd)) ? cwd : "?");
    return 0;
}

static int role_cat(char **argv)
{
    char buf[4096];
    ssize_t n;

    while ((n = read(0, buf, sizeof(buf))) > 0)
        if (write(1, buf, (size_t)n) != n)
            return 1;
    return 0;
}

static int role_both(char **argv)
{
    (void)!write(1, "out", 3);
    (void)!write(2, "err", 3);
    return 3;
}

/* Which of the fds from 3 on are open. */
static int role_fds(char **argv)
{
    for (int fd = 3; fd < 100; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            (void)printf("%d ", fd);
    return 0;
}

static int role_signals(char **argv)
{
    struct sigaction pipe, usr1;
    sigset_t mask;

    (void)sigprocmask(SIG_BLOCK, NULL, &mask);
    (void)sigaction(SIGPIPE, NULL, &pipe);
    (void)sigaction(SIGUSR1, NULL, &usr1);
    (void)printf("%d%d%d%d", sigismember(&mask, SIGTERM), sigismember(&mask, SIGUSR2),
                 pipe.sa_handler == SIG_IGN, usr1.sa_handler == SIG_IGN);
    return 0;
}

static int hold(void)
{
    if (write(1, "r", 1) != 1)
        return 1;
    for (;;)
        pause();
}

static int role_hold(char **argv)
{
    return hold();
}

static int role_ignore_term(char **argv)
{
    (void)signal(SIGTERM, SIG_IGN);
    return hold();
}

static int role_exit_on_term(char **argv)
{
    sigset_t set;
    int signo;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    if (write(1, "r", 1) != 1)
        return 1;
    (void)sigwait(&set, &signo);
    /* Not by exit(): the SIGCONT that follows would take the SIGSTOP with which LeakSanitizer stops
     * us, and it would wait for ever. */
    _exit(7);
}

/* Somebody of the same group who holds on to stdout. */
static int role_family(char **argv)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)signal(SIGTERM, SIG_IGN);
        return hold();
    }
    return argv[2] ? 5 : hold();
}

static int role_flood(char **argv)
{
    static const char zeros[65536];

    while (write(1, zeros, sizeof(zeros)) > 0)
        ;
    return 0;
}

static const struct {
    const char *name;
    int (*run)(char **argv);
} roles[] = {
    {"show", role_show},
    {"cat", role_cat},
    {"both", role_both},
    {"fds", role_fds},
    {"signals", role_signals},
    {"hold", role_hold},
    {"ignore-term", role_ignore_term},
    {"exit-on-term", role_exit_on_term},
    {"family", role_family},
    {"flood", role_flood},
};

static int play(char **argv)
{
    for (size_t i = 0; i < ELEMENTS(roles); i++)
        if (strcmp(roles[i].name, argv[1]) == 0)
            return roles[i].run(argv);
    return 99;
}

/* ---- what a program starts with -------------------------------------------------------------- */

static int run_role(ait_process_result *ret, char *const argv[], const char *input,
                    const ait_spawn_options *options)
{
    *ret = (ait_process_result){.size = sizeof(*ret)};
    return ait_run_process(ret, argv, input, input ? strlen(input) : 0, options);
}

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

/* ---- the end --------------------------------------------------------------------------------- */

/* Starts a role and waits until it says that it is there. */
static ait_child *start_role(const char *role, unsigned flags)
{
    ait_child *c = NULL;
    char buf[1];

    CHECK_EQ(ait_spawn(&c, ROLE((char *)role),
                       AIT_SPAWN_OPTIONS(.flags = flags | AIT_SPAWN_STDOUT_PIPE)),
             0);
    CHECK_EQ(ait_read(ait_child_stdio(c, 1), buf, 1), 1);
    return c;
}

static int terminate_main(void *userdata)
{
    static const struct {
        const char *role;
        int signo;
        uint64_t usec;
        int r, exit_code;
    } cases[] = {
        {"hold", SIGTERM, SOON, 0, 128 + SIGTERM},
        {"hold", SIGINT, AIT_USEC_INFINITY, 0, 128 + SIGINT},
        {"exit-on-term", SIGTERM, SOON, 0, 7},
        {"ignore-term", SIGTERM, MS(20), 1, 128 + SIGKILL},
        {"ignore-term", SIGTERM, 0, 1, 128 + SIGKILL},
        {"ignore-term", SIGKILL, SOON, 0, 128 + SIGKILL},
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        AIT_CHILD(c);

        c = start_role(cases[i].role, 0);
        CHECK_EQ(ait_child_terminate(c, cases[i].signo, cases[i].usec), cases[i].r);
        CHECK_EQ(ait_child_exit_code(c), cases[i].exit_code);
        CHECK_EQ(ait_child_kill(c, 0), -ESRCH);
    }
    return 0;
}

static int stopped_main(void *userdata)
{
    AIT_CHILD(c);

    c = start_role("hold", 0);
    CHECK_EQ(ait_child_kill(c, SIGSTOP), 0);
    CHECK_EQ(ait_child_terminate(c, SIGTERM, SOON), 0);
    CHECK_EQ(ait_child_exit_code(c), 128 + SIGTERM);
    return 0;
}

static void test_terminate(void **unused)
{
    assert_int_equal(run_real(terminate_main, NULL), 0);
    assert_int_equal(run_real(stopped_main, NULL), 0);
}

static int wait_task(void *userdata)
{
    siginfo_t info = {};
    int r;

    r = ait_child_wait(userdata, &info);
    CHECK_EQ(info.si_status, r < 0 ? 0 : 7);
    return r;
}

static int waiters_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *cancelled = NULL;
    AIT_CHILD(c);
    AIT_SCOPE(scope);
    int result;

    c = start_role("exit-on-term", 0);
    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST), 0);
    CHECK_EQ(ait_scope_spawn(scope, &cancelled, wait_task, c, NULL), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(ait_scope_spawn(scope, NULL, wait_task, c, NULL), 0);
    CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(ait_cancel_and_wait(cancelled, &result), 0);
    CHECK_EQ(result, -ECANCELED);
    CHECK_EQ(ait_child_kill(c, 0), 0);
    CHECK_EQ(ait_child_kill(c, SIGTERM), 0);
    return ait_scope_exit(scope, 0);
}

static void test_waiters(void **unused)
{
    assert_int_equal(run_real(waiters_main, NULL), 0);
}

/* What owns a process when it is cancelled. */
enum owner { BY_BLOCK, BY_SUPERVISE, BY_RUN, BY_TERMINATE };

struct owned {
    enum owner owner;
    const char *role;
    ait_child *seen;
};

static int owner_task(void *userdata)
{
    struct owned *o = userdata;
    ait_process_result result;
    int r;

    AIT_CHILD(c);
    if (o->owner == BY_RUN)
        return run_role(&result, ROLE((char *)o->role), NULL,
                        AIT_SPAWN_OPTIONS(.stop_usec = MS(20), .flags = AIT_SPAWN_STDERR_NULL));
    c = start_role(o->role, 0);
    CHECK_EQ(ait_child_set_stop(c, SIGTERM, MS(20)), 0);
    o->seen = ait_child_ref(c);
    (void)ait_task_started(0);
    if (o->owner == BY_SUPERVISE)
        return ait_child_supervise(c, NULL);
    r = ait_sleep(AIT_USEC_INFINITY);
    if (o->owner == BY_TERMINATE)
        r = ait_child_terminate(c, SIGTERM, MS(20));
    return r;
}

static int owned_main(void *userdata)
{
    struct owned *o = userdata;
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    AIT_SCOPE(scope);
    int result = 0;

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    if (o->owner == BY_RUN) {
        CHECK_EQ(ait_scope_spawn(scope, &task, owner_task, o, NULL), 0);
        CHECK_EQ(ait_sleep(MS(30)), 0);
    } else {
        CHECK_EQ(ait_scope_start(scope, &task, owner_task, o, NULL), 0);
    }
    CHECK_EQ(ait_cancel_and_wait(task, &result), 0);
    CHECK_EQ(result, -ECANCELED);
    if (o->seen)
        CHECK_EQ(ait_child_exit_code(o->seen),
                 strcmp(o->role, "hold") == 0 ? 128 + SIGTERM : 128 + SIGKILL);
    o->seen = ait_child_unref(o->seen);
    return ait_scope_exit(scope, 0);
}

static void test_owned(void **unused)
{
    for (int owner = BY_BLOCK; owner <= BY_TERMINATE; owner++)
        for (int i = 0; i < 2; i++) {
            struct owned o = {.owner = owner, .role = i ? "ignore-term" : "hold"};

            assert_int_equal(run_real(owned_main, &o), 0);
            assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
            assert_int_equal(errno, ECHILD);
        }
}

/* A group ends as a whole: the member that ignores SIGTERM held the pipe. */
static int group_main(void *userdata)
{
    AIT_CHILD(c);
    char buf[2];

    c = start_role("family", AIT_SPAWN_PROCESS_GROUP);
    CHECK_EQ(ait_read(ait_child_stdio(c, 1), buf, 1), 1);
    CHECK_EQ(getpgid(ait_child_pid(c)), ait_child_pid(c));
    CHECK_EQ(ait_child_terminate(c, SIGTERM, SOON), 0);
    CHECK_EQ(ait_read(ait_child_stdio(c, 1), buf, 1), 0);

    ait_child_end(c);
    c = NULL;
    CHECK_EQ(ait_spawn(&c, ROLE("family", "leave"),
                       AIT_SPAWN_OPTIONS(.flags = AIT_SPAWN_SESSION | AIT_SPAWN_STDOUT_PIPE)),
             0);
    CHECK_EQ(ait_child_supervise(c, NULL), 0);
    CHECK_EQ(ait_child_exit_code(c), 5);
    while (ait_read(ait_child_stdio(c, 1), buf, 1) > 0)
        ;
    return 0;
}

static void test_group(void **unused)
{
    assert_int_equal(run_real(group_main, NULL), 0);
}

/* ---- adopted --------------------------------------------------------------------------------- */

static int adopt_main(void *userdata)
{
    AIT_CHILD(c);
    pid_t pid = fork();

    if (pid == 0)
        _exit(9);
    CHECK_EQ(ait_child_adopt(&c, pid, -1), 0);
    CHECK_EQ(ait_child_wait(c, NULL), 0);
    CHECK_EQ(ait_child_exit_code(c), 9);
    return 0;
}

/* Reaped by somebody else: an error that does not hang, in waiting and in ending. */
static int stolen_main(void *userdata)
{
    AIT_CHILD(c);
    pid_t pid = fork();
    siginfo_t info = {.si_pid = 42};

    if (pid == 0)
        _exit(0);
    CHECK_EQ(ait_child_adopt(&c, pid, -1), 0);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
    CHECK_EQ(ait_child_wait(c, &info), -ECHILD);
    CHECK_EQ(ait_child_supervise(c, &info), -ECHILD);
    CHECK_EQ(info.si_pid, 42);
    CHECK_EQ(ait_child_terminate(c, SIGTERM, 1), 0);
    CHECK_EQ(ait_child_exit_code(c), -EBUSY);
    return 0;
}

static void test_adopt(void **unused)
{
    assert_int_equal(run_real(adopt_main, NULL), 0);
    assert_int_equal(run_real(stolen_main, NULL), 0);
}

/* A handle that fork() has copied is not the child's to use: it must not end its sibling. */
static int foreign_main(void *userdata)
{
    AIT_CHILD(c);
    siginfo_t info;
    pid_t pid;

    c = start_role("hold", 0);
    pid = fork();
    if (pid == 0) {
        bool ok = ait_child_kill(c, SIGKILL) == -ECHILD && ait_child_wait(c, NULL) == -ECHILD &&
                  ait_child_terminate(c, SIGKILL, 1) == -ECHILD;

        ait_child_end(c);
        _exit(ok ? 0 : 1);
    }
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
    CHECK_EQ(info.si_status, 0);
    CHECK_EQ(ait_child_kill(c, 0), 0);
    CHECK_EQ(ait_child_terminate(c, SIGTERM, SOON), 0);
    CHECK_EQ(ait_child_exit_code(c), 128 + SIGTERM);
    return 0;
}

static void test_foreign(void **unused)
{
    assert_int_equal(run_real(foreign_main, NULL), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments), cmocka_unit_test(test_start),
        cmocka_unit_test(test_fds),       cmocka_unit_test(test_stdio_list),
        cmocka_unit_test(test_signals),   cmocka_unit_test(test_errors),
        cmocka_unit_test(test_fd_limit),  cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_pipes),     cmocka_unit_test(test_volume),
        cmocka_unit_test(test_terminate), cmocka_unit_test(test_waiters),
        cmocka_unit_test(test_owned),     cmocka_unit_test(test_group),
        cmocka_unit_test(test_adopt),     cmocka_unit_test(test_foreign),
    };
    ssize_t n;

    if (argc > 1)
        return play(argv);
    if (!has_pidfds())
        return 77;
    n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n < 0)
        return 1;
    self[n] = '\0';
    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
