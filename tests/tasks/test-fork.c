/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Forked children: when the parent goes on, what the child is left with, how it ends. */

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "check.h"
#include "current.h"
#include "process-helpers.h"

#define SOON (30 * AIT_USEC_PER_SEC)

static void nobody_left(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* ---- results --------------------------------------------------------------------------------- */

static int return_it(void *userdata)
{
    int r;

    /* It has a loop that works. */
    r = ait_sleep(MS(1));
    return r < 0 ? 77 : (int)(intptr_t)userdata;
}

static int results_main(void *userdata)
{
    static const struct {
        int result, exit_code;
    } cases[] = {{0, 0},     {1, 1},        {99, 99},  {255, 255},
                 {256, 255}, {100000, 255}, {-EIO, 1}, {-ECANCELED, 1}};

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        AIT_CHILD(c);
        siginfo_t info;

        CHECK_EQ(ait_fork(&c, return_it, (void *)(intptr_t)cases[i].result, NULL), 0);
        CHECK(ait_child_pid(c) > 0 && ait_child_pidfd(c) >= 0);
        CHECK_EQ(ait_child_wait(c, &info), 0);
        CHECK_EQ(info.si_code, CLD_EXITED);
        CHECK_EQ(ait_child_exit_code(c), cases[i].exit_code);
    }
    return 0;
}

static void test_results(void **unused)
{
    unsigned n = count_fds();

    assert_int_equal(run_real(results_main, NULL), 0);
    assert_int_equal(count_fds(), n);
    nobody_left();
}

static int die(void *userdata)
{
    (void)raise(SIGKILL);
    return 0;
}

static int dead_main(void *userdata)
{
    AIT_CHILD(c);
    AIT_CHILD(d);

    CHECK_EQ(ait_fork(&c, die, NULL, NULL), 0);
    CHECK_EQ(ait_child_wait(c, NULL), 0);
    CHECK_EQ(ait_child_exit_code(c), 128 + SIGKILL);
    CHECK_EQ(ait_fork_start(&d, die, NULL, NULL), -EPROTO);
    CHECK(d == NULL);
    return 0;
}

static void test_dead(void **unused)
{
    assert_int_equal(run_real(dead_main, NULL), 0);
    nobody_left();
}

/* ---- ready ----------------------------------------------------------------------------------- */

static int start_with(void *userdata)
{
    int value = (int)(intptr_t)userdata, r;

    if (value < 0)
        return value;
    if (value == 100)
        return 5; /* without a word */
    r = ait_sleep(MS(5));
    if (r < 0)
        return r;
    CHECK_EQ(ait_task_started(value), 1);
    CHECK_EQ(ait_task_started(value), 0);
    r = ait_sleep(AIT_USEC_INFINITY);
    return r == -ECANCELED ? 33 : 34;
}

static int start_main(void *userdata)
{
    static const struct {
        int value, r;
    } cases[] = {{0, 0}, {7, 7}, {-EIO, -EIO}, {-ECANCELED, -EPROTO}, {100, -EPROTO}};

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        AIT_CHILD(c);

        CHECK_EQ(ait_fork_start(&c, start_with, (void *)(intptr_t)cases[i].value, NULL),
                 cases[i].r);
        CHECK_EQ(c != NULL, cases[i].r >= 0);
        if (!c)
            continue;
        CHECK_EQ(ait_child_terminate(c, SIGTERM, SOON), 0);
        CHECK_EQ(ait_child_exit_code(c), 33);
    }
    return 0;
}

static void test_start(void **unused)
{
    unsigned n = count_fds();

    assert_int_equal(run_real(start_main, NULL), 0);
    assert_int_equal(count_fds(), n);
    nobody_left();
}

/* SIGTERM as soon as ait_fork() has returned cancels; it never kills. */
static int sleep_for_ever(void *userdata)
{
    return ait_sleep(AIT_USEC_INFINITY) == -ECANCELED ? 21 : 22;
}

static int interruptible_main(void *userdata)
{
    for (int i = 0; i < 5; i++) {
        AIT_CHILD(c);

        CHECK_EQ(ait_fork(&c, sleep_for_ever, NULL, NULL), 0);
        CHECK_EQ(ait_child_kill(c, i % 2 ? SIGTERM : SIGINT), 0);
        CHECK_EQ(ait_child_wait(c, NULL), 0);
        CHECK_EQ(ait_child_exit_code(c), 21);
    }
    return 0;
}

/* The parent holds the signals back for itself; that is not the child's mask. */
static int interruptible_run_main(void *userdata)
{
    return interruptible_main(userdata);
}

