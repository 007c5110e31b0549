/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What all operations have in common: a cancelled task is refused before anything has happened,
 * also where nothing would block; what completed at the same moment is a success, and the next one
 * tells. And what structural waits do instead.
 */

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* ---- refused at entry ------------------------------------------------------------------------ */

static struct {
    int fds[2];      /* a socketpair with a byte waiting in [0] */
    int listener;    /* with a connection waiting */
    int connected;   /* its other end */
    int unconnected; /* that could connect at once */
    struct sockaddr_in address;
    ait_future *done;
    ait_child *child;
    ait_signals *signals; /* with one pending */
} ready;

static unsigned n_started;

static int starts(void *userdata)
{
    n_started++;
    return ait_task_started(0);
}

static int op_sleep(void)
{
    return ait_sleep(0);
}

static int op_sleep_until(void)
{
    return ait_sleep_until(0);
}

static int op_await(void)
{
    return ait_await(ready.done, NULL);
}

static int op_read(void)
{
    char c;

    return (int)ait_read(ready.fds[0], &c, 1);
}

static int op_recv(void)
{
    char c;

    return (int)ait_recv(ready.fds[0], &c, 1, 0);
}

static int op_recvmsg(void)
{
    char c;
    struct iovec iov = {&c, 1};

    return (int)ait_recvmsg(ready.fds[0], &(struct msghdr){.msg_iov = &iov, .msg_iovlen = 1}, 0);
}

static int op_recv_fds(void)
{
    size_t n = 0;
    char c;

    return (int)ait_recv_fds(ready.fds[0], &c, 1, NULL, 0, &n);
}

static int op_write(void)
{
    return (int)ait_write(ready.fds[0], "x", 1);
}

static int op_write_all(void)
{
    size_t done = 99;
    int r = ait_write_all(ready.fds[0], "x", 1, &done);

    CHECK_EQ(done, r < 0 ? 0 : 1);
    return r;
}

static int op_send(void)
{
    return (int)ait_send(ready.fds[0], "x", 1, 0);
}

static int op_sendmsg(void)
{
    struct iovec iov = {"x", 1};

    return (int)ait_sendmsg(ready.fds[0], &(struct msghdr){.msg_iov = &iov, .msg_iovlen = 1}, 0);
}

static int op_send_fds(void)
{
    return (int)ait_send_fds(ready.fds[0], "x", 1, ready.fds, 1);
}

static int op_poll(void)
{
    return ait_poll(ready.fds[0], POLLIN);
}

static int op_accept(void)
{
    int fd = ait_accept(ready.listener, NULL, NULL);

    if (fd >= 0)
        (void)ait_close(fd);
    return fd;
}

static int op_connect(void)
{
    return ait_connect(ready.unconnected, (struct sockaddr *)&ready.address, sizeof(ready.address));
}

static int op_start(void)
{
    return ait_scope_start(ait_scope_current(), NULL, starts, NULL, NULL);
}

static int op_child(void)
{
    return ready.child ? ait_child_wait(ready.child, NULL) : ait_check_cancel();
}

static int op_signal(void)
{
    return ait_signals_next(ready.signals, NULL);
}

static const struct {
    const char *name;
    int (*call)(void);
} operations[] = {
    {"accept", op_accept},       {"await", op_await},
    {"check", ait_check_cancel}, {"child", op_child},
    {"connect", op_connect},     {"poll", op_poll},
    {"read", op_read},           {"recv", op_recv},
    {"recv_fds", op_recv_fds},   {"recvmsg", op_recvmsg},
    {"send", op_send},           {"send_fds", op_send_fds},
    {"sendmsg", op_sendmsg},     {"signals", op_signal},
    {"sleep", op_sleep},         {"sleep_until", op_sleep_until},
    {"start", op_start},         {"write", op_write},
    {"write_all", op_write_all}, {"yield", ait_yield},
};

