/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ait_run(): results, what becomes of the other tasks, signals; and what is told about tasks that
 * fail. */

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* ---- results --------------------------------------------------------------------------------- */

static int return_it(void *userdata)
{
    return (int)(intptr_t)userdata;
}

static int run_inside(void *userdata)
{
    ait_loop *loop = NULL;

    CHECK_EQ(ait_run(return_it, NULL, 0), -EBUSY);
    CHECK_EQ(ait_loop_new(&loop), -EBUSY);
    CHECK(strcmp(ait_task_name(ait_task_current()), "main") == 0);
    return 0;
}

static void test_results(void **unused)
{
    static const int results[] = {0, 1, 7, -EIO, -ECANCELED, INT32_MAX, INT32_MIN};

    for (unsigned i = 0; i < ELEMENTS(results); i++)
        assert_int_equal(ait_run(return_it, (void *)(intptr_t)results[i], 0), results[i]);
    assert_int_equal(ait_run(NULL, NULL, 0), -EINVAL);
    assert_int_equal(ait_run(return_it, NULL, 1u << 31), -EINVAL);
    assert_int_equal(ait_run(run_inside, NULL, 0), 0);
    assert_null(ait_loop_current());
    check_assert();
}

static unsigned n_cancelled, n_ended;

static int background(void *userdata)
{
    int r = ait_sleep(AIT_USEC_INFINITY);
    AIT_SCOPE(shield);

    n_cancelled += r == -ECANCELED;
    /* It is waited for, however long it cleans up. */
    CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_sleep(2000), 0);
    n_ended++;
    return ait_scope_exit(shield, r);
}

static int leave_others(void *userdata)
{
    for (unsigned i = 0; i < 5; i++)
        CHECK_EQ(ait_scope_spawn(ait_loop_root(ait_loop_current()), NULL, background, NULL, NULL),
                 0);
    CHECK_EQ(ait_yield(), 0);
    return 3;
}

static int own_children(void *userdata)
{
    for (unsigned i = 0; i < 5; i++)
        CHECK_EQ(ait_task_spawn(NULL, return_it, NULL, NULL), 0);
    CHECK_EQ(ait_loop_n_tasks(ait_loop_current()), 6);
    return 4;
}

/* What lives in the root scope is cancelled and drained when main has returned; main's own children
 * are main's to wait for. */
static void test_others(void **unused)
{
    n_cancelled = n_ended = 0;
    assert_int_equal(ait_run(leave_others, NULL, 0), 3);
    assert_int_equal(n_cancelled, 5);
    assert_int_equal(n_ended, 5);
    assert_int_equal(ait_run(own_children, NULL, 0), 4);
    check_assert();
}

/* ---- what is said about failures ------------------------------------------------------------- */

static char said[4096];

/* Runs fn with stderr going to said. */
static int run_listening(ait_task_fn fn)
{
    int fds[2], saved, r;
    ssize_t k;

    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    saved = dup(STDERR_FILENO);
    assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    r = ait_run(fn, NULL, 0);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    (void)close(saved);
    (void)close(fds[1]);
    k = read(fds[0], said, sizeof(said) - 1);
    said[k > 0 ? k : 0] = '\0';
    (void)close(fds[0]);
    return r;
}

static int fail_child(void *userdata)
{
    return -ENOENT;
}

static int fail_self(void *userdata)
{
    return -EIO;
}

static int fail_reported(void *userdata)
{
    CHECK_EQ(ait_task_spawn(NULL, fail_child, NULL, AIT_TASK_OPTIONS(.name = "the child")), 0);
    CHECK_EQ(ait_task_spawn(NULL, fail_child, NULL, NULL), 0);
    return 0;
}

static ait_scope *handled_in;
static char handled_name[64];