static int keep_main(void *userdata)
{
    AIT_CHILD(c);

    CHECK_EQ(ait_fork(&c, sleep_for_ever, NULL, AIT_FORK_OPTIONS(.flags = AIT_FORK_KEEP_SIGNALS)),
             0);
    CHECK_EQ(ait_child_kill(c, SIGTERM), 0);
    CHECK_EQ(ait_child_wait(c, NULL), 0);
    CHECK_EQ(ait_child_exit_code(c), 128 + SIGTERM);
    return 0;
}

static void test_interruptible(void **unused)
{
    assert_int_equal(run_real(interruptible_main, NULL), 0);
    assert_int_equal(ait_run(interruptible_run_main, NULL, 0), 0);
    check_assert();
    assert_int_equal(ait_run(keep_main, NULL, 0), 0);
    check_assert();
    nobody_left();
}

/* ---- what the child is left with ------------------------------------------------------------- */

struct parent {
    ait_loop *loop;
    ait_task *task;
    ait_scope *scope;
    ait_future *future;
    ait_child *sibling;
};

static int foreign_child(void *userdata)
{
    struct parent *p = userdata;
    struct {
        int got, want;
    } cases[] = {
        {ait_task_cancel(p->task), -ECHILD},
        {ait_scope_cancel(p->scope), -ECHILD},
        {ait_await(p->future, NULL), -ECHILD},
        {ait_future_resolve(p->future, 0), -ECHILD},
        {ait_loop_run(p->loop), -ECHILD},
        {ait_scope_spawn(p->scope, NULL, return_it, NULL, NULL), -ECHILD},
        {ait_loop_post(p->loop, free, NULL), -ECHILD},
        {ait_child_kill(p->sibling, SIGKILL), -ECHILD},
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++)
        if (cases[i].got != cases[i].want)
            return (int)i + 1;
    return ait_loop_current() != p->loop && ait_task_current() != p->task ? 0 : 50;
}

static int foreign_main(void *userdata)
{
    AIT_CLEANUP(ait_future_unrefp) ait_future *future = NULL;
    AIT_CHILD(sibling);
    AIT_CHILD(c);
    AIT_SCOPE(scope);
    struct parent p;

    CHECK_EQ(ait_future_new(&future), 0);
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_fork(&sibling, sleep_for_ever, NULL, NULL), 0);
    p = (struct parent){ait_loop_current(), ait_task_current(), scope, future, sibling};
    CHECK_EQ(ait_fork(&c, foreign_child, &p, NULL), 0);
    CHECK_EQ(ait_child_wait(c, NULL), 0);
    CHECK_EQ(ait_child_exit_code(c), 0);
    return ait_scope_exit(scope, 0);
}

static void test_foreign(void **unused)
{
    assert_int_equal(run_real(foreign_main, NULL), 0);
    nobody_left();
}

static int nested_child(void *userdata)
{
    AIT_CHILD(c);
    int r;

    r = ait_fork_start(&c, start_with, (void *)3, NULL);
    if (r != 3)
        return 90;
    r = ait_child_terminate(c, SIGTERM, SOON);
    return r == 0 ? ait_child_exit_code(c) : 91;
}

static int offload_in_child(void *userdata)
{
    return ait_offload(return_it, NULL) == 77 ? 12 : 13; /* no loop in a thread */
}

static int nested_main(void *userdata)
{
    AIT_CHILD(c);
    AIT_CHILD(d);

    CHECK_EQ(ait_fork(&c, nested_child, NULL, NULL), 0);
    CHECK_EQ(ait_child_wait(c, NULL), 0);
    CHECK_EQ(ait_child_exit_code(c), 33);
    /* The pool of threads is the parent's. */
    CHECK_EQ(ait_offload(return_it, NULL), 77);
    CHECK_EQ(ait_fork(&d, offload_in_child, NULL, NULL), 0);
    CHECK_EQ(ait_child_wait(d, NULL), 0);
    CHECK_EQ(ait_child_exit_code(d), 12);
    return 0;
}

static void test_nested(void **unused)
{
    assert_int_equal(run_real(nested_main, NULL), 0);
    nobody_left();
}

/* What the parent has in its buffers is written once, and what the child writes is written. */
static int print_child(void *userdata)
{
    (void)printf("child;");
    return 0;
}

static int stdio_main(void *userdata)
{
    AIT_CHILD(c);

    (void)printf("parent;");
    CHECK_EQ(ait_fork(&c, print_child, NULL, NULL), 0);
    CHECK_EQ(ait_child_wait(c, NULL), 0);
    (void)fflush(stdout);
    return 0;
}

static void test_stdio(void **unused)
{
    int fds[2], saved = dup(1);
    char buf[64] = "";

    (void)fflush(stdout);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(dup2(fds[1], 1), 1);
    assert_int_equal(run_real(stdio_main, NULL), 0);
    assert_int_equal(dup2(saved, 1), 1);
    assert_true(read(fds[0], buf, sizeof(buf) - 1) > 0);
    assert_string_equal(buf, "child;parent;");
    (void)close(fds[0]);
    (void)close(fds[1]);
    (void)close(saved);
}

