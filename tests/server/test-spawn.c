/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/parse.h"
#include "enter/sandbox.h"
#include "programs.h"
#include "slurp.h"
#include "spawned.h"

extern char **environ;

/* ---- starting -------------------------------------------------------------------------------- */

static char *run_and_finish(struct spawned *s)
{
    char *text = NULL;
    int r = spawned_start(s);
    if (r < 0)
        fail_msg("spawn: %d: %s", r, s->problem.text);
    assert_int_equal(spawned_finish(s, &text), 0);
    return text;
}

static void inode_of(int fd, char *ret, size_t size)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    (void)snprintf(ret, size, "%llu:%llu cloexec=0", (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino);
}

static void is_own_session_and_knows_its_pid(void **state)
{
    struct spawn_environment_params params = {
        .base = environ, .n_sockets = 1, .watchdog_usec = 1000000, .name = "x", .workers = 1};
    struct spawned s;
    char expected[32];
    int sockets[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    spawned_init(&s, "report", &params);
    s.params.socket_fds = sockets;
    s.params.n_socket_fds = 1;
    assert_int_equal(spawned_start(&s), 0);
    (void)snprintf(expected, sizeof(expected), "%d", s.pid);
    assert_int_equal(s.tree.pid, s.pid);
    assert_true(s.tree.start > 0);
    char *text = NULL;
    assert_int_equal(spawned_finish(&s, &text), 0);

    static const char *const same[] = {"pid", "session", "group", "env.LISTEN_PID",
                                       "env.WATCHDOG_PID"};
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        assert_string_equal(spawned_value(text, same[i]), expected);
    (void)snprintf(expected, sizeof(expected), "%d", getpid());
    assert_string_equal(spawned_value(text, "parent"), expected);
    assert_string_equal(spawned_value(text, "death_signal"), "9");
    assert_string_equal(spawned_value(text, "env.LISTEN_FDS"), "1");
    assert_string_equal(spawned_value(text, "env.AIOTOOLS_SD_INSTANCE"), s.tree.token);
    free(text);
    spawned_done(&s);
    close(sockets[0]);
    close(sockets[1]);
}

/* In a child of the test, which may rearrange its descriptors at will: sockets become the given
 * numbers, then the worker gets them in this order. Strays are not close-on-exec. Returns 0, or the
 * number of the check that failed. */
static int arrange_and_check(const int *numbers)
{
    enum { BASE = 100 };
    char expected[4][64], name[16];
    int sources[4]; /* three sockets, then the readiness pipe */
    struct spawned s;

    spawned_init(&s, "report", NULL);
    for (int i = 0; i < 4; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        inode_of(fd, expected[i], sizeof(expected[i]));
        sources[i] = fcntl(fd, F_DUPFD, BASE);
    }
    if (syscall(SYS_close_range, 3, BASE - 1, 0) < 0 || dup2(0, 7) < 0 || dup2(0, 500) < 0)
        return 1;
    for (int i = 0; i < 4; i++) {
        dup2(sources[i], numbers[i]);
        close(sources[i]);
        sources[i] = numbers[i];
    }
    s.params.socket_fds = sources;
    s.params.n_socket_fds = 3;
    s.params.ready_fd = sources[3];
    s.params.ready_target = 9;
    char *text = NULL;
    if (spawned_start(&s) < 0 || spawned_finish(&s, &text) != 0)
        return 2;
    if (strcmp(spawned_value(text, "fds"), "0 1 2 3 4 5 9") != 0)
        return 3;
    for (int i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof(name), "fd%d", i < 3 ? 3 + i : 9);
        if (strcmp(spawned_value(text, name), expected[i]) != 0)
            return 4 + i;
    }
    free(text);
    spawned_done(&s);
    return 0;
}

