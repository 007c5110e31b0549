/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "clone-exec.h"
#include "raw.h"

extern char **environ;

#define ARGV(...) ((char *const[]){__VA_ARGS__, NULL})
#define SHELL(script)                                                                              \
    .path = "/bin/sh", .argv = ARGV("sh", "-c", script), .envp = environ, .steps = steps,          \
    .n_steps = sizeof(steps) / sizeof(steps[0])

static const exec_step steps[] = {
    exec_start_session,    exec_reset_signals, exec_arrange_fds,     exec_change_directory,
    exec_set_death_signal, exec_check_parent,  exec_unblock_signals, exec_execute,
};

/* The exit status. */
static int finish(pid_t pid, int pidfd)
{
    int status;

    assert_true(pid > 0);
    assert_true(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(pidfd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(struct exec_plan *plan)
{
    int pidfd = -1;
    pid_t pid = exec_start(plan, &pidfd);

    assert_int_equal(plan->failed.error, 0);
    assert_int_equal(plan->pid, pid);
    return finish(pid, pidfd);
}

/* That it failed, and that nothing is left. */
static int run_in_vain(struct exec_plan *plan)
{
    int pidfd = -1, next = dup(0), after;
    pid_t pid;

    close(next);
    pid = exec_start(plan, &pidfd);
    assert_true(pid < 0);
    assert_int_equal(pidfd, -1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    after = dup(0);
    assert_int_equal(after, next);
    close(after);
    return pid;
}

static void test_runs(void **state)
{
    assert_int_equal(run(&(struct exec_plan){SHELL("exit 7")}), 7);
    assert_int_equal(run(&(struct exec_plan){SHELL("test \"$PWD\" = /usr"), .directory = "/usr"}),
                     0);
    assert_int_equal(run(&(struct exec_plan){SHELL("kill -9 $$")}), 128 + SIGKILL);
    assert_int_equal(
        run(&(struct exec_plan){SHELL("test $(ps -o sid= -p $$) = $$ || command -v ps || exit 0"),
                                .session = true}),
        0);
}

static void test_failed_step(void **state)
{
    struct exec_plan plan = {SHELL("exit 0"), .directory = "/nowhere"};

    assert_int_equal(run_in_vain(&plan), -ENOENT);
    assert_int_equal(plan.failed.error, -ENOENT);
    assert_int_equal(plan.failed.step, 3);
    assert_true(plan.pid > 0);
    plan = (struct exec_plan){SHELL("exit 0")};
    plan.path = "/etc/passwd";
    assert_int_equal(run_in_vain(&plan), -EACCES);
    assert_int_equal(plan.failed.step, 7);
}

/* The child's failures must not show in errno, which is the parent's: its memory is ours. */
static void test_errno_is_ours(void **state)
{
    struct exec_plan plan = {SHELL("exit 0"), .directory = "/nowhere"};
    int pidfd;

    for (int i = 0; i < 100; i++) {
        errno = 4711;
        assert_int_equal(exec_start(&plan, &pidfd), -ENOENT);
        assert_int_equal(errno, 4711);
    }
}

static int seen_errno;

RAW_CODE static int look_at_errno(struct exec_plan *plan)
{
    (void)raw_call(SYS_close, -1);
    seen_errno = errno;
    return 0;
}

static void test_memory_is_shared(void **state)
{
    static const exec_step own[] = {look_at_errno, exec_arrange_fds, exec_unblock_signals,
                                    exec_execute};
    struct exec_plan plan = {SHELL("exit 3")};

    plan.steps = own;
    plan.n_steps = sizeof(own) / sizeof(own[0]);
    errno = 4711;
    assert_int_equal(run(&plan), 3);
    assert_int_equal(seen_errno, 4711);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static void check_fds(void)
{
    int ends[2];

    assert_int_equal(pipe2(ends, 0), 0); /* one that would be inherited */
    struct exec_fd fds[] = {
        {.source = ends[1], .target = ends[1]}, /* onto itself, which clears close-on-exec */
        {.source = STDERR_FILENO, .target = 40},
        {.source = ends[1], .target = 50, .flags = O_CLOEXEC},
    };
    char script[256];

    (void)snprintf(script, sizeof(script),
                   "cd /proc/self/fd; test -p %d && ! test -p %d && test -e 40 && ! test -e 50; "
                   "printf $? >&%d",
                   ends[1], ends[0], ends[1]);
    assert_int_equal(run(&(struct exec_plan){SHELL(script), .fds = fds, .n_fds = 3}), 0);
    close(ends[1]);
    char byte;
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(byte, '0');
    close(ends[0]);
}

static void test_fds(void **state)
{
    check_fds();
}

/* Two that change places. */
static void test_fds_crossed(void **state)
{
    int a[2], b[2];
    char byte;

    assert_int_equal(pipe2(a, O_CLOEXEC) + pipe2(b, O_CLOEXEC), 0);
    int low = a[1] < b[1] ? a[1] : b[1], high = a[1] < b[1] ? b[1] : a[1];
    struct exec_fd fds[] = {{.source = high, .target = low}, {.source = low, .target = high}};
    char script[64];

    (void)snprintf(script, sizeof(script), "printf h >&%d; printf l >&%d", low, high);
    assert_int_equal(run(&(struct exec_plan){SHELL(script), .fds = fds, .n_fds = 2}), 0);
    close(a[1]);
    close(b[1]);
    assert_int_equal(read(low == a[1] ? a[0] : b[0], &byte, 1), 1);
    assert_int_equal(byte, 'l');
    assert_int_equal(read(low == a[1] ? b[0] : a[0], &byte, 1), 1);
    assert_int_equal(byte, 'h');
    close(a[0]);
    close(b[0]);
}

static void test_fds_without_close_range(void **state)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, 2, &program) < 0)
            _exit(77);
        check_fds();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

static void test_inherited_fds(void **state)
{
    int fd = open("/dev/null", O_RDONLY), closed = open("/dev/null", O_RDONLY | O_CLOEXEC);
    char script[96];

    (void)snprintf(script, sizeof(script), "test -e /proc/self/fd/%d && ! test -e /proc/self/fd/%d",
                   fd, closed);
    assert_int_equal(run(&(struct exec_plan){SHELL(script), .inherit_fds = true}), 0);
    (void)snprintf(script, sizeof(script), "! test -e /proc/self/fd/%d", fd);
    assert_int_equal(run(&(struct exec_plan){SHELL(script)}), 0);
    close(fd);
    close(closed);
}

/* ---- signals --------------------------------------------------------------------------------- */

static void on_signal(int signo)
{
}

/* 1 where the signal is in that set of the program. */
static int has_signal(const char *set, int signo, uint64_t keep_ignored)
{
    char script[256];

    (void)snprintf(script, sizeof(script),
                   "while read k v; do test \"$k\" = %s: && exit $(( (0x$v >> %d) & 1 )); done "
                   "</proc/self/status; exit 9",
                   set, signo - 1);
    return run(&(struct exec_plan){SHELL(script), .keep_ignored = keep_ignored});
}

static void test_signals(void **state)
{
    sigset_t usr1, before;

    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    assert_int_equal(sigprocmask(SIG_BLOCK, &usr1, &before), 0);
    (void)signal(SIGUSR2, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGALRM, on_signal);
    assert_int_equal(has_signal("SigBlk", SIGUSR1, 0), 0);
    assert_int_equal(has_signal("SigIgn", SIGUSR2, 0), 0);
    assert_int_equal(has_signal("SigIgn", SIGUSR2, ~(UINT64_C(1) << (SIGPIPE - 1))), 1);
    assert_int_equal(has_signal("SigIgn", SIGPIPE, ~(UINT64_C(1) << (SIGPIPE - 1))), 0);
    assert_int_equal(has_signal("SigCgt", SIGALRM, UINT64_MAX), 0);
    /* Ours are as they were. */
    sigset_t now;
    assert_int_equal(sigprocmask(SIG_SETMASK, &before, &now), 0);
    assert_int_equal(sigismember(&now, SIGUSR1), 1);
    assert_int_equal(sigismember(&now, SIGTERM), 0);
    assert_ptr_equal(signal(SIGUSR2, SIG_DFL), SIG_IGN);
    assert_ptr_equal(signal(SIGPIPE, SIG_DFL), SIG_IGN);
    assert_ptr_equal(signal(SIGALRM, SIG_DFL), on_signal);
}

/* ---- something to do meanwhile --------------------------------------------------------------- */

static int pipe_of_child[2], meanwhile_result;

/* Its end is closed by the exec, or by its end. */
static int wait_for_end(struct exec_plan *plan, pid_t pid)
{
    char byte;

    close(pipe_of_child[1]);
    if (meanwhile_result < 0)
        (void)kill(pid, SIGKILL);
    assert_int_equal(read(pipe_of_child[0], &byte, 1), 0);
    close(pipe_of_child[0]);
    return meanwhile_result;
}

static void test_meanwhile(void **state)
{
    struct exec_fd fds[] = {{.target = 60, .flags = O_CLOEXEC}};
    struct exec_plan plan = {SHELL("exit 5"), .fds = fds, .n_fds = 1, .meanwhile = wait_for_end};

    assert_int_equal(pipe2(pipe_of_child, O_CLOEXEC), 0);
    fds[0].source = pipe_of_child[1];
    assert_int_equal(run(&plan), 5);
    /* a step that fails has the first word */
    assert_int_equal(pipe2(pipe_of_child, O_CLOEXEC), 0);
    fds[0].source = pipe_of_child[1];
    plan.path = "/nowhere";
    int pidfd;
    assert_int_equal(exec_start(&plan, &pidfd), -ENOENT);
    assert_int_equal(plan.failed.error, -ENOENT);
    /* and the parent's half may fail */
    assert_int_equal(pipe2(pipe_of_child, O_CLOEXEC), 0);
    fds[0].source = pipe_of_child[1];
    meanwhile_result = -EIO;
    plan.path = "/bin/sh";
    assert_int_equal(exec_start(&plan, &pidfd), -EIO);
    assert_int_equal(plan.failed.error, 0);
    meanwhile_result = 0;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* ---- credentials and the parent's death ------------------------------------------------------ */

RAW_CODE static int become_nobody(struct exec_plan *plan)
{
    return (int)raw_call(SYS_setresuid, 65534, 65534, 65534);
}

static void test_dumpable_is_put_back(void **state)
{
    static const exec_step own[] = {exec_arrange_fds,  become_nobody,        exec_set_death_signal,
                                    exec_check_parent, exec_unblock_signals, exec_execute};
    struct exec_plan plan = {SHELL("test $(id -u) = 65534"), .changes_credentials = true,
                             .death_signal = SIGKILL};

    if (geteuid() != 0)
        skip();
    plan.steps = own;
    plan.n_steps = sizeof(own) / sizeof(own[0]);
    for (int dumpable = 0; dumpable < 2; dumpable++) {
        assert_int_equal(prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0), 0);
        assert_int_equal(run(&plan), 0);
        assert_int_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), dumpable);
    }
}

/* ---- cost ------------------------------------------------------------------------------------ */

static long minor_faults(void)
{
    struct rusage usage;

    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_minflt;
}

/*
 * A fork would copy the page tables, and leave each page of ours to be faulted in again at its next
 * write. Counted in faults, not in time: a busy machine makes a start as slow as it likes.
 */
static void test_a_large_parent_costs_nothing(void **state)
{
    size_t size = 64u << 20, page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    struct exec_plan plan = {SHELL("exec sleep 1000")};
    int pidfd = -1;

    assert_ptr_not_equal(memory, MAP_FAILED);
    (void)madvise(memory, size, MADV_NOHUGEPAGE);
    for (size_t at = 0; at < size; at += page)
        memory[at] = 1;
    pid_t pid = exec_start(&plan, &pidfd);
    long before = minor_faults();
    for (size_t at = 0; at < size; at += page)
        memory[at] = 2;
    long faults = minor_faults() - before;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(finish(pid, pidfd), 128 + SIGKILL);
    (void)munmap(memory, size);
    print_message("# %ld faults at %zu pages after a start\n", faults, size / page);
    assert_true(faults < (long)(size / page / 100));
}

/* ---- without waiting ------------------------------------------------------------------------- */

static int hang_fd; /* of a pipe that nobody writes to */

RAW_CODE static int hang(struct exec_plan *plan)
{
    char byte;

    (void)plan;
    return (int)raw_call(SYS_read, hang_fd, &byte, 1);
}

static bool is_over(int fd, int msec)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, msec) == 1;
}

