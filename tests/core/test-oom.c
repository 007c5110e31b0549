/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Every allocation of the library, and every system call that makes something, refused in turn,
 * alone and with all that follow: the call that needed it returns the error, everything else goes
 * on, and nothing is left behind.
 */

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "check.h"
#include "faults.h"

/* ---- programs -------------------------------------------------------------------------------- */

/* Ends the program where a call is refused; anything but a refusal is a failure of the test. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        int r_ = (call);                                                                           \
        if (r_ < 0) {                                                                              \
            CHECK((r_ == -ENOMEM || r_ == -EAGAIN) && faults.failed);                              \
            return -ENOMEM;                                                                        \
        }                                                                                          \
    } while (0)

static unsigned n_destroyed;

static void destroy(void *userdata)
{
    n_destroyed++;
}

static int nap(void *userdata)
{
    return ait_sleep(MS(1 + (int)(intptr_t)userdata));
}

static int fails(void *userdata)
{
    (void)ait_yield();
    return -ENOENT;
}

static int ready_then_nap(void *userdata)
{
    TRY(ait_task_started(0));
    return nap(NULL);
}

static int tasks_in(ait_scope *scope)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *kept = NULL;
    const ait_error_info *error;
    unsigned before = n_destroyed, spawned = 0;

    for (intptr_t i = 0; i < 20; i++) {
        int r = ait_scope_spawn(scope, NULL, nap, (void *)i,
                                AIT_TASK_OPTIONS(.name = "nap", .destroy = destroy));

        spawned += r >= 0; /* where it is refused, userdata stays the caller's */
        TRY(r);
    }
    TRY(ait_scope_spawn(scope, &kept, nap, NULL, AIT_TASK_OPTIONS(.stack_size = 1 << 20)));
    TRY(ait_task_set_name(kept, "kept"));
    TRY(ait_scope_spawn(scope, NULL, fails, NULL, AIT_TASK_OPTIONS(.name = "fails")));
    TRY(ait_scope_spawn(scope, NULL, fails, NULL, NULL));
    TRY(ait_scope_start(scope, NULL, ready_then_nap, NULL, NULL));
    TRY(ait_task_wait(kept, NULL));
    TRY(ait_sleep(MS(100)));
    CHECK_EQ(n_destroyed - before, spawned);
    CHECK(ait_scope_n_errors(scope) <= 2);
    for (size_t i = 0; (error = ait_scope_error(scope, i)); i++)
        CHECK(error->name != NULL && error->error == -ENOENT);
    return 0;
}

static int tasks_main(void *userdata)
{
    AIT_SCOPE(scope);
    AIT_SCOPE(limit);

    TRY(ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR));
    TRY(ait_scope_enter_after(&limit, AIT_SCOPE_SUPERVISOR, AIT_USEC_PER_SEC));
    TRY(tasks_in(limit));
    TRY(ait_scope_exit(limit, 0));
    return ait_scope_exit(scope, 0);
}

static void on_done(ait_future *f, int result, void *userdata)
{
    ++*(int *)userdata;
}

static int future_main(void *userdata)
{
    AIT_CLEANUP(ait_future_unrefp) ait_future *f = NULL;
    AIT_CLEANUP(ait_slot_unrefp) ait_slot *slot = NULL;
    int n = 0, wanted;

    TRY(ait_future_new(&f));
    TRY(ait_future_add_callback(f, &slot, on_done, &n));
    wanted = ait_future_add_callback(f, NULL, on_done, &n) < 0 ? 1 : 2;
    TRY(ait_future_resolve(f, 0));
    while (n < wanted) /* yielding needs nothing */
        TRY(ait_yield());
    return 0;
}

static int io_on(int fds[2])
{
    char buf[16];

    TRY(ait_write_all(fds[1], "0123456789", 10, NULL));
    TRY((int)ait_read(fds[0], buf, sizeof(buf)));
    TRY(ait_task_spawn(NULL, nap, NULL, NULL));
    TRY(ait_poll(fds[1], 4 /* POLLOUT */));
    TRY((int)ait_send_fds(fds[1], "x", 1, fds, 2));
    return 0;
}

static int recv_on(int fd)
{
    size_t n = 0;
    int got[2];
    char c;

    TRY((int)ait_recv_fds(fd, &c, 1, got, 2, &n));
    for (size_t i = 0; i < n; i++)
        CHECK_EQ(ait_close(got[i]), 0);
    return 0;
}

static int timed_read(int fd)
{
    AIT_SCOPE(scope);
    char c;
    int r;

    TRY(ait_scope_enter_after(&scope, AIT_SCOPE_MOVE_ON, MS(1)));
    r = (int)ait_read(fd, &c, 1);
    if (r != -ECANCELED)
        TRY(r);
    return ait_scope_exit(scope, r);
}

static int io_main(void *userdata)
{
    int fds[2], r;

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    r = io_on(fds);
    if (r >= 0)
        r = recv_on(fds[0]);
    if (r >= 0)
        r = timed_read(fds[0]);
    CHECK_EQ(ait_close(fds[0]), 0);
    CHECK_EQ(ait_close(fds[1]), 0);
    return r;
}