/* Sources lie on each other's targets in every order. */
static void fds_are_what_was_promised(void **state)
{
    static const int orders[][4] = {{3, 4, 5, 9}, {5, 4, 3, 9},  {4, 3, 5, 6},    {9, 3, 4, 5},
                                    {5, 9, 3, 4}, {20, 4, 9, 3}, {10, 11, 12, 13}};

    for (size_t o = 0; o < sizeof(orders) / sizeof(orders[0]); o++) {
        int status;
        pid_t pid = fork();
        if (pid == 0)
            _exit(arrange_and_check(orders[o]));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (status != 0)
            fail_msg("order %zu: status %x", o, status);
    }
}

/* An outer sandbox, or an old kernel, without close_range(2). */
static int refuse_close_range(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = 4, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

static void fds_without_close_range(void **state)
{
    struct spawned s;
    char *text = NULL;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        spawned_init(&s, "report", NULL);
        for (int fd = 20; fd < 400; fd++)
            if (dup2(0, fd) < 0)
                _exit(1);
        s.params.ready_fd = 30;
        s.params.ready_target = 9;
        if (refuse_close_range() < 0 || spawned_start(&s) < 0 || spawned_finish(&s, &text) != 0)
            _exit(2);
        _exit(strcmp(spawned_value(text, "fds"), "0 1 2 9") == 0 ? 0 : 3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void standard_descriptors(void **state)
{
    struct spawned s;
    char expected[64];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC),
        file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

    inode_of(null, expected, sizeof(expected));
    spawned_init(&s, "report", NULL);
    s.params.stderr_fd = null;
    char *text = run_and_finish(&s);
    assert_string_equal(spawned_value(text, "fd0"), expected);
    assert_string_equal(spawned_value(text, "fd2"), expected);
    free(text);
    spawned_done(&s);

    inode_of(file, expected, sizeof(expected));
    spawned_init(&s, "report", NULL);
    s.params.stdin_fd = file;
    text = run_and_finish(&s);
    assert_string_equal(spawned_value(text, "fd0"), expected);
    inode_of(2, expected, sizeof(expected));
    assert_string_equal(spawned_value(text, "fd2"), expected);
    free(text);
    spawned_done(&s);
    close(null);
    close(file);
}

static void ignore_signal(int signo)
{
}

static void signals_are_reset(void **state)
{
    struct spawned s;
    sigset_t blocked, before;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGRTMAX, SIG_IGN);
    signal(SIGUSR1, ignore_signal);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    spawned_init(&s, "report", NULL);
    char *text = run_and_finish(&s);
    sigset_t after;
    sigprocmask(SIG_SETMASK, &before, &after);
    assert_true(sigismember(&after, SIGTERM) && sigismember(&after, SIGCHLD) &&
                !sigismember(&after, SIGINT));
    signal(SIGPIPE, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    signal(SIGRTMAX, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
    assert_string_equal(spawned_value(text, "SigBlk"), "0000000000000000");
    assert_string_equal(spawned_value(text, "SigIgn"), "0000000000000000");
    free(text);
    spawned_done(&s);
}

static void directory_umask_limits(void **state)
{
    static const struct spawn_rlimit limits[] = {{RLIMIT_NOFILE, {64, 64}}};
    int own = getpriority(PRIO_PROCESS, 0); /* the tests may run under nice(1) */
    struct spawned s;
    char nice[12], oom_score_adj[12], now[12];
    int own_oom;

    (void)snprintf(nice, sizeof(nice), "%d", own + 5);
    assert_true(read_text("/proc/self/oom_score_adj", oom_score_adj, sizeof(oom_score_adj)) > 0);
    own_oom = atoi(oom_score_adj);
    (void)snprintf(oom_score_adj, sizeof(oom_score_adj), "%d", (own_oom + 1000) / 2);
    spawned_init(&s, "report", NULL);
    s.params.working_directory = "/usr";
    s.params.umask = 027;
    s.params.rlimits = limits;
    s.params.n_rlimits = 1;
    s.params.set_nice = true;
    s.params.nice = own + 5;
    s.params.oom_score_adj = oom_score_adj;
    char *text = run_and_finish(&s);
    assert_string_equal(spawned_value(text, "cwd"), "/usr");
    assert_string_equal(spawned_value(text, "umask"), "27");
    assert_string_equal(spawned_value(text, "nofile"), "64");
    assert_string_equal(spawned_value(text, "nice"), nice);
    assert_string_equal(spawned_value(text, "oom_score_adj"), oom_score_adj);
    assert_true(read_text("/proc/self/oom_score_adj", now, sizeof(now)) > 0);
    assert_int_equal(atoi(now), own_oom);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), own);
    free(text);
    spawned_done(&s);
}

static ait_sandbox *service_sandbox(void)
{
    ait_policy *policy = NULL;
    ait_sandbox *sandbox = NULL;

    assert_int_equal(ait_policy_from_preset(&policy, "service", NULL), 0);
    assert_int_equal(
        ait_sandbox_new(&sandbox,
                        AIT_SANDBOX_OPTIONS(.policy = policy,
                                            .flags = AIT_SANDBOX_EXEC | AIT_SANDBOX_SCOPE,
                                            .capabilities = AIT_SANDBOX_SERVICE_CAPABILITIES),
                        NULL),
        0);
    ait_policy_unref(policy);
    return sandbox;
}

static void user_changes_and_we_stay(void **state)
{
    gid_t groups[] = {65534, 1};
    struct account account = {.uid = 65534, .gid = 65534, .groups = groups, .n_groups = 2};
    const char *why_not = spawned_why_not_as_nobody();
    struct spawned s;

    if (why_not) {
        print_message("# SKIP: %s\n", why_not);
        skip();
    }
    ait_sandbox *sandbox = service_sandbox();
    spawned_init(&s, "report", NULL);
    s.params.account = &account;
    s.params.sandbox = sandbox;
    assert_int_equal(prctl(PR_GET_DUMPABLE), 1);
    char *text = run_and_finish(&s);
    assert_int_equal(prctl(PR_GET_DUMPABLE), 1);
    assert_int_equal(geteuid(), 0);
    assert_string_equal(spawned_value(text, "uid"), "65534");
    assert_string_equal(spawned_value(text, "gid"), "65534");
    assert_non_null(strstr(spawned_value(text, "Groups"), "1 65534"));
    assert_string_equal(spawned_value(text, "death_signal"), "9");
    assert_string_equal(spawned_value(text, "CapPrm"), "0000000000000000");
    assert_int_equal(
        strtoull(spawned_value(text, "CapBnd"), NULL, 16) & ~AIT_SANDBOX_SERVICE_CAPABILITIES, 0);
    assert_string_equal(spawned_value(text, "Seccomp"), "2");
    free(text);
    spawned_done(&s);
    ait_sandbox_unref(sandbox);
}

static void sandbox_is_in_force(void **state)
{
    ait_sandbox *sandbox = service_sandbox();
    struct spawned s;

    spawned_init(&s, "report", NULL);
    s.params.sandbox = sandbox;
    char *text = run_and_finish(&s);
    assert_string_equal(spawned_value(text, "Seccomp"), "2");
    assert_string_equal(spawned_value(text, "NoNewPrivs"), "1");
    assert_int_equal(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
    assert_int_equal(
        strtoull(spawned_value(text, "CapPrm"), NULL, 16) & ~AIT_SANDBOX_SERVICE_CAPABILITIES, 0);
    free(text);
    spawned_done(&s);
    ait_sandbox_unref(sandbox);
}

/* ---- failing --------------------------------------------------------------------------------- */

static const struct sock_filter endless[] = {BPF_STMT(BPF_LD | BPF_IMM, 0)};
static ait_sandbox broken_filter = {
    .refs = 1, .ruleset = -1, .capabilities = UINT64_MAX, .filter = {.program = endless, .n = 1}};
static ait_sandbox broken_ruleset = {.refs = 1, .ruleset = 777, .capabilities = UINT64_MAX};
static const struct spawn_rlimit bad_limit[] = {{9999, {1, 1}}};
static const int closed_fd[] = {777};

static void no_program(struct spawn_params *p)
{
    p->path = "/nonexistent/program";
}
static void not_executable(struct spawn_params *p)
{
    p->path = "/etc/passwd";
}
static void no_format(struct spawn_params *p)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/text", directory);
    p->path = path;
}
static void no_directory(struct spawn_params *p)
{
    p->working_directory = "/nonexistent";
}
static void no_filter(struct spawn_params *p)
{
    p->sandbox = &broken_filter;
}
static void no_ruleset(struct spawn_params *p)
{
    p->sandbox = &broken_ruleset;
}
static void no_limit(struct spawn_params *p)
{
    p->rlimits = bad_limit;
    p->n_rlimits = 1;
}
static void no_fd(struct spawn_params *p)
{
    p->socket_fds = closed_fd;
    p->n_socket_fds = 1;
}
static void low_ready(struct spawn_params *p)
{
    p->ready_fd = 1;
    p->ready_target = 2;
}

/* What the kernel says of a ruleset that is none, or of Landlock where it has none. */
static int error_of_no_ruleset(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* the version */) < 0 ? -errno : -EBADF;
}