/* Starts it with a pipe that closes at its exec, and gives away our copy of the plan. */
static pid_t begin(const struct exec_plan *from, int *ret_pidfd, int *ret_fd,
                   struct exec_report **ret_report)
{
    struct exec_plan *plan = malloc(sizeof(*plan));
    struct exec_fd fds[] = {{.target = 40, .flags = O_CLOEXEC}};
    int ends[2];

    assert_non_null(plan);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    *plan = *from;
    fds[0].source = ends[1];
    plan->fds = fds;
    plan->n_fds = 1;
    pid_t pid = exec_fork(plan, ret_pidfd);
    assert_true(pid > 0);
    assert_int_equal(plan->pid, pid);
    *ret_report = plan->report;
    memset(plan, 0xff, sizeof(*plan));
    free(plan);
    close(ends[1]);
    *ret_fd = ends[0];
    return pid;
}

static void test_fork_runs(void **state)
{
    struct exec_plan plan = {SHELL("exit 7"), .death_signal = SIGKILL};
    struct exec_report *report;
    int pidfd, fd;

    pid_t pid = begin(&plan, &pidfd, &fd, &report);
    assert_true(is_over(fd, 10000));
    assert_int_equal(report->error, 0);
    assert_int_equal(finish(pid, pidfd), 7);
    assert_null(exec_report_free(report));
    close(fd);
}

