/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The explainer and its listener, with a filter that the tests load themselves. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "notified.h"

#define UNKNOWN 1000

static struct notified child;

static ait_policy *denying(const int *numbers, int error)
{
    ait_policy *policy;

    assert_int_equal(policy_new(&policy, "test", (ait_policy_action){.kind = AIT_POLICY_ALLOW}), 0);
    for (size_t i = 0; numbers[i] >= 0; i++)
        if (numbers[i] <= SYSCALL_NEWEST)
            policy->calls[numbers[i]].otherwise =
                (ait_policy_action){.kind = AIT_POLICY_ERRNO, .error = (uint16_t)error};
    return policy;
}

static void start(const int *numbers, ait_policy *policy, int (*run)(struct shared *))
{
    const struct notified_options o = {.numbers = numbers, .policy = policy, .run = run};

    assert_int_equal(notified_start(&child, &o), 0);
}

static int teardown(void **state)
{
    (void)state;
    notified_done(&child);
    return 0;
}

/* ---- one call -------------------------------------------------------------------------------- */

static const int only_mount[] = {SYS_mount, -1};

static int call_mount(struct shared *shared)
{
    (void)prctl(PR_SET_NAME, "evil\none");
    shared->called = now_ns();
    long r = syscall(SYS_mount, 11, 12, 13, 14, 15);
    return r == -1 ? errno : 0;
}

static void a_denied_call_is_named_at_once(void **state)
{
    ait_policy *policy = denying(only_mount, EACCES);

    (void)state;
    start(only_mount, policy, call_mount);
    ait_policy_unref(policy);
    pid_t pid = child.pid;
    assert_int_equal(notified_serve(&child), EACCES);
    assert_int_equal(child.n_events, 1);
    const ait_sandbox_event *e = &child.events[0];
    assert_int_equal(e->size, sizeof(*e));
    assert_int_equal(e->pid, pid);
    assert_int_equal(e->tid, pid);
    assert_int_equal(e->number, SYS_mount);
    assert_string_equal(e->name, "mount");
    assert_string_equal(e->command, "evil\\none");
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(e->args[i], 11 + i);
    assert_true(e->address != 0);
    assert_int_equal(e->action.kind, AIT_POLICY_ERRNO);
    assert_int_equal(e->action.error, EACCES);
    assert_int_equal(e->repeats, 0);
    assert_int_equal(notified_count(&child, SYS_mount), 1);
    print_message("named %.0f us after the call\n",
                  (double)(child.told - child.shared->called) / 1000);
    assert_true(child.told - child.shared->called < 100u * 1000 * 1000);
}

static void designed_absence_is_counted_not_told(void **state)
{
    ait_policy *policy = denying(only_mount, ENOSYS);

    (void)state;
    start(only_mount, policy, call_mount);
    ait_policy_unref(policy);
    assert_int_equal(notified_serve(&child), ENOSYS);
    assert_int_equal(child.n_events, 0);
    assert_int_equal(notified_count(&child, SYS_mount), 1);
}

static int call_unknown(struct shared *shared)
{
    (void)shared;
    return syscall(UNKNOWN) == -1 ? errno : 0;
}

static void an_unknown_call_does_not_exist(void **state)
{
    const int numbers[] = {UNKNOWN, -1};

    (void)state;
    start(numbers, NULL, call_unknown);
    assert_int_equal(notified_serve(&child), ENOSYS);
    assert_int_equal(child.n_events, 0);
    assert_int_equal(notified_count(&child, -1), 1);
}

static int call_personality(struct shared *shared)
{
    (void)shared;
    /* As the kernel sees it, the same. */
    long a = syscall(SYS_personality, 0xffffffffUL);
    long b = syscall(SYS_personality, 0xdead00000040000UL) == -1 ? errno : 0;
    return a == 0 && b == EPERM ? 0 : 1;
}