static int make_ready(void)
{
    socklen_t len = sizeof(ready.address);
    sigset_t set;
    pid_t pid;
    int r;

    memset(&ready, 0, sizeof(ready));
    n_started = 0;
    ready.address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ready.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ready.connected = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ready.unconnected = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(ready.listener, (struct sockaddr *)&ready.address, len), 0);
    CHECK_EQ(listen(ready.listener, 8), 0);
    CHECK_EQ(getsockname(ready.listener, (struct sockaddr *)&ready.address, &len), 0);
    CHECK_EQ(connect(ready.connected, (struct sockaddr *)&ready.address, len), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ready.fds), 0);
    CHECK_EQ(write(ready.fds[1], "x", 1), 1);
    CHECK_EQ(ait_future_new(&ready.done), 0);
    CHECK_EQ(ait_future_resolve(ready.done, 0), 0);
    pid = fork();
    if (pid == 0)
        _exit(0);
    r = ait_child_adopt(&ready.child, pid, -1);
    CHECK(r == 0 || r == -ENOSYS); /* Valgrind knows no pidfds */
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_EQ(ait_signals_open(&ready.signals, &set), 0);
    return raise(SIGUSR1);
}

/* As it was: the byte, the connection, the socket, the signal, the process. */
static void check_untouched(void)
{
    char buf[8];

    CHECK_EQ(recv(ready.fds[0], buf, sizeof(buf), MSG_DONTWAIT), 1);
    CHECK_EQ(recv(ready.fds[1], buf, sizeof(buf), MSG_DONTWAIT), -1);
    CHECK_EQ(poll(&(struct pollfd){.fd = ready.listener, .events = POLLIN}, 1, 0), 1);
    CHECK_EQ(connect(ready.unconnected, (struct sockaddr *)&ready.address, sizeof(ready.address)),
             0);
    CHECK_EQ(ait_signals_next(ready.signals, NULL), SIGUSR1);
    CHECK_EQ(op_child(), 0);
    CHECK_EQ(n_started, 0);
}

static void give_back(void)
{
    ready.signals = ait_signals_close(ready.signals);
    ready.child = ait_child_unref(ready.child);
    ready.done = ait_future_unref(ready.done);
    for (unsigned i = 0; i < 2; i++)
        CHECK_EQ(ait_close(ready.fds[i]), 0);
    CHECK_EQ(ait_close(ready.listener), 0);
    CHECK_EQ(ait_close(ready.connected), 0);
    CHECK_EQ(ait_close(ready.unconnected), 0);
}

static int refused_main(void *userdata)
{
    ait_task *self = ait_task_current();

    CHECK_EQ(make_ready(), 0);
    CHECK_EQ(ait_task_cancel(self), 1);
    for (unsigned i = 0; i < ELEMENTS(operations); i++)
        for (unsigned k = 0; k < 3; k++) {
            int r = operations[i].call();

            if (r != -ECANCELED)
                (void)fprintf(stderr, "%s: %d\n", operations[i].name, r);
            CHECK_EQ(r, -ECANCELED);
        }
    CHECK_EQ(ait_task_uncancel(self), 0);
    check_untouched();
    give_back();
    return 0;
}

static void test_refused(void **unused)
{
    assert_int_equal(run_real(refused_main, NULL), 0);
}

/* ---- busy loops ------------------------------------------------------------------------------ */

static int many_refusals(void *userdata)
{
    CHECK_EQ(ait_task_cancel(ait_task_current()), 1);
    for (unsigned i = 0; i < 1000; i++)
        CHECK_EQ(ait_yield(), -ECANCELED);
    return 0;
}

static int refused_for_ever(void *userdata)
{
    (void)ait_task_set_name(ait_task_current(), "the busy one");
    (void)ait_task_cancel(ait_task_current());
    while (ait_yield() == -ECANCELED)
        continue;
    return 0;
}

/* Some cleanup may go on for a while; a loop that never notices ends the process, in builds that
 * trap it. */
static void test_busy_loop(void **unused)
{
#ifndef NDEBUG
    int status = 0, fds[2];
    char text[256];
    ssize_t k;
    pid_t pid;

    assert_int_equal(run_virtual(many_refusals, NULL), 0);
    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(fds[1], STDERR_FILENO);
        (void)signal(SIGABRT, SIG_DFL);
        (void)ait_run(refused_for_ever, NULL, 0);
        _exit(0);
    }
    (void)close(fds[1]);
    k = read(fds[0], text, sizeof(text) - 1);
    text[k > 0 ? k : 0] = '\0';
    (void)close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "the busy one"));
