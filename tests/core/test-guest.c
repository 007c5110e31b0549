/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Tasks in a program that has an sd_event with callbacks of its own. Each test runs twice: as a
 * guest in the host's sd_event_loop(), and on a loop of ours under which the sd_event lies.
 */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "check.h"

#define DEADLINE (20 * AIT_USEC_PER_SEC)

struct host {
    bool guest;
    sd_event *event;
    ait_loop *loop;
    ait_future *future;
    sd_event_source *source[4];
    unsigned n[4];
    int fds[2];
    bool stop;
};

static struct host host;

/* ---- running --------------------------------------------------------------------------------- */

static void host_open(bool guest)
{
    memset(&host, 0, sizeof(host));
    host.guest = guest;
    if (guest) {
        assert_true(sd_event_new(&host.event) >= 0);
        assert_int_equal(ait_loop_attach(&host.loop, host.event), 0);
    } else {
        assert_int_equal(ait_loop_new(&host.loop), 0);
        assert_int_equal(ait_loop_get_event(host.loop, &host.event), 0);
        sd_event_ref(host.event);
    }
    assert_int_equal(pipe2(host.fds, O_CLOEXEC | O_NONBLOCK), 0);
}

static int host_run(void)
{
    return host.guest ? sd_event_loop(host.event) : ait_loop_run(host.loop);
}

static void host_close(void)
{
    for (unsigned i = 0; i < ELEMENTS(host.source); i++)
        sd_event_source_disable_unref(host.source[i]);
    ait_future_unref(host.future);
    assert_int_equal(ait_loop_n_tasks(host.loop), 0);
    ait_loop_unref(host.loop);
    sd_event_unref(host.event);
    for (unsigned i = 0; i < 2; i++)
        (void)close(host.fds[i]);
    check_assert();
}

static ait_task_fn limited_fn;

/* The test's body; the sd_event ends with it. */
static int limited(void *userdata)
{
    AIT_SCOPE(scope);
    int r;

    CHECK_EQ(ait_scope_enter_after(&scope, 0, DEADLINE), 0);
    r = ait_scope_exit(scope, limited_fn(userdata));
    CHECK(sd_event_exit(host.event, r < 0 ? 99 : r) >= 0);
    return 0;
}

static void run_both(ait_task_fn fn, int want)
{
    for (int guest = 0; guest < 2; guest++) {
        host_open(guest);
        limited_fn = fn;
        assert_int_equal(ait_task_spawn(NULL, limited, NULL, NULL), 0);
        assert_int_equal(host_run(), want);
        host_close();
    }
}

/* ---- waiting for callbacks ------------------------------------------------------------------- */

static int new_future(void)
{
    host.future = ait_future_unref(host.future);
    return ait_future_new(&host.future);
}

static int on_time(sd_event_source *s, uint64_t usec, void *userdata)
{
    host.n[0]++;
    CHECK(ait_task_current() == NULL);
    return ait_future_resolve(host.future, 10);
}

static int on_defer(sd_event_source *s, void *userdata)
{
    host.n[1]++;
    return ait_future_resolve(host.future, 11);
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    char c;

    host.n[2]++;
    if (read(fd, &c, 1) != 1)
        return -EIO;
    return ait_future_resolve(host.future, 12);
}

static int await_value(void)
{
    int result = -1;

    return ait_await(host.future, &result) < 0 ? -EIO : result;
}

static int callbacks_body(void *userdata)
{
    for (unsigned i = 1; i <= 20; i++) {
        CHECK_EQ(new_future(), 0);
        CHECK(sd_event_add_time_relative(host.event, &host.source[0], CLOCK_MONOTONIC, 1000, 1,
                                         on_time, NULL) >= 0);
        CHECK_EQ(await_value(), 10);
        host.source[0] = sd_event_source_disable_unref(host.source[0]);
        CHECK_EQ(new_future(), 0);
        CHECK(sd_event_add_defer(host.event, &host.source[1], on_defer, NULL) >= 0);
        CHECK_EQ(await_value(), 11);
        host.source[1] = sd_event_source_disable_unref(host.source[1]);
        CHECK_EQ(new_future(), 0);
        if (!host.source[2])
            CHECK(sd_event_add_io(host.event, &host.source[2], host.fds[0], EPOLLIN, on_io, NULL) >=
                  0);
        CHECK_EQ(write(host.fds[1], "x", 1), 1);
        CHECK_EQ(await_value(), 12);
        for (unsigned k = 0; k < 3; k++)
            CHECK_EQ(host.n[k], i);
    }
    return 7;
}