static void the_policy_decides_by_arguments(void **state)
{
    const int numbers[] = {SYS_personality, -1};
    const ait_policy_compare compare = {
        .arg = 0, .op = AIT_POLICY_EQ, .mask = UINT32_MAX, .value = 0x40000};
    ait_policy *policy = denying((const int[]){-1}, 0);

    (void)state;
    assert_int_equal(policy_add_rule(policy, SYS_personality,
                                     (ait_policy_action){AIT_POLICY_ERRNO, EPERM}, &compare, 1),
                     0);
    start(numbers, policy, call_personality);
    ait_policy_unref(policy);
    assert_int_equal(notified_serve(&child), 0);
    assert_int_equal(notified_count(&child, SYS_personality), 2);
    assert_int_equal(child.n_events, 2);
    assert_int_equal(child.events[0].action.kind, AIT_POLICY_ALLOW);
    assert_int_equal(child.events[1].action.error, EPERM);
    assert_true(child.events[1].args[0] == 0xdead00000040000UL);
}

/* ---- threads, signals, deaths ---------------------------------------------------------------- */

#define N_THREADS 16
#define N_CALLS   200

static void *call_often(void *p)
{
    (void)prctl(PR_SET_NAME, "thread");
    for (unsigned i = 0; i < N_CALLS; i++)
        if (syscall(SYS_mount, p, 0, 0, 0, 0) != -1 || errno != EPERM)
            return p;
    return NULL;
}

static int call_in_threads(struct shared *shared)
{
    pthread_t threads[N_THREADS];
    int failed = 0;
    void *result;

    for (unsigned i = 0; i < N_THREADS; i++)
        failed += pthread_create(&threads[i], NULL, call_often, shared) != 0;
    for (unsigned i = 0; i < N_THREADS; i++)
        failed += pthread_join(threads[i], &result) != 0 || result != NULL;
    return failed;
}

static void threads_are_told_apart(void **state)
{
    ait_policy *policy = denying(only_mount, EPERM);
    unsigned per_thread[N_THREADS] = {0}, n = 0;
    pid_t tids[N_THREADS];

    (void)state;
    start(only_mount, policy, call_in_threads);
    ait_policy_unref(policy);
    pid_t pid = child.pid;
    assert_int_equal(notified_serve(&child), 0);
    assert_int_equal(notified_count(&child, SYS_mount), N_THREADS * N_CALLS);
    assert_int_equal(child.n_events, N_THREADS * N_CALLS);
    for (size_t i = 0; i < child.n_events; i++) {
        unsigned k = 0;
        while (k < n && tids[k] != child.events[i].tid)
            k++;
        if (k == n) {
            assert_true(n < N_THREADS);
            tids[n++] = child.events[i].tid;
        }
        per_thread[k]++;
        assert_int_not_equal(child.events[i].tid, pid);
        /* The last call of a thread may be its end. */
        if (child.events[i].command[0]) {
            assert_int_equal(child.events[i].pid, pid);
            assert_string_equal(child.events[i].command, "thread");
        } else
            assert_int_equal(per_thread[k], N_CALLS);
    }
    assert_int_equal(n, N_THREADS);
    for (unsigned k = 0; k < n; k++)
        assert_int_equal(per_thread[k], N_CALLS);
}

static void on_alarm(int signo)
{
    (void)signo;
}

#define STORM_CALLS 3000
#define STORM_FIRST 100

/* The same call from the same place, with a signal each, some time after it began: a timer that
 * goes on by itself would, on a machine that takes longer for a call than for its interval, let no
 * call ever end. */
static int call_in_storm(struct shared *shared)
{
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct itimerval never = {0};

    (void)sigaction(SIGALRM, &action, NULL);
    int failed = 0;
    uint64_t begin = now_ns(), usec = 0; /* that a call takes */
    for (unsigned i = 0; i < STORM_CALLS; i++) {
        if (i == STORM_FIRST)
            usec = (now_ns() - begin) / STORM_FIRST / 1000;
        struct itimerval soon = {
            .it_value = {.tv_usec = (suseconds_t)(i % (2 * usec + 2) % 900000)}};
        (void)setitimer(ITIMER_REAL, &soon, NULL);
        failed += syscall(SYS_mount, 0, 0, 0, 0, 0) != -1 || errno != EPERM;
    }
    (void)setitimer(ITIMER_REAL, &never, NULL);
    shared->done = STORM_CALLS;
    return failed != 0;
}

