/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What programs do that they should not, and how they are told; and what becomes of a process that
 * was forked in a task. */

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define PATIENCE 20 /* seconds, after which a child that spins is ended */

/* Runs fn in a child process; its stderr goes to text. Returns its wait status. */
static int run_forked(void (*fn)(void), char *text, size_t size)
{
    int fds[2], status = 0;
    size_t n = 0;
    ssize_t k;
    pid_t pid;

    (void)fflush(NULL);
    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)alarm(PATIENCE);
        (void)dup2(fds[1], STDERR_FILENO);
        (void)close(fds[0]);
        (void)close(fds[1]);
        (void)signal(
            SIGABRT,
            SIG_DFL); /* cmocka's handler, or a sanitizer's, would have its own last words */
        fn();
        _exit(77);
    }
    (void)close(fds[1]);
    while (n + 1 < size && (k = read(fds[0], text + n, size - 1 - n)) > 0)
        n += (size_t)k;
    text[n] = '\0';
    (void)close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* ---- fork in a task -------------------------------------------------------------------------- */

struct fork_row {
    const char *name;
    bool spawned; /* not in the main task, but in one of its tasks */
    bool scope;   /* with a scope that has a live task */
    bool exits;   /* the child exits it before it returns */
    bool loop;    /* and it has run a loop of its own before */
    unsigned depth;
    int result, status;
};

static const struct fork_row fork_rows[] = {
    {"the main task", .result = 4, .status = 4},
    {"an error", .result = -EIO, .status = EXIT_FAILURE},
    {"cancelled, as its own loop would say", .result = -ECANCELED, .status = EXIT_FAILURE},
    {"in a scope", .scope = true, .result = 4, .status = 4},
    {"in a scope, an error", .scope = true, .result = -EIO, .status = EXIT_FAILURE},
    {"in a scope that it exits", .scope = true, .exits = true, .result = 5, .status = 5},
    {"from a nested function", .scope = true, .depth = 10, .result = 6, .status = 6},
    {"in a task", .spawned = true, .result = 4, .status = 4},
    {"in a task, in a scope", .spawned = true, .scope = true, .result = 0, .status = 0},
    {"after a loop of its own", .scope = true, .loop = true, .result = 3, .status = 3},
};

static const struct fork_row *fork_row;
static pid_t parent;

/* What else is to run in the parent is not to run in the child. */
static int parents_task(void *userdata)
{
    int r = ait_sleep(MS(20));

    if (getpid() != parent)
        _exit(99);
    return r;
}

static void parents_destroy(void *userdata)
{
    if (getpid() != parent)
        _exit(98);
}

static int loop_of_its_own(void *userdata)
{
    return ait_yield();
}

static int in_child(ait_scope *scope)
{
    (void)alarm(PATIENCE);
    if (ait_sleep(1) != -ECHILD || ait_yield() != -ECHILD || ait_task_current())
        _exit(97);
    if (fork_row->exits && ait_scope_exit(scope, 0) != -ECHILD)
        _exit(96);
    if (fork_row->loop && ait_run(loop_of_its_own, NULL, 0) != 0)
        _exit(95);
    return fork_row->result;
}

static __attribute__((noinline)) int fork_at(unsigned depth, ait_scope *scope)
{
    int status = -1;
    pid_t pid;

    if (depth > 0) {
        volatile int r = fork_at(depth - 1, scope); /* no tail call: the frames are to be there */

        return r;
    }
    pid = fork();
    if (pid == 0)
        return in_child(scope);
    CHECK(pid > 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), fork_row->status);
    return 0;
}

static int forking(void *userdata)
{
    AIT_SCOPE(scope);
    int r;

    if (!fork_row->scope)
        return fork_at(fork_row->depth, NULL);
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, parents_task, NULL,
                             AIT_TASK_OPTIONS(.destroy = parents_destroy)),
             0);
    CHECK_EQ(ait_yield(), 0);
    r = fork_at(fork_row->depth, scope);
    return getpid() == parent ? ait_scope_exit(scope, r) : r;
}

static int fork_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    int r = 0;

    CHECK_EQ(ait_task_spawn(NULL, parents_task, NULL, AIT_TASK_OPTIONS(.destroy = parents_destroy)),
             0);
    if (!fork_row->spawned)
        return forking(NULL);
    CHECK_EQ(ait_task_spawn(&task, forking, NULL, NULL), 0);
    CHECK_EQ(ait_task_wait(task, &r), 0);
    return r;
}

static void test_fork(void **unused)
{
#ifdef __SANITIZE_THREAD__
    print_message("SKIP: in a child of several fibers ThreadSanitizer sees no switch from the one "
                  "that has forked\n");
    skip();
#endif
    parent = getpid();
    for (unsigned i = 0; i < ELEMENTS(fork_rows); i++) {
        fork_row = fork_rows + i;
        (void)fflush(NULL);
        assert_int_equal(ait_run(fork_main, NULL, 0), 0);
        check_assert();
    }
}