/* A task waits for the host's timer, deferred work and fd; the exit code arrives. */
static void test_callbacks(void **unused)
{
    run_both(callbacks_body, 7);
}

/* ---- from callbacks -------------------------------------------------------------------------- */

static struct {
    ait_task *task;
    ait_scope *scope;
    ait_future *future;
    ait_slot *slot;
    int phase;
} target;

static int set_phase(void *userdata)
{
    target.phase = (int)(intptr_t)userdata;
    return 0;
}

static void on_resolved(ait_future *future, int result, void *userdata)
{
    target.phase = result;
}

static int do_spawn(void)
{
    return ait_task_spawn(NULL, set_phase, (void *)1, NULL);
}

static int do_resolve(void)
{
    return ait_future_resolve(target.future, 1);
}

static int do_resolve_slot(void)
{
    int r = ait_future_add_callback(target.future, NULL, on_resolved, NULL);

    return r < 0 ? r : ait_future_resolve(target.future, 1);
}

static int do_resolved_slot(void)
{
    int r = ait_future_resolve(target.future, 1);

    return r < 0 ? r : ait_future_add_callback(target.future, NULL, on_resolved, NULL);
}

static int do_cancel(void)
{
    return ait_task_cancel(target.task) == 1 ? 0 : -EIO;
}

static int do_cancel_scope(void)
{
    return ait_scope_cancel(target.scope);
}

static int do_abort_scope(void)
{
    return ait_scope_abort(target.scope);
}

static int do_deadline(void)
{
    return ait_scope_set_timeout(target.scope, 1000);
}

static int do_deadline_past(void)
{
    return ait_scope_set_timeout(target.scope, 0);
}

static int do_close_fd(void)
{
    int fd = host.fds[1];

    host.fds[1] = -1;
    return ait_close(fd);
}

static void posted(void *userdata)
{
    target.phase = 1;
}

static int do_post(void)
{
    return ait_loop_post(host.loop, posted, NULL);
}

static int read_until_eof(void *userdata)
{
    char c;

    target.phase = ait_read(host.fds[0], &c, 1) == 0;
    return 0;
}

static int await_future(void *userdata)
{
    target.phase = ait_await(target.future, NULL) == 0;
    return 0;
}

static int sleep_cancelled(void *userdata)
{
    int r;

    r = ait_sleep(AIT_USEC_INFINITY);
    target.phase = r == -ECANCELED;
    return r;
}

static int sleep_in_scope(void *userdata)
{
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_MOVE_ON), 0);
    target.scope = scope;
    (void)sleep_cancelled(NULL);
    return ait_scope_exit(scope, 0);
}

static int child_in_scope(void *userdata)
{
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    target.scope = scope;
    CHECK_EQ(ait_scope_spawn(scope, NULL, sleep_cancelled, NULL, NULL), 0);
    return ait_scope_exit(scope, 0);
}

/* What a callback of the host may do, and who has to notice though the loop is idle. */
static const struct {
    const char *name;
    ait_task_fn waiter;
    int (*act)(void);
} wakes[] = {
    {"spawn", NULL, do_spawn},
    {"resolve", await_future, do_resolve},
    {"resolve with a slot", NULL, do_resolve_slot},
    {"slot of a resolved one", NULL, do_resolved_slot},
    {"cancel a task", sleep_cancelled, do_cancel},
    {"cancel a scope", sleep_in_scope, do_cancel_scope},
    {"abort a scope", child_in_scope, do_abort_scope},
    {"set a deadline", sleep_in_scope, do_deadline},
    {"set a deadline that has passed", sleep_in_scope, do_deadline_past},
    {"close an fd", read_until_eof, do_close_fd},
    {"post", NULL, do_post},
};

static unsigned wake_index;

static int on_act(sd_event_source *s, uint64_t usec, void *userdata)
{
    CHECK_EQ(wakes[wake_index].act(), 0);
    return 0;
}

static int on_watch(sd_event_source *s, uint64_t usec, void *userdata)
{
    if (target.phase != 1 && ++host.n[3] < 5000) {
        (void)sd_event_source_set_time_relative(s, 1000);
        return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
    }
    return sd_event_exit(host.event, target.phase == 1 ? 5 : 6);
}