static unsigned run_storm(bool killable)
{
    ait_policy *policy = denying(only_mount, EPERM);
    const struct notified_options o = {
        .numbers = only_mount, .policy = policy, .killable = killable, .run = call_in_storm};
    unsigned repeats = 0;

    int r = notified_start(&child, &o);
    ait_policy_unref(policy);
    if (r == -EINVAL) {
        print_message("# SKIP: this kernel has no killable notification (Linux 5.19)\n");
        skip();
    }
    assert_int_equal(r, 0);
    assert_int_equal(notified_serve(&child), 0);
    for (size_t i = 0; i < child.n_events && i < EVENTS_MAX; i++)
        repeats += child.events[i].repeats;
    repeats += child.explainer->interrupted[child.events[0].tid % EXPLAINER_INTERRUPTED].repeats;
    /* A signal may overtake an answer that was given: such a call comes again, and nothing tells it
     * from a new one. */
    uint64_t n = notified_count(&child, SYS_mount), overtaken = n - STORM_CALLS;
    assert_true(n >= STORM_CALLS && overtaken <= (killable ? 0 : STORM_CALLS));
    assert_int_equal(child.n_events, n);
    return repeats;
}

static void a_storm_of_signals_repeats_nothing(void **state)
{
    unsigned repeats = 0;

    (void)state;
    for (unsigned i = 0; i < 20 && repeats == 0; i++) {
        repeats = run_storm(false);
        notified_done(&child);
    }
    print_message("%u calls came again\n", repeats);
    assert_true(repeats > 0);
}

static void with_wait_killable_nothing_comes_again(void **state)
{
    (void)state;
    assert_int_equal(run_storm(true), 0);
}

static int wait_and_call(struct shared *shared)
{
    shared->go = 1;
    (void)syscall(SYS_mount, 0, 0, 0, 0, 0);
    return 0;
}

static void wait_for_call(void)
{
    struct pollfd p = {.fd = ait_explainer_fd(child.explainer), .events = POLLIN};

    assert_int_equal(poll(&p, 1, 30000), 1);
    assert_true(p.revents & POLLIN);
}

static void a_caller_that_dies_is_nobody(void **state)
{
    ait_policy *policy = denying(only_mount, EPERM);

    (void)state;
    start(only_mount, policy, wait_and_call);
    ait_policy_unref(policy);
    wait_for_call();
    assert_int_equal(kill(child.pid, SIGKILL), 0);
    assert_int_equal(waitpid(child.pid, NULL, 0), child.pid);
    child.pid = 0;
    assert_int_equal(ait_explainer_process(child.explainer), -EPIPE);
    assert_int_equal(child.n_events, 0);
}

/* Reaped is not yet forgotten: threads let go of the filter a moment after they can no longer be
 * seen. */
static void wait_for_hangup(void)
{
    struct pollfd p = {.fd = ait_explainer_fd(child.explainer)};

    assert_int_equal(poll(&p, 1, 60000), 1);
    assert_true(p.revents & POLLHUP);
}

/* Killed anywhere: before the call, in it, after it. */
static void callers_that_die_at_any_time(void **state)
{
    ait_policy *policy = denying(only_mount, EPERM);

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        start(only_mount, policy, call_in_threads);
        uint64_t end = now_ns() + i * 20000u;
        while (now_ns() < end)
            (void)ait_explainer_process(child.explainer);
        assert_int_equal(kill(child.pid, SIGKILL), 0);
        assert_int_equal(notified_serve(&child), 128 + SIGKILL);
        wait_for_hangup();
        assert_int_equal(ait_explainer_process(child.explainer), -EPIPE);
        notified_done(&child);
    }
    ait_policy_unref(policy);
}