static int callback_status = -1;

static void forking_callback(void *userdata)
{
    pid_t pid = fork();

    if (pid == 0)
        (void)alarm(PATIENCE);
    else
        CHECK_EQ(waitpid(pid, &callback_status, 0), pid);
}

static int callback_main(void *userdata)
{
    CHECK_EQ(ait_task_spawn(NULL, parents_task, NULL, NULL), 0);
    CHECK_EQ(ait_loop_post(ait_loop_current(), forking_callback, NULL), 0);
    return ait_sleep(MS(40));
}

/* There is no result to end with, but nothing of the parent's runs either. */
static void test_fork_in_callback(void **unused)
{
    parent = getpid();
    (void)fflush(NULL);
    assert_int_equal(ait_run(callback_main, NULL, 0), 0);
    check_assert();
    assert_true(WIFEXITED(callback_status));
    assert_int_equal(WEXITSTATUS(callback_status), 0);
}

/* ---- misuse ---------------------------------------------------------------------------------- */

static int thief(void *userdata)
{
    (void)ait_scope_leave(userdata);
    return 0;
}

static int robbed(void *userdata)
{
    AIT_SCOPE(scope);

    if (ait_scope_enter(&scope, 0) < 0 ||
        ait_scope_spawn(scope, NULL, thief, scope, AIT_TASK_OPTIONS(.name = "thief")) < 0)
        return -EIO;
    return ait_scope_exit(scope, ait_sleep(MS(1000)));
}

static void leave_of_another(void)
{
    (void)ait_run(robbed, NULL, 0);
}

static int rootless(void *userdata)
{
    (void)ait_scope_leave(ait_scope_current());
    return 0;
}

static void leave_of_root(void)
{
    (void)ait_run(rootless, NULL, 0);
}

static void unref_with_tasks(void)
{
    ait_loop *loop = NULL;

    if (ait_loop_new(&loop) == 0 && ait_task_spawn(NULL, thief, NULL, NULL) == 0)
        ait_loop_unref(loop);
}

static void test_misuse(void **unused)
{
    static const struct {
        void (*fn)(void);
        const char *text;
    } rows[] = {
        {leave_of_another, "aiotools-sd: task 'thief' leaves a scope that it has not entered"},
        {leave_of_root, "aiotools-sd: task 'main' leaves a scope that it has not entered"},
        {unref_with_tasks,
         "aiotools-sd: the last reference to a loop is dropped while 1 of its tasks"},
    };
    char text[4096];

    for (unsigned i = 0; i < ELEMENTS(rows); i++) {
        int status = run_forked(rows[i].fn, text, sizeof(text));

        assert_non_null(strstr(text, rows[i].text));
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
    }
}

/* ---- what is said, though the program goes on ------------------------------------------------ */

static int sleeps_on(void *userdata)
{
    return ait_sleep(MS(1000));
}

static int forgets_scope(void *userdata)
{
    ait_scope *outer, *inner;

    if (ait_scope_enter(&outer, 0) < 0 || ait_scope_spawn(outer, NULL, sleeps_on, NULL, NULL) < 0 ||
        ait_scope_enter(&inner, 0) < 0)
        return -EIO;
    return ait_scope_spawn(inner, NULL, sleeps_on, NULL, NULL);
}

static void scope_forgotten(void)
{
    if (ait_run(forgets_scope, NULL, AIT_RUN_KEEP_SIGNALS) == 0)
        _exit(0);
}

static int forgets_empty_scope(void *userdata)
{
    ait_scope *s;

    return ait_scope_enter(&s, 0);
}

static void empty_scope_forgotten(void)
{
    if (ait_run(forgets_empty_scope, NULL, AIT_RUN_KEEP_SIGNALS) == 0)
        _exit(0);
}

static void test_told(void **unused)
{
    static const struct {
        void (*fn)(void);
        const char *text;
    } rows[] = {
        {scope_forgotten,
         "aiotools-sd: task 'main' has returned from a scope with 2 live children"},
        {empty_scope_forgotten, ""},
    };
    char text[4096];

    for (unsigned i = 0; i < ELEMENTS(rows); i++) {
        assert_int_equal(run_forked(rows[i].fn, text, sizeof(text)), 0);
        if (*rows[i].text)
            assert_non_null(strstr(text, rows[i].text));
        else
            assert_string_equal(text, "");
    }
}

/* ---- references that outlive the loop -------------------------------------------------------- */

static ait_task *kept[3];

static int returns(void *userdata)
{
    return (int)(intptr_t)userdata;
}

