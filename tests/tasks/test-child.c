/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Child processes by pidfd: who waits, what is told, and that no pid is signalled after its process
 * was reaped. */

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static pid_t start(void (*fn)(int), int argument)
{
    pid_t pid = fork();

    if (pid == 0) {
        fn(argument);
        _exit(0);
    }
    return pid;
}

static void exit_with(int status)
{
    _exit(status);
}

static void die_by(int signo)
{
    (void)signal(signo, SIG_DFL);
    (void)raise(signo);
}

static void stay(int unused)
{
    for (;;)
        (void)pause();
}

static int count_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* No process of that number, not even a zombie. */
static bool gone(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG) < 0 && errno == ECHILD;
}

/* ---- how it ended ---------------------------------------------------------------------------- */

static int end_main(void *userdata)
{
    static const struct {
        void (*fn)(int);
        int argument, code;
    } rows[] = {
        {exit_with, 0, CLD_EXITED},    {exit_with, 7, CLD_EXITED},    {exit_with, 255, CLD_EXITED},
        {die_by, SIGTERM, CLD_KILLED}, {die_by, SIGKILL, CLD_KILLED},
    };

    for (unsigned i = 0; i < ELEMENTS(rows); i++) {
        AIT_CLEANUP(ait_child_unrefp) ait_child *child = NULL;
        pid_t pid = start(rows[i].fn, rows[i].argument);
        siginfo_t info = {};

        CHECK_EQ(ait_child_adopt(&child, pid, -1), 0);
        CHECK_EQ(ait_child_pid(child), pid);
        CHECK(ait_child_pidfd(child) >= 0);
        CHECK_EQ(ait_child_wait(child, &info), 0);
        CHECK_EQ(info.si_pid, pid);
        CHECK_EQ(info.si_code, rows[i].code);
        CHECK_EQ(info.si_status, rows[i].argument);
        CHECK(gone(pid));
        /* As often as you like. */
        info = (siginfo_t){};
        CHECK_EQ(ait_child_wait(child, &info), 0);
        CHECK_EQ(info.si_status, rows[i].argument);
        CHECK_EQ(ait_child_wait(child, NULL), 0);
        CHECK_EQ(ait_child_kill(child, SIGKILL), -ESRCH);
    }
    return 0;
}

static void test_end(void **unused)
{
    int before = count_fds();

    assert_int_equal(run_real(end_main, NULL), 0);
    assert_int_equal(count_fds(), before);
}

/* ---- several waiters ------------------------------------------------------------------------- */

struct wait {
    ait_child *child;
    unsigned n;
};

static int waiter(void *userdata)
{
    struct wait *w = userdata;
    siginfo_t info = {};

    CHECK_EQ(ait_child_wait(w->child, &info), 0);
    CHECK_EQ(info.si_code, CLD_KILLED);
    CHECK_EQ(info.si_status, SIGUSR1);
    w->n++;
    return 0;
}

static int several_main(void *userdata)
{
    struct wait w = {};
    AIT_SCOPE(scope);
    AIT_SCOPE(limit);

    CHECK_EQ(ait_child_adopt(&w.child, start(stay, 0), -1), 0);
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    for (unsigned i = 0; i < 20; i++)
        CHECK_EQ(ait_scope_spawn(scope, NULL, waiter, &w, NULL), 0);
    /* Waiting in vain is no harm, to it or to the others. */
    CHECK_EQ(ait_scope_enter_after(&limit, 0, MS(2)), 0);
    CHECK_EQ(ait_scope_exit(limit, ait_child_wait(w.child, NULL)), -ETIME);
    CHECK_EQ(w.n, 0);
    CHECK_EQ(ait_child_kill(w.child, 0), 0);
    CHECK_EQ(ait_child_kill(w.child, SIGUSR1), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(w.n, 20);
    CHECK(ait_child_ref(w.child) == w.child);
    CHECK(ait_child_unref(w.child) == NULL);
    CHECK(ait_child_unref(w.child) == NULL);
    return 0;
}

static void test_several(void **unused)
{
    assert_int_equal(run_real(several_main, NULL), 0);
}

static int drop_while_waiting(void *userdata)
{
    struct wait *w = userdata;
    ait_child *child = w->child;

    w->child = NULL;
    CHECK_EQ(ait_child_kill(child, SIGUSR1), 0);
    CHECK(ait_child_unref(child) == NULL);
    return 0;
}

static int dropped_main(void *userdata)
{
    struct wait w = {};
    AIT_SCOPE(scope);

    CHECK_EQ(ait_child_adopt(&w.child, start(stay, 0), -1), 0);
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, waiter, &w, NULL), 0);
    CHECK_EQ(check_settle(), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, drop_while_waiting, &w, NULL), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(w.n, 1);
    return 0;
}

/* Who waits holds a reference. */
static void test_dropped(void **unused)
{
    assert_int_equal(run_real(dropped_main, NULL), 0);
}