static int signals_main(void *userdata)
{
    AIT_CLEANUP(ait_signals_closep) ait_signals *signals = NULL;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    TRY(ait_signals_open(&signals, &set));
    (void)raise(SIGUSR1);
    TRY(ait_signals_next(signals, NULL));
    return 0;
}

static int child_main(void *userdata)
{
    AIT_CLEANUP(ait_child_unrefp) ait_child *child = NULL;
    pid_t pid = fork();
    int r;

    if (pid == 0)
        _exit(0);
    r = ait_child_adopt(&child, pid, -1);
    if (r >= 0)
        r = ait_child_wait(child, NULL);
    if (r < 0)
        CHECK_EQ(waitpid(pid, NULL, 0), pid);
    if (r != -ENOSYS) /* Valgrind knows no pidfds */
        TRY(r);
    return 0;
}

static void post_it(void *userdata)
{
    ++*(unsigned *)userdata;
}

static int post_main(void *userdata)
{
    unsigned n = 0;

    TRY(ait_loop_post(ait_loop_current(), post_it, &n));
    while (n == 0)
        TRY(ait_yield());
    return 0;
}

static int event_main(void *userdata)
{
    sd_event *event = NULL;

    TRY(ait_loop_get_event(ait_loop_current(), &event));
    TRY(ait_sleep(MS(1)));
    return 0;
}

static const struct program {
    const char *name;
    ait_task_fn fn;
} programs[] = {
    {"tasks", tasks_main},     {"futures", future_main}, {"io", io_main},
    {"signals", signals_main}, {"child", child_main},    {"post", post_main},
    {"event", event_main},
};

/* ---- ways to run them ------------------------------------------------------------------------ */

static int run_plain(ait_task_fn fn)
{
    TRY(ait_run(fn, NULL, 0));
    return 0;
}

static int run_on(ait_loop *loop, ait_task_fn fn)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    int result = 0;

    TRY(ait_task_spawn(&task, fn, NULL, AIT_TASK_OPTIONS(.name = "program")));
    CHECK_EQ(ait_loop_run(loop), 0);
    CHECK_EQ(ait_task_result(task, &result), 0);
    return result;
}

static void on_error(ait_scope *scope, const ait_error_info *info, void *userdata)
{
}

static int run_virtually(ait_task_fn fn)
{
    AIT_CLEANUP(ait_clock_unrefp) ait_clock *clock = NULL;
    AIT_CLEANUP(ait_loop_unrefp) ait_loop *loop = NULL;

    TRY(ait_vclock_new(&clock));
    TRY(ait_loop_new(&loop));
    TRY(ait_loop_set_clock(loop, clock));
    TRY(ait_scope_set_error_handler(ait_loop_root(loop), on_error, NULL));
    return run_on(loop, fn);
}

static int run_as_guest(ait_task_fn fn)
{
    AIT_CLEANUP(ait_loop_unrefp) ait_loop *loop = NULL;
    AIT_CLEANUP(sd_event_unrefp) sd_event *event = NULL;

    CHECK(sd_event_new(&event) >= 0);
    TRY(ait_loop_attach(&loop, event));
    TRY(ait_scope_set_error_handler(ait_loop_root(loop), on_error, NULL));
    TRY(ait_task_spawn(NULL, fn, NULL, NULL));
    while (ait_loop_n_tasks(loop) > 0)
        CHECK(sd_event_run(event, UINT64_MAX) >= 0);
    return 0;
}

static int (*const ways[])(ait_task_fn fn) = {run_plain, run_virtually, run_as_guest};

static int count_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static unsigned n_refused;

static void each_refused(const struct program *p, int (*way)(ait_task_fn fn), bool for_ever)
{
    int fds = count_fds();
    long live = faults.n_live;

    for (unsigned n = 1;; n++) {
        int r;

        faults_arm(n, for_ever);
        r = way(p->fn);
        faults_disarm();
        check_assert();
        if (ait_loop_current() || faults.n_live != live || count_fds() != fds)
            fail_msg("%s: refusing call %u leaves %ld blocks, %d fds", p->name, n,
                     faults.n_live - live, count_fds() - fds);
        if (!faults.failed) {
            assert_int_equal(r, 0);
            return;
        }
        n_refused++;
    }
}

static void test_each_in_turn(void **unused)
{
    for (unsigned i = 0; i < ELEMENTS(programs); i++)
        for (unsigned k = 0; k < ELEMENTS(ways); k++)
            each_refused(programs + i, ways[k], false);
    print_message("%u calls refused\n", n_refused);
    assert_true(n_refused > 100);
}

static void test_all_from_there(void **unused)
{
    for (unsigned i = 0; i < ELEMENTS(programs); i++)
        for (unsigned k = 0; k < ELEMENTS(ways); k++)
            each_refused(programs + i, ways[k], true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_in_turn),
                                       cmocka_unit_test(test_all_from_there)};

    (void)alarm(300);
    (void)signal(SIGUSR1, SIG_IGN); /* where nobody is left to read it */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