static int keeps(void *userdata)
{
    bool main_too = userdata;

    kept[2] = main_too ? ait_task_ref(ait_task_current()) : NULL;
    for (intptr_t i = 0; i < 2; i++)
        CHECK_EQ(ait_task_spawn(&kept[i], returns, (void *)(i + 5),
                                i == 0 ? AIT_TASK_OPTIONS(.name = "kept") : NULL),
                 0);
    return 4;
}

/* What has ended can be read; what needs the loop is refused, also when there is a new one. */
static void check_kept(void)
{
    for (int i = 0; i < 3; i++) {
        int result = 0;

        if (!kept[i])
            continue;
        assert_int_equal(ait_task_is_done(kept[i]), 1);
        assert_int_equal(ait_task_result(kept[i], &result), 0);
        assert_int_equal(result, i == 2 ? 4 : i + 5);
        assert_string_equal(ait_task_name(kept[i]), i == 0 ? "kept" : i == 1 ? "task" : "main");
        assert_int_equal(ait_task_cancel(kept[i]), -EPERM);
        assert_int_equal(ait_task_set_name(kept[i], "x"), -EPERM);
        assert_int_equal(ait_task_wait(kept[i], NULL), -EPERM);
        assert_int_equal(ait_future_add_callback(ait_task_future(kept[i]), NULL, NULL, NULL),
                         -EINVAL);
        assert_ptr_equal(ait_task_unref(ait_task_ref(kept[i])), NULL);
    }
}

static void test_outlive(void **unused)
{
    ait_loop *loop = NULL;

    for (int round = 0; round < 8; round++) {
        ait_task *first;

        assert_int_equal(ait_run(keeps, round & 1 ? (void *)1 : NULL, 0), 4);
        check_assert();
        check_kept();
        if (round & 2)
            assert_int_equal(ait_loop_new(&loop), 0);
        check_kept();
        first = round & 4 ? kept[1] : kept[0];
        kept[round & 4 ? 1 : 0] = NULL;
        ait_task_unref(first);
        check_kept();
        for (int i = 0; i < 3; i++)
            kept[i] = ait_task_unref(kept[i]);
        loop = ait_loop_unref(loop);
    }
}

static int outer_left(void *userdata)
{
    ait_scope *outer = NULL, *inner = NULL;

    CHECK_EQ(ait_scope_enter(&outer, 0), 0);
    CHECK_EQ(ait_scope_enter(&inner, 0), 0);
    CHECK_EQ(ait_scope_spawn(inner, NULL, parents_task, NULL, NULL), 0);
    CHECK(ait_scope_leave(outer) == NULL);
    return ait_sleep(1);
}

/* Leaving an outer scope leaves those inside it. */
static void test_outer_left(void **unused)
{
    parent = getpid();
    assert_int_equal(run_virtual(outer_left, NULL), 0);
}

static int contradiction(void *userdata)
{
    ait_scope *scope = NULL;

    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR | AIT_SCOPE_FAIL_FAST), -EINVAL);
    CHECK(scope == NULL);
    CHECK_EQ(ait_scope_enter_after(
                 &scope, AIT_SCOPE_SUPERVISOR | AIT_SCOPE_FAIL_FAST | AIT_SCOPE_SHIELD, 1),
             -EINVAL);
    CHECK(scope == NULL);
    return 0;
}

static void test_contradiction(void **unused)
{
    assert_int_equal(run_virtual(contradiction, NULL), 0);
}

static void two_loops(void)
{
    for (unsigned i = 0; i < 2; i++)
        if (ait_run(loop_of_its_own, NULL, 0) != 0)
            return;
}

static void test_shuffle(void **unused)
{
    static const struct {
        const char *value;
        bool warned;
    } rows[] = {{"7", false}, {"0x10", false}, {"", false}, {"yes", true}, {"7 dwarfs", true}};
    const char *before = getenv("AIT_SHUFFLE");
    char *old = before ? strdup(before) : NULL, text[4096];

    for (unsigned i = 0; i < ELEMENTS(rows); i++) {
        const char *warned;
        int status;

        assert_int_equal(setenv("AIT_SHUFFLE", rows[i].value, 1), 0);
        status = run_forked(two_loops, text, sizeof(text));
        assert_true(WIFEXITED(status));
        warned = strstr(text, "aiotools-sd: AIT_SHUFFLE='");
        assert_int_equal(warned != NULL, rows[i].warned);
        /* Once a process. */
        assert_true(!warned || !strstr(warned + 1, "aiotools-sd: "));
    }
    assert_int_equal(old ? setenv("AIT_SHUFFLE", old, 1) : unsetenv("AIT_SHUFFLE"), 0);
    free(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fork),    cmocka_unit_test(test_fork_in_callback),
        cmocka_unit_test(test_misuse),  cmocka_unit_test(test_outer_left),
        cmocka_unit_test(test_shuffle), cmocka_unit_test(test_contradiction),
        cmocka_unit_test(test_told),    cmocka_unit_test(test_outlive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