#else
    assert_int_equal(run_virtual(many_refusals, NULL), 0);
    (void)refused_for_ever;
    print_message("SKIP: built with NDEBUG, which leaves the trap out\n");
    skip();
#endif
}

/* ---- at the same moment ---------------------------------------------------------------------- */

static struct {
    ait_task *task;
    ait_future *future;
    int fds[2];
    int first, second;
    bool begun;
} moment;

/* What the next operation says: the one after it, where a seed has put the canceller's turn behind
 * ours. */
static int next_operation(void)
{
    int r = ait_yield();

    return r == 0 && check_shuffled() ? ait_yield() : r;
}

static int await_it(void *userdata)
{
    moment.begun = true;
    moment.first = ait_await(moment.future, NULL);
    moment.second = next_operation();
    return 0;
}

static int sleep_it(void *userdata)
{
    moment.first = ait_sleep(MS(10));
    moment.second = next_operation();
    return 0;
}

static int yield_it(void *userdata)
{
    moment.begun = true;
    moment.first = ait_yield();
    moment.second = next_operation();
    return 0;
}

static int cancel_at_ten(void *userdata)
{
    CHECK_EQ(ait_sleep(MS(10)), 0);
    CHECK_EQ(ait_task_cancel(moment.task), 1);
    return 0;
}

static int moment_main(void *userdata)
{
    ait_task_fn fn = *(const ait_task_fn *)userdata;
    AIT_SCOPE(scope);

    memset(&moment, 0, sizeof(moment));
    CHECK_EQ(ait_future_new(&moment.future), 0);
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    if (fn == sleep_it)
        CHECK_EQ(ait_scope_spawn(scope, NULL, cancel_at_ten, NULL, NULL), 0);
    CHECK_EQ(ait_scope_spawn(scope, &moment.task, fn, NULL, NULL), 0);
    if (fn != sleep_it) {
        while (!moment.begun) /* one that is cancelled before never begins */
            CHECK_EQ(ait_yield(), 0);
        CHECK_EQ(ait_future_resolve(moment.future, 0), 0);
        CHECK_EQ(ait_task_cancel(moment.task), 1);
    }
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(moment.first, 0);
    CHECK_EQ(moment.second, -ECANCELED);
    ait_task_unref(moment.task);
    ait_future_unref(moment.future);
    return 0;
}

static void test_same_moment(void **unused)
{
    static const ait_task_fn fns[] = {await_it, sleep_it, yield_it};

    for (unsigned i = 0; i < ELEMENTS(fns); i++)
        assert_int_equal(run_virtual(moment_main, (void *)(fns + i)), 0);
}

static int flicker_main(void *userdata)
{
    AIT_SCOPE(scope);

    memset(&moment, 0, sizeof(moment));
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_spawn(scope, &moment.task, sleep_it, NULL, NULL), 0);
    CHECK_EQ(ait_yield(), 0);
    /* A level, not an edge: what is taken back before anybody ran was never there. */
    CHECK_EQ(ait_task_cancel(moment.task), 1);
    CHECK_EQ(ait_task_uncancel(moment.task), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(moment.first, 0);
    CHECK_EQ(moment.second, 0);
    CHECK_EQ(now_ms(), 10);
    ait_task_unref(moment.task);
    return 0;
}

static void test_flicker(void **unused)
{
    assert_int_equal(run_virtual(flicker_main, NULL), 0);
}

/* ---- deadlocks that can be seen -------------------------------------------------------------- */

static int wait_for_parents(void *userdata)
{
    ait_scope **scopes = userdata;

    CHECK_EQ(ait_scope_cancel_and_wait(scopes[0]), -EDEADLK);
    CHECK_EQ(ait_scope_cancel_and_wait(scopes[1]), -EDEADLK);
    CHECK_EQ(ait_scope_cancel_and_wait(ait_loop_root(ait_loop_current())), -EDEADLK);
    CHECK_EQ(ait_cancel_and_wait(moment.task, NULL), -EDEADLK);
    CHECK_EQ(ait_cancel_and_wait(ait_task_current(), NULL), -EDEADLK);
    CHECK_EQ(ait_task_cancelling(moment.task), 0);
    return 0;
}