/* In owned mode the loop runs as long as there are tasks. */
static int keep_alive(void *userdata)
{
    return ait_sleep(AIT_USEC_INFINITY);
}

static void wake_from_callback(bool guest, unsigned i)
{
    wake_index = i;
    host_open(guest);
    memset(&target, 0, sizeof(target));
    assert_int_equal(ait_future_new(&target.future), 0);
    assert_int_equal(ait_task_spawn(NULL, keep_alive, NULL, NULL), 0);
    if (wakes[i].waiter)
        assert_int_equal(ait_task_spawn(&target.task, wakes[i].waiter, NULL, NULL), 0);
    assert_true(sd_event_add_time_relative(host.event, &host.source[0], CLOCK_MONOTONIC, 2000, 1,
                                           on_act, NULL) >= 0);
    assert_true(sd_event_add_time_relative(host.event, &host.source[1], CLOCK_MONOTONIC, 4000, 1,
                                           on_watch, NULL) >= 0);
    if (host_run() != 5)
        fail_msg("%s, %s: not noticed", guest ? "guest" : "owned", wakes[i].name);
    ait_task_unref(target.task);
    ait_future_unref(target.future);
    host_close();
}

static void test_wake_from_callback(void **unused)
{
    for (unsigned i = 0; i < ELEMENTS(wakes); i++)
        for (int guest = 0; guest < 2; guest++)
            wake_from_callback(guest, i);
}

/* ---- starvation ------------------------------------------------------------------------------ */

static int spin(void *userdata)
{
    while (!host.stop)
        if (ait_yield() < 0)
            break;
    return 0;
}

static int on_defer_again(sd_event_source *s, void *userdata)
{
    host.n[1]++;
    return 0;
}

static int on_io_always(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    host.n[2]++;
    return 0;
}

static int on_time_again(sd_event_source *s, uint64_t usec, void *userdata)
{
    host.n[0]++;
    (void)sd_event_source_set_enabled(host.source[1], SD_EVENT_ONESHOT);
    (void)sd_event_source_set_time_relative(s, 1);
    return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

/* One that is always due, one that is always readable, one that wants its turn after each timer. (A
 * defer source that stays enabled would shut out its own neighbours, with us or without.) */
static void add_greedy_sources(void)
{
    CHECK(sd_event_add_time_relative(host.event, &host.source[0], CLOCK_MONOTONIC, 1, 1,
                                     on_time_again, NULL) >= 0);
    CHECK(sd_event_add_defer(host.event, &host.source[1], on_defer_again, NULL) >= 0);
    CHECK(sd_event_add_io(host.event, &host.source[2], host.fds[0], EPOLLIN, on_io_always, NULL) >=
          0);
    CHECK_EQ(write(host.fds[1], "x", 1), 1); /* and nobody reads it */
}

static int greedy_body(void *userdata)
{
    unsigned turns = 0;

    add_greedy_sources();
    for (unsigned i = 0; i < 5; i++)
        CHECK_EQ(ait_task_spawn(NULL, spin, NULL, NULL), 0);
    /* Both sides always have something to do: each of the host's sources, and a task that sleeps
     * and reads. */
    while (host.n[0] < 50 || host.n[1] < 50 || host.n[2] < 50) {
        if (!CHECK_EQ(ait_sleep(100), 0))
            break;
        turns++;
    }
    CHECK(turns >= 3);
    host.stop = true;
    return 0;
}

/* Nobody starves: neither the host's sources of equal priority by tasks that are always ready, nor
 * those by the sources. */
static void test_starvation(void **unused)
{
    run_both(greedy_body, 0);
}

static int equals_body(void *userdata)
{
    unsigned before;

    add_greedy_sources();
    /* Without spinning tasks, the host's own balance is what it would be without us: nobody is shut
     * out. */
    for (unsigned k = 0; k < 20; k++) {
        before = host.n[2];
        while (host.n[2] < before + 3)
            if (!CHECK_EQ(ait_sleep(50), 0))
                return -EIO;
    }
    CHECK(host.n[0] > 0 && host.n[1] > 0);
    return 0;
}

static void test_equals(void **unused)
{
    run_both(equals_body, 0);
}

/* ---- sd_event_exit() ------------------------------------------------------------------------- */

static int cleanup_with_io(void *userdata)
{
    AIT_SCOPE(shield);
    char c = 0;
    int r;

    r = ait_sleep(AIT_USEC_INFINITY);
    CHECK_EQ(r, -ECANCELED);
    /* The world still turns: time, fds, other tasks. */
    CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_write(host.fds[1], "x", 1), 1);
    CHECK_EQ(ait_read(host.fds[0], &c, 1), 1);
    CHECK_EQ(ait_yield(), 0);
    host.n[0]++;
    CHECK_EQ(ait_scope_exit(shield, 0), 0);
    return r;
}