/* A connection that a child has a copy of leaves the parent's poll set when the parent closes it.
 */
static unsigned n_polled(void)
{
    char path[64], line[256];
    unsigned n = 0;
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", ait_loop_current()->epoll_fd);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f))
        n += strncmp(line, "tfd:", 4) == 0;
    if (f)
        (void)fclose(f);
    return n;
}

static int connections_main(void *userdata)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t len = sizeof(address);
    AIT_CHILD(c);
    AIT_SCOPE(scope);
    int listener, client, conn;
    unsigned n;
    char buf;

    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    CHECK_EQ(listen(listener, 1), 0);
    CHECK_EQ(connect(client, (struct sockaddr *)&address, len), 0);
    conn = ait_accept(listener, NULL, NULL);
    CHECK(conn >= 0);
    n = n_polled();
    CHECK_EQ(ait_scope_enter_after(&scope, AIT_SCOPE_MOVE_ON, MS(1)), 0);
    CHECK_EQ(ait_read(conn, &buf, 1), -ECANCELED);
    CHECK_EQ(ait_scope_exit(scope, -ECANCELED), 0);
    CHECK_EQ(n_polled(), n + 1);
    CHECK_EQ(ait_fork(&c, sleep_for_ever, NULL, NULL), 0);
    n = n_polled();
    CHECK_EQ(ait_close(conn), 0);
    CHECK_EQ(n_polled(), n - 1);
    CHECK_EQ(ait_child_terminate(c, SIGCONT, 0), 1);
    CHECK_EQ(ait_close(listener), 0);
    CHECK_EQ(ait_close(client), 0);
    return 0;
}

static void test_connections(void **unused)
{
    assert_int_equal(run_real(connections_main, NULL), 0);
}

/* ---- owners ---------------------------------------------------------------------------------- */

static int never_ready(void *userdata)
{
    (void)ait_sleep(AIT_USEC_INFINITY);
    return 0;
}

static int stubborn(void *userdata)
{
    (void)signal(SIGTERM, SIG_IGN);
    for (;;)
        (void)pause();
    return 0;
}

static int cancelled_main(void *userdata)
{
    AIT_CHILD(c);
    AIT_SCOPE(scope);
    int r;

    CHECK_EQ(ait_scope_enter_after(&scope, AIT_SCOPE_MOVE_ON, MS(20)), 0);
    r = ait_fork_start(&c, userdata, NULL,
                       AIT_FORK_OPTIONS(.stop_usec = MS(20), .flags = AIT_FORK_KEEP_SIGNALS));
    CHECK_EQ(r, -ECANCELED);
    CHECK(c == NULL);
    CHECK_EQ(ait_fork(&c, never_ready, NULL, NULL), -ECANCELED);
    CHECK(c == NULL);
    CHECK_EQ(ait_scope_exit(scope, r), 0);
    return 0;
}

static void test_cancelled(void **unused)
{
    unsigned n = count_fds();

    assert_int_equal(run_real(cancelled_main, never_ready), 0);
    nobody_left();
    assert_int_equal(run_real(cancelled_main, stubborn), 0);
    nobody_left();
    assert_int_equal(count_fds(), n);
}

static int middle(void *userdata)
{
    AIT_CHILD(c);
    int r;

    r = ait_fork(&c, sleep_for_ever, NULL, AIT_FORK_OPTIONS(.death_signal = SIGKILL));
    /* Whoever ends like this ends nothing in order. */
    _exit(r == 0 ? 0 : 1);
}

/* Waits for the end of whoever holds the other end of the pipe. */
static int death_main(void *userdata)
{
    AIT_CHILD(c);
    AIT_SCOPE(scope);
    int fds[2];
    char buf;

    CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    CHECK_EQ(ait_scope_enter_after(&scope, 0, SOON), 0);
    CHECK_EQ(ait_fork(&c, middle, NULL, NULL), 0);
    (void)close(fds[1]);
    CHECK_EQ(ait_child_wait(c, NULL), 0);
    CHECK_EQ(ait_child_exit_code(c), 0);
    CHECK_EQ(ait_read(fds[0], &buf, 1), 0);
    CHECK_EQ(ait_close(fds[0]), 0);
    return ait_scope_exit(scope, 0);
}

static void test_death_signal(void **unused)
{
    assert_int_equal(run_real(death_main, NULL), 0);
}

static int group_child(void *userdata)
{
    if (fork() == 0) {
        (void)signal(SIGTERM, SIG_IGN);
        for (;;)
            pause();
    }
    return sleep_for_ever(NULL);
}

