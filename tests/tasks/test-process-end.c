/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Programs: how they end, and who ends them. */

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "process-roles.h"

#define SOON (30 * AIT_USEC_PER_SEC) /* a bound for what should come at once */

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
        _exit(5);
    CHECK_EQ(ait_child_adopt(&c, pid, -1), 0);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
    /* Linux 6.15 still knows how it has ended. */
    if (ait_child_wait(c, &info) == 0) {
        CHECK_EQ(info.si_pid, pid);
        CHECK_EQ(info.si_code, CLD_EXITED);
        CHECK_EQ(info.si_status, 5);
        CHECK_EQ(ait_child_exit_code(c), 5);
    } else {
        CHECK_EQ(ait_child_supervise(c, &info), -ECHILD);
        CHECK_EQ(info.si_pid, 42);
        CHECK_EQ(ait_child_exit_code(c), -EBUSY);
    }
    CHECK_EQ(ait_child_terminate(c, SIGTERM, 1), 0);
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
        cmocka_unit_test(test_terminate), cmocka_unit_test(test_waiters),
        cmocka_unit_test(test_owned),     cmocka_unit_test(test_group),
        cmocka_unit_test(test_adopt),     cmocka_unit_test(test_foreign),
    };
    int status;

    if (!roles_begin(argc, argv, &status))
        return status;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