static int many_main(void *userdata)
{
    ait_child *children[50] = {};
    siginfo_t info = {};

    for (unsigned i = 0; i < ELEMENTS(children); i++)
        CHECK_EQ(ait_child_adopt(&children[i], start(exit_with, (int)i), -1), 0);
    for (unsigned i = ELEMENTS(children); i-- > 0;) {
        CHECK_EQ(ait_child_wait(children[i], &info), 0);
        CHECK_EQ(info.si_status, i);
        CHECK(ait_child_unref(children[i]) == NULL);
    }
    return 0;
}

static void test_many(void **unused)
{
    assert_int_equal(run_real(many_main, NULL), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* ---- whose it is ----------------------------------------------------------------------------- */

static int adopt_main(void *userdata)
{
    ait_child *child = NULL;
    pid_t pid = start(stay, 0);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

    CHECK_EQ(ait_child_adopt(NULL, pid, -1), -EINVAL);
    CHECK_EQ(ait_child_adopt(&child, 0, -1), -EINVAL);
    CHECK_EQ(ait_child_adopt(&child, -5, -1), -EINVAL);
    CHECK_EQ(ait_child_adopt(&child, INT32_MAX, -1), -ESRCH);
    CHECK(child == NULL);
    CHECK_EQ(ait_child_adopt(&child, pid, pidfd), 0);
    CHECK_EQ(ait_child_pidfd(child), pidfd);
    /* Dropped: neither killed nor reaped, but the descriptor, which was taken over, is closed. */
    CHECK(ait_child_unref(child) == NULL);
    CHECK_EQ(fcntl(pidfd, F_GETFD), -1);
    CHECK_EQ(kill(pid, 0), 0);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
    CHECK_EQ(ait_child_wait(NULL, NULL), -EINVAL);
    CHECK_EQ(ait_child_supervise(NULL, NULL), -EINVAL);
    CHECK_EQ(ait_child_kill(NULL, SIGTERM), -EINVAL);
    CHECK(ait_child_unref(NULL) == NULL);
    return 0;
}

static void test_adopt(void **unused)
{
    assert_int_equal(run_real(adopt_main, NULL), 0);
}

static int stolen_main(void *userdata)
{
    AIT_CLEANUP(ait_child_unrefp) ait_child *child = NULL;
    pid_t pid = start(exit_with, 3);

    CHECK_EQ(ait_child_adopt(&child, pid, -1), 0);
    CHECK_EQ(waitpid(pid, NULL, 0), pid); /* somebody else was first */
    /* Linux 6.15 still knows how it has ended. */
    if (ait_child_wait(child, NULL) == 0)
        CHECK_EQ(ait_child_exit_code(child), 3);
    else
        CHECK_EQ(ait_child_wait(child, NULL), -ECHILD);
    CHECK_EQ(ait_child_kill(child, SIGTERM), -ESRCH);
    return 0;
}

static void test_stolen(void **unused)
{
    assert_int_equal(run_real(stolen_main, NULL), 0);
}

/* ---- a number that comes back ---------------------------------------------------------------- */

/* A process with that very number, by clone3() with set_tid; needs root. */
static pid_t start_as(pid_t pid)
{
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
            set_tid_size, cgroup;
    } args = {.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&pid, .set_tid_size = 1};
    pid_t r = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

    if (r == 0) {
        for (;;)
            (void)pause();
    }
    return r < 0 ? -errno : r;
}

static int reuse_main(void *userdata)
{
    AIT_CLEANUP(ait_child_unrefp) ait_child *first = NULL;
    AIT_CLEANUP(ait_child_unrefp) ait_child *second = NULL;
    pid_t pid = start(exit_with, 0), again;
    siginfo_t info = {};

    CHECK_EQ(ait_child_adopt(&first, pid, -1), 0);
    CHECK_EQ(ait_child_wait(first, NULL), 0);
    again = start_as(pid);
    if (again < 0)
        return again;
    CHECK_EQ(again, pid);
    CHECK_EQ(ait_child_adopt(&second, again, -1), 0);
    /* The first one is not it. */
    CHECK_EQ(ait_child_kill(first, SIGKILL), -ESRCH);
    CHECK_EQ(ait_child_wait(first, &info), 0);
    CHECK_EQ(info.si_code, CLD_EXITED);
    CHECK_EQ(ait_child_kill(second, 0), 0);
    CHECK_EQ(ait_child_kill(second, SIGTERM), 0);
    CHECK_EQ(ait_child_wait(second, &info), 0);
    CHECK_EQ(info.si_code, CLD_KILLED);
    CHECK_EQ(info.si_status, SIGTERM);
    return 0;
}

static void test_reuse(void **unused)
{
    int r = run_real(reuse_main, NULL);

    if (r == -EPERM || r == -ENOSYS) {
        print_message("SKIP: clone3() with set_tid needs root\n");
        skip();
    }
    assert_int_equal(r, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_end),     cmocka_unit_test(test_several),
        cmocka_unit_test(test_dropped), cmocka_unit_test(test_many),
        cmocka_unit_test(test_adopt),   cmocka_unit_test(test_stolen),
        cmocka_unit_test(test_reuse),
    };

    /* Without them (Valgrind), nothing here works. */
    if (syscall(SYS_pidfd_open, getpid(), 0) < 0)
        return 77;
    (void)alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