static int call_twice(struct shared *shared)
{
    shared->go = 1;
    long r = syscall(SYS_mount, 0, 0, 0, 0, 0);
    shared->result = r == -1 ? errno : 1;
    r = syscall(SYS_mount, 0, 0, 0, 0, 0);
    return r == -1 ? errno : 1;
}

static void without_a_holder_calls_do_not_exist(void **state)
{
    ait_policy *policy = denying(only_mount, EPERM);
    int status;

    (void)state;
    start(only_mount, policy, call_twice);
    ait_policy_unref(policy);
    wait_for_call();
    /* As its death would. */
    child.explainer = ait_explainer_free(child.explainer);
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    child.pid = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), ENOSYS);
    assert_int_equal(child.shared->result, ENOSYS);
}

static void the_listener_is_cloexec(void **state)
{
    ait_policy *policy = denying(only_mount, EPERM);

    (void)state;
    start(only_mount, policy, wait_and_call);
    ait_policy_unref(policy);
    int flags = fcntl(ait_explainer_fd(child.explainer), F_GETFD);
    assert_true(flags >= 0 && (flags & FD_CLOEXEC));
    assert_int_equal(notified_serve(&child), 0);
}

static void no_listener_comes(void **state)
{
    int pair[2];
    ait_explainer *e = NULL;
    struct explainer_options o = {0};

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    (void)close(pair[1]);
    o.socket = pair[0];
    assert_int_equal(explainer_new(&e, &o), -ECONNRESET);
    (void)close(pair[0]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    o.socket = pair[0];
    assert_int_equal(explainer_new(&e, &o), -EBADMSG);
    assert_null(e);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static void no_room_for_the_listener(void **state)
{
    ait_policy *policy = denying(only_mount, EPERM);
    const struct notified_options o = {
        .numbers = only_mount, .policy = policy, .run = wait_and_call, .crowded = true};
    struct rlimit before;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(notified_start(&child, &o), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    ait_policy_unref(policy);
}

/* ---- time ------------------------------------------------------------------------------------ */

#define TIMED_CALLS 20000

static int call_timed(struct shared *shared)
{
    uint64_t start = now_ns();

    for (unsigned i = 0; i < TIMED_CALLS; i++)
        (void)syscall(SYS_mount, 0, 0, 0, 0, 0);
    shared->called = now_ns() - start;
    return 0;
}

static void the_round_trip(void **state)
{
    ait_policy *policy = denying(only_mount, EPERM);

    (void)state;
    for (int quiet = 1; quiet >= 0; quiet--) {
        const struct notified_options o = {
            .numbers = only_mount, .policy = policy, .quiet = quiet, .run = call_timed};
        assert_int_equal(notified_start(&child, &o), 0);
        assert_int_equal(notified_serve(&child), 0);
        print_message("%s: %.2f us a call\n", quiet ? "counted" : "counted and told",
                      (double)child.shared->called / TIMED_CALLS / 1000);
        assert_int_equal(notified_count(&child, SYS_mount), TIMED_CALLS);
        notified_done(&child);
    }
    ait_policy_unref(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_denied_call_is_named_at_once, teardown),
        cmocka_unit_test_teardown(designed_absence_is_counted_not_told, teardown),
        cmocka_unit_test_teardown(an_unknown_call_does_not_exist, teardown),
        cmocka_unit_test_teardown(the_policy_decides_by_arguments, teardown),
        cmocka_unit_test_teardown(threads_are_told_apart, teardown),
        cmocka_unit_test_teardown(a_storm_of_signals_repeats_nothing, teardown),
        cmocka_unit_test_teardown(with_wait_killable_nothing_comes_again, teardown),
        cmocka_unit_test_teardown(a_caller_that_dies_is_nobody, teardown),
        cmocka_unit_test_teardown(callers_that_die_at_any_time, teardown),
        cmocka_unit_test_teardown(without_a_holder_calls_do_not_exist, teardown),
        cmocka_unit_test_teardown(the_listener_is_cloexec, teardown),
        cmocka_unit_test(no_listener_comes),
        cmocka_unit_test_teardown(no_room_for_the_listener, teardown),
        cmocka_unit_test_teardown(the_round_trip, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