static void on_error(ait_scope *scope, const ait_error_info *info, void *userdata)
{
    CHECK(ait_task_current() == NULL);
    CHECK_EQ(ait_yield(), -EPERM);
    CHECK_EQ(info->size, sizeof(*info));
    CHECK_EQ(info->error, -ENOENT);
    (void)snprintf(handled_name, sizeof(handled_name), "%s", info->name);
    handled_in = scope;
    ++*(int *)userdata;
}

static int fail_handled(void *userdata)
{
    int n_outer = 0, n_inner = 0;
    AIT_SCOPE(outer);
    AIT_SCOPE(inner);

    CHECK_EQ(ait_scope_enter(&outer, 0), 0);
    CHECK_EQ(ait_scope_set_error_handler(outer, on_error, &n_outer), 0);
    CHECK_EQ(ait_scope_enter(&inner, 0), 0);
    CHECK_EQ(ait_scope_spawn(inner, NULL, fail_child, NULL, AIT_TASK_OPTIONS(.name = "one")), 0);
    CHECK_EQ(check_settle(), 0);
    CHECK_EQ(n_outer, 1); /* inherited */
    CHECK(handled_in == inner && strcmp(handled_name, "one") == 0);
    CHECK_EQ(ait_scope_set_error_handler(inner, on_error, &n_inner), 0);
    CHECK_EQ(ait_scope_spawn(inner, NULL, fail_child, NULL, NULL), 0);
    CHECK_EQ(ait_scope_exit(inner, 0), 0);
    CHECK_EQ(n_inner, 1);
    CHECK_EQ(n_outer, 1);
    return ait_scope_exit(outer, 0);
}

static void test_reports(void **unused)
{
    assert_int_equal(run_listening(fail_reported), 0);
    assert_non_null(strstr(said, "task 'the child' failed: No such file or directory\n"));
    assert_non_null(strstr(said, "task 'task' failed"));
    /* Main's is its caller's business, a cancelled one's nobody's, a handled one's the handler's.
     */
    assert_int_equal(run_listening(fail_self), -EIO);
    assert_string_equal(said, "");
    assert_int_equal(run_listening(leave_others), 3);
    assert_string_equal(said, "");
    assert_int_equal(run_listening(fail_handled), 0);
    assert_string_equal(said, "");
    check_assert();
}

static int many_errors(void *userdata)
{
    const ait_error_info *error;
    AIT_SCOPE(scope);
    size_t n;

    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR), 0);
    for (unsigned i = 0; i < 1000; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "t%u", i);
        CHECK_EQ(ait_scope_spawn(scope, NULL, fail_child, NULL,
                                 i % 2 ? NULL : AIT_TASK_OPTIONS(.name = name)),
                 0);
    }
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(ait_scope_n_errors(scope), 1000);
    for (n = 0; (error = ait_scope_error(scope, n)); n++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "t%u", (unsigned)n);
        CHECK(strcmp(error->name, n % 2 ? "task" : name) == 0 || check_shuffled());
        CHECK_EQ(error->error, -ENOENT);
    }
    CHECK_EQ(n, 64);
    CHECK_EQ(ait_scope_n_errors(NULL), 0);
    CHECK(!ait_scope_error(NULL, 0));
    return 0;
}

/* All are counted, the first are kept: a supervisor may live for years. */
static void test_error_list(void **unused)
{
    assert_int_equal(run_listening(many_errors), 0);
    assert_string_equal(said, "");
    check_assert();
}

/* ---- signals --------------------------------------------------------------------------------- */

struct daemon {
    pid_t pid;
    int fd; /* it tells what it sees */
};

static int report_fd;

static void tell(char c)
{
    (void)!write(report_fd, &c, 1);
}

static int wait_for_stop(void *userdata)
{
    int r;

    tell('r');
    r = ait_sleep(AIT_USEC_INFINITY);
    tell(r == -ECANCELED ? 'c' : '?');
    return 11;
}

static int ignore_stop(void *userdata)
{
    AIT_SCOPE(shield);

    (void)wait_for_stop(NULL);
    CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
    tell('s');
    return ait_scope_exit(shield, ait_sleep(AIT_USEC_INFINITY));
}