static int deadlock_main(void *userdata)
{
    ait_scope *scopes[2];
    AIT_SCOPE(outer);
    AIT_SCOPE(inner);

    moment.task = ait_task_current();
    CHECK_EQ(ait_scope_enter(&outer, 0), 0);
    CHECK_EQ(ait_scope_enter(&inner, 0), 0);
    scopes[0] = outer;
    scopes[1] = inner;
    CHECK_EQ(ait_scope_cancel_and_wait(inner), -EDEADLK);
    CHECK_EQ(ait_scope_is_cancelled(inner), 0);
    CHECK_EQ(ait_scope_spawn(inner, NULL, wait_for_parents, scopes, NULL), 0);
    CHECK_EQ(ait_scope_exit(inner, 0), 0);
    CHECK_EQ(ait_scope_cancel_and_wait(inner), 0); /* it is over: nothing to wait for */
    return ait_scope_exit(outer, 0);
}

static void test_deadlocks(void **unused)
{
    assert_int_equal(run_virtual(deadlock_main, NULL), 0);
}

/* ---- ait_scope_start ------------------------------------------------------------------------- */

static int ready_then_work(void *userdata)
{
    CHECK_EQ(ait_sleep(MS(10)), 0);
    CHECK_EQ(ait_task_started(-1), -EINVAL);
    CHECK_EQ(ait_task_started(5), 1);
    CHECK_EQ(ait_task_started(6), 0); /* has been told already */
    CHECK_EQ(ait_sleep(MS(10)), 0);
    return 1;
}

static int fail_early(void *userdata)
{
    CHECK_EQ(ait_sleep(MS(10)), 0);
    return -ENOENT;
}

static int never_ready(void *userdata)
{
    return ait_sleep(MS(10));
}

static int slow_to_cancel(void *userdata)
{
    AIT_SCOPE(shield);

    CHECK_EQ(ait_sleep(MS(100)), -ECANCELED);
    CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_sleep(MS(30)), 0);
    return ait_scope_exit(shield, -ECANCELED);
}

static int gives_up(void *userdata)
{
    return -ECANCELED;
}

static int start_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    AIT_SCOPE(scope);
    AIT_SCOPE(limit);

    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR), 0);
    CHECK_EQ(ait_scope_start(scope, &task, ready_then_work, NULL, NULL), 5);
    CHECK_EQ(now_ms(), 10);
    CHECK_EQ(ait_task_is_done(task), 0);
    task = ait_task_unref(task);
    CHECK_EQ(ait_scope_start(scope, &task, fail_early, NULL, NULL), -ENOENT);
    CHECK(task == NULL);
    CHECK_EQ(now_ms(), 20);
    CHECK_EQ(ait_scope_start(scope, &task, never_ready, NULL, NULL), -EPROTO);
    CHECK(task == NULL);
    CHECK_EQ(now_ms(), 30);
    /* That it was cancelled, by itself or by a third party, is no error of its, and the caller is
     * not. */
    CHECK_EQ(ait_scope_start(scope, &task, gives_up, NULL, NULL), -EPROTO);
    CHECK(task == NULL);
    CHECK_EQ(ait_scope_enter_after(&limit, 0, MS(10)), 0);
    CHECK_EQ(ait_scope_start(scope, &task, slow_to_cancel, NULL, NULL), -ECANCELED);
    CHECK(task == NULL);
    CHECK_EQ(now_ms(), 70); /* it was waited for */
    CHECK_EQ(ait_scope_exit(limit, -ECANCELED), -ETIME);
    CHECK_EQ(ait_task_started(0), 0); /* nobody waits for us */
    return ait_scope_exit(scope, 0);
}