static int group_main(void *userdata)
{
    static const unsigned flags[] = {AIT_FORK_PROCESS_GROUP, AIT_FORK_SESSION};

    for (size_t i = 0; i < ELEMENTS(flags); i++) {
        AIT_CHILD(c);
        int fds[2];
        char buf;

        CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
        CHECK_EQ(ait_fork(&c, group_child, NULL, AIT_FORK_OPTIONS(.flags = flags[i])), 0);
        (void)close(fds[1]);
        CHECK_EQ(getpgid(ait_child_pid(c)), ait_child_pid(c));
        CHECK_EQ(getsid(ait_child_pid(c)) == ait_child_pid(c), flags[i] == AIT_FORK_SESSION);
        CHECK_EQ(ait_child_terminate(c, SIGTERM, SOON), 0);
        CHECK_EQ(ait_child_exit_code(c), 21);
        CHECK_EQ(ait_read(fds[0], &buf, 1), 0);
        CHECK_EQ(ait_close(fds[0]), 0);
    }
    return 0;
}

static void test_group(void **unused)
{
    assert_int_equal(run_real(group_main, NULL), 0);
    nobody_left();
}

/* ---- errors ---------------------------------------------------------------------------------- */

static int arguments_main(void *userdata)
{
    ait_child *c = NULL;

    CHECK_EQ(ait_fork(NULL, return_it, NULL, NULL), -EINVAL);
    CHECK_EQ(ait_fork(&c, NULL, NULL, NULL), -EINVAL);
    CHECK_EQ(ait_fork(&c, return_it, NULL, AIT_FORK_OPTIONS(.flags = AIT_SPAWN_STDIN_PIPE)),
             -EINVAL);
    CHECK_EQ(ait_fork(&c, return_it, NULL, AIT_FORK_OPTIONS(.death_signal = -1)), -EINVAL);
    CHECK_EQ(ait_fork(&c, return_it, NULL, AIT_FORK_OPTIONS(.stop_signal = NSIG)), -EINVAL);
    CHECK_EQ(ait_fork_start(&c, return_it, NULL, &(const ait_fork_options){.size = 1}), -EINVAL);
    CHECK(c == NULL);
    return 0;
}

static void test_arguments(void **unused)
{
    ait_child *c = NULL;

    assert_int_equal(ait_fork(&c, return_it, NULL, NULL), -EPERM);
    assert_int_equal(run_real(arguments_main, NULL), 0);
    nobody_left();
}

static int limits_main(void *userdata)
{
    struct rlimit limit, before;
    unsigned n_fds, n_refused = 0;
    int r = -EMFILE;
    ait_child *c = NULL;

    CHECK_EQ(ait_fork(&c, return_it, NULL, NULL), 0);
    ait_child_end(c);
    n_fds = count_fds();
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (unsigned n = 0; n < 10 && r == -EMFILE; n++) {
        c = NULL;
        limit = before;
        limit.rlim_cur = (rlim_t)lowest_free_fd() + n;
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
        r = ait_fork_start(&c, start_with, (void *)4, NULL);
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
        CHECK(r >= 0 || !c);
        n_refused += r < 0;
        ait_child_end(c);
        CHECK_EQ(count_fds(), n_fds);
    }
    /* Where the child has too few, it says so. */
    CHECK(r == 4 || r == -EMFILE);
    CHECK(n_refused >= 2);
    return 0;
}

static int no_memory_main(void *userdata)
{
    int r = -ENOMEM;

    /* Here, and then in the child, which tells. */
    for (unsigned n = 1; r == -ENOMEM || r == -EAGAIN; n++) {
        ait_child *c = NULL;

        alloc_fail_at(n);
        r = ait_fork_start(&c, start_with, (void *)4, NULL);
        CHECK(alloc_count() < n || r < 0);
        alloc_fail_at(0);
        ait_child_end(c);
    }
    CHECK_EQ(r, 4);
    return 0;
}

static void test_limits(void **unused)
{
    unsigned n = count_fds();

    assert_int_equal(run_real(limits_main, NULL), 0);
    nobody_left();
    assert_int_equal(run_real(no_memory_main, NULL), 0);
    nobody_left();
    assert_int_equal(count_fds(), n);
}

/* ThreadSanitizer would forbid threads in a child of a process with threads. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);

const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments),     cmocka_unit_test(test_results),
        cmocka_unit_test(test_dead),          cmocka_unit_test(test_start),
        cmocka_unit_test(test_interruptible), cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_nested),        cmocka_unit_test(test_stdio),
        cmocka_unit_test(test_connections),   cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_death_signal),  cmocka_unit_test(test_group),
        cmocka_unit_test(test_limits),
    };

    if (!has_pidfds())
        return 77;
    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