static void daemon_start(struct daemon *d, ait_task_fn fn, unsigned flags)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    d->pid = fork();
    assert_true(d->pid >= 0);
    if (d->pid == 0) {
        report_fd = fds[1];
        _exit(ait_run(fn, NULL, flags));
    }
    (void)close(fds[1]);
    d->fd = fds[0];
}

static void daemon_says(const struct daemon *d, char want)
{
    char c = 0;

    assert_int_equal(read(d->fd, &c, 1), 1);
    assert_int_equal(c, want);
}

static int daemon_end(struct daemon *d)
{
    int status = 0;

    assert_int_equal(waitpid(d->pid, &status, 0), d->pid);
    (void)close(d->fd);
    return status;
}

static void test_first_signal(void **unused)
{
    static const int signals[] = {SIGTERM, SIGINT};

    for (unsigned i = 0; i < ELEMENTS(signals); i++) {
        struct daemon d;
        int status;

        daemon_start(&d, wait_for_stop, 0);
        daemon_says(&d, 'r');
        assert_int_equal(kill(d.pid, signals[i]), 0);
        daemon_says(&d, 'c');
        status = daemon_end(&d);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 11);
    }
}

static void test_second_signal(void **unused)
{
    static const int signals[][2] = {{SIGTERM, SIGTERM}, {SIGINT, SIGTERM}, {SIGTERM, SIGINT}};

    for (unsigned i = 0; i < ELEMENTS(signals); i++) {
        struct daemon d;
        int status;

        daemon_start(&d, ignore_stop, 0);
        daemon_says(&d, 'r');
        assert_int_equal(kill(d.pid, signals[i][0]), 0);
        daemon_says(&d, 'c');
        daemon_says(&d, 's');
        assert_int_equal(kill(d.pid, signals[i][1]), 0);
        status = daemon_end(&d);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signals[i][1]);
    }
}

static void test_keep_signals(void **unused)
{
    struct daemon d;
    int status;

    daemon_start(&d, wait_for_stop, AIT_RUN_KEEP_SIGNALS);
    daemon_says(&d, 'r');
    assert_int_equal(kill(d.pid, SIGTERM), 0);
    status = daemon_end(&d);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
}

static int look_at_signals(void *userdata)
{
    struct sigaction pipe_action;
    sigset_t mask;

    CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
    CHECK_EQ(sigismember(&mask, SIGTERM), 1);
    CHECK_EQ(sigismember(&mask, SIGINT), 1);
    CHECK_EQ(sigismember(&mask, SIGHUP), 0);
    CHECK_EQ(sigaction(SIGPIPE, NULL, &pipe_action), 0);
    CHECK(pipe_action.sa_handler == SIG_IGN);
    return 0;
}

static void on_pipe(int signo)
{
}

/* All is as before afterwards. */
static void test_given_back(void **unused)
{
    struct sigaction action;
    sigset_t before, after;

    (void)signal(SIGPIPE, on_pipe);
    sigemptyset(&before);
    sigaddset(&before, SIGUSR1);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    assert_int_equal(ait_run(look_at_signals, NULL, 0), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    for (int i = 1; i < 32; i++)
        assert_int_equal(sigismember(&after, i), sigismember(&before, i));
    assert_int_equal(sigaction(SIGPIPE, NULL, &action), 0);
    assert_true(action.sa_handler == on_pipe);
    (void)signal(SIGPIPE, SIG_DFL);
    sigemptyset(&before);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    check_assert();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),      cmocka_unit_test(test_others),
        cmocka_unit_test(test_reports),      cmocka_unit_test(test_error_list),
        cmocka_unit_test(test_first_signal), cmocka_unit_test(test_second_signal),
        cmocka_unit_test(test_keep_signals), cmocka_unit_test(test_given_back),
    };

    (void)alarm(100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