/* An error before the start comes out of the call alone: there may be another way. */
static int try_again_main(void *userdata)
{
    static const unsigned kinds[] = {0, AIT_SCOPE_FAIL_FAST, AIT_SCOPE_SUPERVISOR};

    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        AIT_SCOPE(scope);

        check_handled = 0;
        CHECK_EQ(ait_scope_enter(&scope, kinds[i]), 0);
        CHECK_EQ(ait_scope_start(scope, NULL, fail_early, NULL, NULL), -ENOENT);
        CHECK_EQ(ait_scope_start(scope, NULL, never_ready, NULL, NULL), -EPROTO);
        CHECK_EQ(ait_scope_start(scope, NULL, gives_up, NULL, NULL), -EPROTO);
        CHECK_EQ(ait_check_cancel(), 0);
        CHECK_EQ(ait_scope_start(scope, NULL, ready_then_work, NULL, NULL), 5);
        CHECK_EQ(ait_scope_n_errors(scope), 0);
        CHECK_EQ(check_handled, 0);
        CHECK_EQ(ait_scope_exit(scope, 4), 4);
    }
    return 0;
}

/* The reference is there at once, for others to cancel the child, and gone where it has failed. */
static ait_task *starting;

static int cancels_the_start(void *userdata)
{
    CHECK_EQ(ait_sleep(MS(5)), 0);
    CHECK(starting != NULL && !ait_task_is_done(starting));
    CHECK_EQ(ait_task_cancel(starting), 1);
    return 0;
}

static int gives_up_when_cancelled(void *userdata)
{
    return ait_sleep(AIT_USEC_PER_SEC);
}

static int start_cancelled_main(void *userdata)
{
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, cancels_the_start, NULL, NULL), 0);
    CHECK_EQ(ait_scope_start(scope, &starting, gives_up_when_cancelled, NULL, NULL), -EPROTO);
    CHECK(!starting);
    CHECK_EQ(now_ms(), 5);
    return ait_scope_exit(scope, 0);
}

/* The scope is another task's, who has left it, and entered another, before the caller runs. */
static ait_scope *owned;
static int start_result;

static int owner(void *userdata)
{
    ait_scope *s, *shield, *other = NULL;

    CHECK_EQ(ait_scope_enter(&s, 0), 0);
    owned = s;
    CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_sleep(MS(10)), 0);
    CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(ait_scope_exit(shield, 0), 0);
    (void)ait_scope_leave(shield);
    CHECK_EQ(ait_scope_exit(s, 0), 0);
    (void)ait_scope_leave(s);
    if (userdata)
        CHECK_EQ(ait_scope_enter(&other, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_sleep(MS(50)), 0);
    (void)ait_scope_leave(other);
    return 0;
}

static int owner_cancels(void *userdata)
{
    CHECK_EQ(ait_sleep(MS(10)), 0);
    return ait_scope_cancel(owned);
}

static int starts_there(void *userdata)
{
    CHECK_EQ(ait_yield(), 0);
    start_result = ait_scope_start(owned, NULL, gives_up_when_cancelled, NULL, NULL);
    return 0;
}

static int start_stale_main(void *userdata)
{
    for (int reuse = 0; reuse < 2; reuse++) {
        AIT_SCOPE(scope);

        CHECK_EQ(ait_scope_enter(&scope, 0), 0);
        CHECK_EQ(ait_scope_spawn(scope, NULL, owner_cancels, NULL, NULL), 0);
        CHECK_EQ(ait_scope_spawn(scope, NULL, owner, (void *)(intptr_t)reuse, NULL), 0);
        CHECK_EQ(ait_scope_spawn(scope, NULL, starts_there, NULL, NULL), 0);
        CHECK_EQ(ait_scope_exit(scope, 0), 0);
        CHECK_EQ(start_result, -ESHUTDOWN);
    }
    return 0;
}

static void test_start(void **unused)
{
    assert_int_equal(run_virtual(start_main, NULL), 0);
    assert_int_equal(run_virtual(try_again_main, NULL), 0);
    assert_int_equal(run_virtual(start_cancelled_main, NULL), 0);
    if (!check_shuffled())
        assert_int_equal(run_virtual(start_stale_main, NULL), 0);
}

/* ---- -ECANCELED is the caller's own cancellation, and nothing else --------------------------- */