static void failures_leave_nothing(void **state)
{
    const struct {
        void (*spoil)(struct spawn_params *p);
        int error, status;
        const char *words;
    } cases[] = {
        {no_program, -ENOENT, STATUS_CONFIG, "does not exist"},
        {not_executable, -EACCES, STATUS_CONFIG, "may not execute"},
        {no_format, -ENOEXEC, STATUS_CONFIG, "format"},
        {no_directory, -ENOENT, STATUS_CONFIG, "--chdir"},
        {no_filter, -EINVAL, STATUS_SANDBOX, "seccomp filter"},
        {no_ruleset, error_of_no_ruleset(), STATUS_SANDBOX, "Landlock"},
        {no_limit, -EINVAL, STATUS_CONFIG, "--rlimit"},
        {no_fd, -EBADF, STATUS_OS, "descriptors"},
        {low_ready, -EINVAL, STATUS_OS, "preparing"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct spawned s;
        size_t fds = count_fds();
        spawned_init(&s, "report", NULL);
        cases[i].spoil(&s.params);
        int r = spawned_start(&s);
        if (r != cases[i].error || s.problem.status != cases[i].status ||
            !strstr(s.problem.text, cases[i].words))
            fail_msg("case %zu: %d, status %d: %s", i, r, s.problem.status, s.problem.text);
        assert_int_equal(s.pid, -1);
        assert_int_equal(s.pidfd, -1);
        assert_int_equal(count_children(), 0);
        assert_int_equal(count_fds(), fds);
        spawned_done(&s);
    }
}

static int without_dev(void)
{
    return chroot(directory);
}

static int without_descriptors(void)
{
    return setrlimit(RLIMIT_NOFILE, &(struct rlimit){0});
}

/* In a process of its own: what is spoilt stays so. Which of the words are missing, 2: cannot be
 * tried. */
static int spoilt_start(int (*spoil)(void), int error, const char *remedy)
{
    struct spawned s;

    spawned_init(&s, "report", NULL);
    s.params.stdout_fd = 1;
    if (spoil() < 0)
        return 2;
    int r = spawn_and_wait(&s.params, &s.pid, &s.pidfd, NULL, NULL, &s.problem);
    if (r == error && s.problem.status == STATUS_OS && strstr(s.problem.text, "/dev/null: ") &&
        strstr(s.problem.text, remedy))
        return 0;
    (void)dprintf(2, "%d, status %d: %s\n", r, s.problem.status, s.problem.text);
    return 1;
}

static void dev_null_is_named(void **state)
{
    static const struct {
        int (*spoil)(void);
        int error;
        const char *remedy;
    } cases[] = {
        {without_dev, -ENOENT, "mknod"},
        {without_descriptors, -EMFILE, "limit of open files"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int status;
        pid_t pid = fork();
        if (pid == 0)
            _exit(spoilt_start(cases[i].spoil, cases[i].error, cases[i].remedy));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (status != 2 << 8)
            assert_int_equal(status, 0);
    }
}

static void *spawn_in_thread(void *userdata)
{
    return (void *)(intptr_t)spawned_start(userdata);
}

static void only_the_main_thread_may(void **state)
{
    struct spawned s;
    pthread_t thread;
    void *r;

    spawned_init(&s, "report", NULL);
    assert_int_equal(pthread_create(&thread, NULL, spawn_in_thread, &s), 0);
    assert_int_equal(pthread_join(thread, &r), 0);
    assert_int_equal((intptr_t)r, -EINVAL);
    spawned_done(&s);
}

/* ---- the parent's end ------------------------------------------------------------------------ */

static void dies_with_its_parent(void **state)
{
    int report[2];
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_int_equal(pipe2(report, O_CLOEXEC), 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct spawned s;
        spawned_init(&s, "there", NULL);
        if (spawned_start(&s) < 0 || write(report[1], &s.pid, sizeof(s.pid)) != sizeof(s.pid))
            _exit(1);
        pause();
    }
    pid_t worker;
    assert_int_equal(read(report[0], &worker, sizeof(worker)), sizeof(worker));
    int pidfd = (int)syscall(SYS_pidfd_open, worker, 0);
    assert_true(pidfd >= 0);
    assert_false(has_ended_within(pidfd, 50));
    kill(parent, SIGKILL);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    assert_true(has_ended_within(pidfd, 10000));
    assert_int_equal(waitpid(worker, NULL, 0), worker);
    close(pidfd);
    close(report[0]);
    close(report[1]);
}

#define STOPPED_USER 65534
#define LAST_NUMBER  64 /* of processes in the namespace */

/* What a worker can do to its successors that are about to be, where the kernel does not keep its
 * signals from them (Landlock before ABI 6). */
static void __attribute__((noreturn)) stop_everybody(void)
{
    if (setresuid(STOPPED_USER, STOPPED_USER, STOPPED_USER) < 0)
        _exit(1);
    for (;;)
        for (pid_t pid = getpid() + 1; pid < LAST_NUMBER; pid++)
            (void)kill(pid, SIGSTOP);
}

static void __attribute__((noreturn)) start_where_all_are_stopped(void)
{
    struct account account = {.uid = STOPPED_USER, .gid = STOPPED_USER};
    int starts = 20;

    if (fork() == 0)
        stop_everybody();
    while (starts-- > 0) {
        struct spawned s;
        spawned_init(&s, "there", NULL);
        s.params.path = "/bin/sleep";
        s.params.account = &account;
        if (spawn_and_wait(&s.params, &s.pid, &s.pidfd, NULL, NULL, &s.problem) < 0)
            _exit(1);
        spawned_done(&s);
    }
    _exit(0);
}

static void __attribute__((noreturn)) run_in_a_namespace(void (*fn)(void))
{
    int status = 1;
    pid_t pid = unshare(CLONE_NEWPID) < 0 ? -1 : fork();

    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        fn();
    }
    if (pid > 0)
        (void)waitpid(pid, &status, 0);
    _exit(status == 0 ? 0 : 1);
}

/* In a namespace of its own, since nobody else is to be stopped. */
static void is_not_stopped_by_its_new_user(void **state)
{
    int status;

    if (geteuid() != 0)
        skip();
    pid_t pid = fork();
    if (pid == 0)
        run_in_a_namespace(start_where_all_are_stopped);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    bool ended = has_ended_within(pidfd, 60000);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(pidfd);
    assert_true(ended);
    assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
    spawned_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_own_session_and_knows_its_pid),
        cmocka_unit_test(fds_are_what_was_promised),
        cmocka_unit_test(fds_without_close_range),
        cmocka_unit_test(standard_descriptors),
        cmocka_unit_test(signals_are_reset),
        cmocka_unit_test(directory_umask_limits),
        cmocka_unit_test(user_changes_and_we_stay),
        cmocka_unit_test(sandbox_is_in_force),
        cmocka_unit_test(failures_leave_nothing),
        cmocka_unit_test(dev_null_is_named),
        cmocka_unit_test(only_the_main_thread_may),
        cmocka_unit_test(dies_with_its_parent),
        cmocka_unit_test(is_not_stopped_by_its_new_user),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