static void test_fork_reports_a_failed_step(void **state)
{
    struct exec_plan plan = {SHELL("exit 0"), .directory = "/nowhere"};
    struct exec_report *report;
    int pidfd, fd;

    errno = 4711;
    pid_t pid = begin(&plan, &pidfd, &fd, &report);
    assert_int_equal(errno, 4711);
    assert_true(is_over(fd, 10000));
    assert_int_equal(report->error, -ENOENT);
    assert_int_equal(report->step, 3);
    assert_int_equal(finish(pid, pidfd), 127);
    exec_report_free(report);
    close(fd);
}

/* And has no part of our memory. */
static void test_fork_does_not_wait(void **state)
{
    static const exec_step own[] = {hang, exec_execute};
    struct exec_plan plan = {SHELL("exit 0")};
    struct exec_report *report;
    int pidfd, fd, ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    hang_fd = ends[0];
    plan.steps = own;
    plan.n_steps = sizeof(own) / sizeof(own[0]);
    pid_t pid = begin(&plan, &pidfd, &fd, &report);
    hang_fd = -1;
    assert_false(is_over(pidfd, 0));
    assert_int_equal(report->error, 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(finish(pid, pidfd), 128 + SIGKILL);
    assert_true(is_over(fd, 10000));
    exec_report_free(report);
    close(fd);
    close(ends[0]);
    close(ends[1]);
}

static void test_dies_with_its_parent(void **state)
{
    int ends[2];
    char byte;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct exec_fd fds[] = {{.source = ends[1], .target = 30}};
        struct exec_plan plan = {SHELL("exec sleep 1000"), .fds = fds, .n_fds = 1,
                                 .death_signal = SIGKILL};
        int pidfd;

        _exit(exec_start(&plan, &pidfd) < 0);
    }
    close(ends[1]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_failed_step),
        cmocka_unit_test(test_errno_is_ours),
        cmocka_unit_test(test_memory_is_shared),
        cmocka_unit_test(test_fds),
        cmocka_unit_test(test_fds_crossed),
        cmocka_unit_test(test_fds_without_close_range),
        cmocka_unit_test(test_inherited_fds),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_meanwhile),
        cmocka_unit_test(test_dumpable_is_put_back),
        cmocka_unit_test(test_a_large_parent_costs_nothing),
        cmocka_unit_test(test_fork_runs),
        cmocka_unit_test(test_fork_reports_a_failed_step),
        cmocka_unit_test(test_fork_does_not_wait),
        cmocka_unit_test(test_dies_with_its_parent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