static int on_exit_source(sd_event_source *s, void *userdata)
{
    host.n[1]++;
    return 0;
}

static int on_exit_time(sd_event_source *s, uint64_t usec, void *userdata)
{
    return sd_event_exit(host.event, 42);
}

static int exit_from_task(void *userdata)
{
    CHECK(sd_event_exit(host.event, 42) >= 0);
    return ait_sleep(AIT_USEC_INFINITY);
}

static int late(void *userdata)
{
    return 0;
}

static int on_never(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    host.n[0]++;
    return 0;
}

static int slow_cleanup(void *userdata)
{
    AIT_SCOPE(shield);

    CHECK_EQ(ait_sleep(AIT_USEC_INFINITY), -ECANCELED);
    /* From here on, a source of the host is ready that will not be dispatched any more. */
    CHECK_EQ(write(host.fds[1], "x", 1), 1);
    CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_sleep(3600 * AIT_USEC_PER_SEC), 0);
    CHECK_EQ(ait_scope_exit(shield, 0), 0);
    return 0;
}

/* It neither keeps the draining awake nor its virtual clock from jumping. */
static void test_exit_with_ready_source(void **unused)
{
    for (int guest = 0; guest < 2; guest++) {
        AIT_CLEANUP(ait_clock_unrefp) ait_clock *clock = NULL;

        host_open(guest);
        assert_int_equal(ait_vclock_new(&clock), 0);
        assert_int_equal(ait_loop_set_clock(host.loop, clock), 0);
        assert_true(sd_event_add_io(host.event, &host.source[0], host.fds[0], EPOLLIN, on_never,
                                    NULL) >= 0);
        assert_int_equal(ait_task_spawn(NULL, slow_cleanup, NULL, NULL), 0);
        assert_int_equal(ait_task_spawn(NULL, exit_from_task, NULL, NULL), 0);
        assert_int_equal(host_run(), 42);
        assert_int_equal(host.n[0], 0);
        host_close();
    }
}

static void event_exit(bool guest, bool from_task)
{
    host_open(guest);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ait_task_spawn(NULL, cleanup_with_io, NULL, NULL), 0);
    /* Other people's exit sources, before and after ours. */
    assert_true(sd_event_add_exit(host.event, &host.source[0], on_exit_source, NULL) >= 0);
    assert_true(sd_event_add_exit(host.event, &host.source[1], on_exit_source, NULL) >= 0);
    assert_true(sd_event_source_set_priority(host.source[0], -5) >= 0);
    assert_true(sd_event_source_set_priority(host.source[1], 5) >= 0);
    if (from_task)
        assert_int_equal(ait_task_spawn(NULL, exit_from_task, NULL, NULL), 0);
    else
        assert_true(sd_event_add_time_relative(host.event, &host.source[2], CLOCK_MONOTONIC, 1000,
                                               1, on_exit_time, NULL) >= 0);
    assert_int_equal(host_run(), 42);
    assert_int_equal(host.n[0], 3);
    assert_int_equal(host.n[1], 2);
    assert_int_equal(sd_event_get_state(host.event), SD_EVENT_FINISHED);
    assert_int_equal(ait_loop_n_tasks(host.loop), 0);
    assert_int_equal(ait_task_spawn(NULL, late, NULL, NULL), -ESHUTDOWN);
    host_close();
}

/* The row of the semantics table: root cancelled, drained inside the exit source, the loop's exit
 * code kept. */
static void test_exit(void **unused)
{
    for (unsigned i = 0; i < 4; i++)
        event_exit(i & 1, i & 2);
}

static int run_exit_main(void *userdata)
{
    sd_event *event = NULL;
    int r;

    CHECK_EQ(ait_loop_get_event(ait_loop_current(), &event), 0);
    CHECK(sd_event_exit(event, 42) >= 0);
    r = ait_sleep(AIT_USEC_INFINITY);
    CHECK_EQ(r, -ECANCELED);
    return 9;
}

/* ait_run() returns what main returns. */
static void test_exit_in_run(void **unused)
{
    assert_int_equal(ait_run(run_exit_main, NULL, 0), 9);
    check_assert();
}