enum { OWN_CHAIN, OWN_ABORTED, ANOTHERS, ANOTHERS_ABORTED, N_WHO };

static int idle(void *userdata)
{
    return ait_sleep(MS(100));
}

static ssize_t spawn_there(ait_scope *s, ait_taskset *set, ait_completion *c)
{
    return ait_scope_spawn(s, NULL, idle, NULL, NULL);
}

static ssize_t start_there(ait_scope *s, ait_taskset *set, ait_completion *c)
{
    return ait_scope_start(s, NULL, idle, NULL, NULL);
}

static ssize_t spawn_in_set(ait_scope *s, ait_taskset *set, ait_completion *c)
{
    return ait_taskset_spawn(set, NULL, idle, NULL, NULL);
}

static ssize_t add_there(ait_scope *s, ait_taskset *set, ait_completion *c)
{
    return ait_completion_add(c, &(ait_call){idle, NULL, NULL});
}

static const struct {
    const char *name;
    ssize_t (*call)(ait_scope *s, ait_taskset *set, ait_completion *c);
} spawning[] = {
    {"ait_scope_spawn", spawn_there},
    {"ait_scope_start", start_there},
    {"ait_taskset_spawn", spawn_in_set},
    {"ait_completion_add", add_there},
};

struct there {
    ait_scope *scope;
    ait_taskset *set;
    ait_completion *completion;
};

/* Has a scope for others, in which it stays until it is cancelled. */
static int host(void *userdata)
{
    struct there *there = userdata;
    AIT_SCOPE(shield);

    CHECK_EQ(ait_scope_enter(&there->scope, 0), 0);
    CHECK_EQ(ait_taskset_new(&there->set, NULL, 0), 0);
    CHECK_EQ(ait_completion_open(&there->completion, NULL, 0, NULL), 0);
    CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_sleep(MS(10)), 0);
    shield = ait_scope_leave(shield);
    there->completion = ait_completion_close(there->completion);
    there->set = ait_taskset_unref(there->set);
    there->scope = ait_scope_leave(there->scope);
    return 0;
}

static int refusals_main(void *userdata)
{
    for (size_t i = 0; i < ELEMENTS(spawning); i++)
        for (int who = 0; who < N_WHO; who++) {
            struct there there = {};
            AIT_SCOPE(scope);
            int r;

            CHECK_EQ(ait_scope_enter(&scope, 0), 0);
            if (who == OWN_CHAIN || who == OWN_ABORTED) {
                there.scope = scope;
                CHECK_EQ(ait_taskset_new(&there.set, NULL, 0), 0);
                CHECK_EQ(ait_completion_open(&there.completion, NULL, 0, NULL), 0);
            } else {
                CHECK_EQ(ait_scope_spawn(scope, NULL, host, &there, NULL), 0);
                CHECK_EQ(check_settle(), 0);
            }
            r = who == OWN_CHAIN || who == ANOTHERS ? ait_scope_cancel(there.scope)
                                                    : ait_scope_abort(there.scope);
            CHECK_EQ(r, 0);
            r = (int)spawning[i].call(there.scope, there.set, there.completion);
            if (!CHECK_EQ(r, who == OWN_CHAIN ? -ECANCELED : -ESHUTDOWN))
                (void)fprintf(stderr, "  %s, %d\n", spawning[i].name, who);
            CHECK_EQ(ait_check_cancel(), who == OWN_CHAIN ? -ECANCELED : 0);
            if (there.scope == scope) {
                ait_completion_close(there.completion);
                ait_taskset_unref(there.set);
                if (who == OWN_ABORTED)
                    CHECK_EQ(ait_completion_open(&there.completion, NULL, 0, NULL), -ESHUTDOWN);
            }
            CHECK_EQ(ait_scope_exit(scope, 0), 0);
        }
    return 0;
}

static void test_refusals(void **unused)
{
    assert_int_equal(run_virtual(refusals_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_busy_loop),
        cmocka_unit_test(test_same_moment), cmocka_unit_test(test_flicker),
        cmocka_unit_test(test_deadlocks),   cmocka_unit_test(test_start),
        cmocka_unit_test(test_refusals),
    };

    (void)alarm(100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