/* ---- the virtual clock ----------------------------------------------------------------------- */

static int hours_body(void *userdata)
{
    uint64_t start = ait_now(NULL);

    for (unsigned i = 0; i < 10; i++)
        CHECK_EQ(ait_sleep(3600 * AIT_USEC_PER_SEC), 0);
    CHECK_EQ(ait_now(NULL) - start, 36000 * AIT_USEC_PER_SEC);
    /* What is real is waited for in real time: the host's timer, with no timer of ours. */
    CHECK_EQ(new_future(), 0);
    CHECK(sd_event_add_time_relative(host.event, &host.source[0], CLOCK_MONOTONIC, 2000, 1, on_time,
                                     NULL) >= 0);
    CHECK_EQ(await_value(), 10);
    return sd_event_exit(host.event, 3);
}

static void test_virtual(void **unused)
{
    for (int guest = 0; guest < 2; guest++) {
        AIT_CLEANUP(ait_clock_unrefp) ait_clock *clock = NULL;

        host_open(guest);
        assert_int_equal(ait_vclock_new(&clock), 0);
        assert_int_equal(ait_loop_set_clock(host.loop, clock), 0);
        assert_int_equal(ait_task_spawn(NULL, hours_body, NULL, NULL), 0);
        assert_int_equal(host_run(), 3);
        host_close();
    }
}

static int on_advance(sd_event_source *s, uint64_t usec, void *userdata)
{
    return ait_vclock_advance(userdata, 3600 * AIT_USEC_PER_SEC);
}

static int one_hour(void *userdata)
{
    CHECK_EQ(ait_sleep(3600 * AIT_USEC_PER_SEC), 0);
    return sd_event_exit(host.event, 3);
}

/* By hand, from a callback of the host. */
static void test_virtual_by_hand(void **unused)
{
    for (int guest = 0; guest < 2; guest++) {
        AIT_CLEANUP(ait_clock_unrefp) ait_clock *clock = NULL;

        host_open(guest);
        assert_int_equal(ait_vclock_new(&clock), 0);
        assert_int_equal(ait_vclock_set_autojump(clock, false), 0);
        assert_int_equal(ait_loop_set_clock(host.loop, clock), 0);
        assert_int_equal(ait_task_spawn(NULL, one_hour, NULL, NULL), 0);
        assert_true(sd_event_add_time_relative(host.event, &host.source[0], CLOCK_MONOTONIC, 1000,
                                               1, on_advance, clock) >= 0);
        assert_int_equal(host_run(), 3);
        host_close();
    }
}

/* ---- attaching ------------------------------------------------------------------------------- */

static int count_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static int on_last(sd_event_source *s, uint64_t usec, void *userdata)
{
    return sd_event_exit(userdata, 8);
}

static void test_attach(void **unused)
{
    ait_loop *loop = NULL, *other = NULL;
    sd_event *event = NULL;
    int before = count_fds();

    assert_true(sd_event_new(&event) >= 0);
    assert_int_equal(ait_loop_attach(&loop, NULL), -EINVAL);
    assert_int_equal(ait_loop_attach(NULL, event), -EINVAL);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(ait_loop_attach(&loop, event), 0);
        assert_int_equal(ait_loop_attach(&other, event), -EBUSY);
        assert_int_equal(ait_loop_run(loop), -EBUSY);
        assert_int_equal(ait_task_spawn(NULL, late, NULL, NULL), 0);
        while (ait_loop_n_tasks(loop) > 0)
            assert_true(sd_event_run(event, UINT64_MAX) >= 0);
        assert_null(ait_loop_unref(loop));
    }
    /* It goes on without us. */
    assert_true(sd_event_add_time_relative(event, NULL, CLOCK_MONOTONIC, 1000, 1, on_last, event) >=
                0);
    assert_int_equal(sd_event_loop(event), 8);
    sd_event_unref(event);
    assert_int_equal(count_fds(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_callbacks),  cmocka_unit_test(test_wake_from_callback),
        cmocka_unit_test(test_starvation), cmocka_unit_test(test_equals),
        cmocka_unit_test(test_exit),       cmocka_unit_test(test_exit_in_run),
        cmocka_unit_test(test_virtual),    cmocka_unit_test(test_virtual_by_hand),
        cmocka_unit_test(test_attach),     cmocka_unit_test(test_exit_with_ready_source),
    };

    (void)alarm(200);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
