/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The loop: order of tasks, fairness, posting from threads, fork. */

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define DEADLINE (20 * AIT_USEC_PER_SEC)

/* ---- life ------------------------------------------------------------------------------------ */

static int count_tasks(void *userdata)
{
    ait_loop *loop = ait_loop_current();

    CHECK_EQ(ait_loop_n_tasks(loop), 1);
    CHECK_EQ(ait_loop_run(loop), -EBUSY);
    CHECK(ait_scope_current() != ait_loop_root(loop));
    return ait_yield();
}

static void test_life(void **unused)
{
    AIT_CLEANUP(ait_loop_unrefp) ait_loop *loop = NULL;
    ait_loop *other = NULL;

    assert_int_equal(ait_loop_new(NULL), -EINVAL);
    assert_int_equal(ait_loop_run(NULL), -EINVAL);
    assert_int_equal(ait_task_spawn(NULL, count_tasks, NULL, NULL), -EPERM);
    assert_int_equal(ait_yield(), -EPERM);
    assert_null(ait_loop_current());
    assert_null(ait_loop_root(NULL));
    assert_int_equal(ait_loop_n_tasks(NULL), 0);
    assert_int_equal(ait_loop_new(&loop), 0);
    assert_ptr_equal(ait_loop_current(), loop);
    assert_int_equal(ait_loop_new(&other), -EBUSY);
    assert_null(other);
    assert_ptr_equal(ait_loop_ref(loop), loop);
    assert_null(ait_loop_unref(loop));
    assert_ptr_equal(ait_loop_current(), loop);
    assert_int_equal(ait_loop_run(loop), 0); /* nothing to do */
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(ait_task_spawn(NULL, count_tasks, NULL, NULL), 0);
        assert_int_equal(ait_loop_n_tasks(loop), 1);
        assert_int_equal(ait_loop_run(loop), 0);
        assert_int_equal(ait_loop_n_tasks(loop), 0);
    }
    assert_int_equal(ait_task_spawn(NULL, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(ait_task_spawn(NULL, count_tasks, NULL, &(ait_task_options){.size = 1}),
                     -EINVAL);
    check_assert();
}

/* ---- order ----------------------------------------------------------------------------------- */

#define RUNNERS 20
#define ROUNDS  5

static char trace[RUNNERS * ROUNDS + 1];
static unsigned n_trace;

static int runner(void *userdata)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        trace[n_trace++] = (char)('A' + (intptr_t)userdata);
        CHECK_EQ(ait_yield(), 0);
    }
    return 0;
}

static int runners_main(void *userdata)
{
    AIT_SCOPE(scope);

    n_trace = 0;
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    for (intptr_t i = 0; i < RUNNERS; i++)
        CHECK_EQ(ait_scope_spawn(scope, NULL, runner, (void *)i, NULL), 0);
    CHECK_EQ(n_trace, 0); /* spawning is no suspension point */
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    trace[n_trace] = '\0';
    return 0;
}

static void without_seed(void)
{
    (void)unsetenv("AIT_SHUFFLE");
}

static void test_fifo(void **unused)
{
    without_seed();
    assert_int_equal(run_virtual(runners_main, NULL), 0);
    for (unsigned i = 0; i < RUNNERS * ROUNDS; i++)
        assert_int_equal(trace[i], 'A' + i % RUNNERS);
}

static void shuffled(const char *seed, char *copy)
{
    unsigned count[RUNNERS];

    (void)setenv("AIT_SHUFFLE", seed, 1);
    assert_int_equal(run_virtual(runners_main, NULL), 0);
    without_seed();
    memcpy(copy, trace, sizeof(trace));
    /* Each once a round, whatever the order. */
    for (unsigned r = 0; r < ROUNDS; r++) {
        memset(count, 0, sizeof(count));
        for (unsigned i = 0; i < RUNNERS; i++)
            count[trace[r * RUNNERS + i] - 'A']++;
        for (unsigned i = 0; i < RUNNERS; i++)
            assert_int_equal(count[i], 1);
    }
}

static void test_shuffle(void **unused)
{
    char a[sizeof(trace)], b[sizeof(trace)], c[sizeof(trace)];

    shuffled("1", a);
    shuffled("2", b);
    shuffled("1", c);
    assert_string_equal(a, c);
    assert_string_not_equal(a, b);
    assert_memory_not_equal(a, a + RUNNERS, RUNNERS); /* nor is a round like the one before */
}

/* ---- fairness -------------------------------------------------------------------------------- */

static struct {
    bool stop;
    unsigned ops, others, most;
    int fd;
    ait_future *done;
} busy;

static int other(void *userdata)
{
    while (!busy.stop) {
        busy.others++;
        if (busy.ops > busy.most)
            busy.most = busy.ops;
        busy.ops = 0;
        CHECK_EQ(ait_yield(), 0);
    }
    return 0;
}

static int op_read(void)
{
    char c;

    return (int)ait_read(busy.fd, &c, 1) == 1 ? 0 : -EIO;
}

static int op_write(void)
{
    return (int)ait_write(busy.fd, "x", 1) == 1 ? 0 : -EIO;
}

static int op_await(void)
{
    return ait_await(busy.done, NULL);
}

static int op_poll(void)
{
    return ait_poll(busy.fd, 1 /* POLLIN */) > 0 ? 0 : -EIO;
}

static int (*const always_ready[])(void) = {op_read, op_write, op_await, op_poll};

static int hog(void *userdata)
{
    int (*op)(void) = *(int (*const *)(void))userdata;

    for (unsigned i = 0; i < 10000; i++) {
        busy.ops++;
        CHECK_EQ(op(), 0);
    }
    busy.stop = true;
    return 0;
}

static int hog_main(void *userdata)
{
    AIT_SCOPE(scope);
    FILE *zero = fopen("/dev/zero", "r+e");

    memset(&busy, 0, sizeof(busy));
    if (!zero)
        return -errno;
    busy.fd = fileno(zero);
    CHECK_EQ(ait_future_new(&busy.done), 0);
    CHECK_EQ(ait_future_resolve(busy.done, 0), 0);
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, other, NULL, NULL), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, hog, userdata, NULL), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK(busy.most <= 130);
    CHECK(busy.others >= 10000 / 130);
    ait_future_unref(busy.done);
    (void)fclose(zero);
    return 0;
}

/* An operation that never has to wait gives way all the same, after 128. */
static void test_budget(void **unused)
{
    for (unsigned i = 0; i < ELEMENTS(always_ready); i++)
        assert_int_equal(run_virtual(hog_main, (void *)(always_ready + i)), 0);
}

static int spin(void *userdata)
{
    while (!busy.stop)
        CHECK_EQ(ait_yield(), 0);
    return 0;
}

static void stop_spinning(void *userdata)
{
    busy.others++;
}

static int served_main(void *userdata)
{
    AIT_SCOPE(scope);
    int fds[2];
    char c;

    memset(&busy, 0, sizeof(busy));
    CHECK_EQ(pipe(fds), 0);
    CHECK_EQ(ait_scope_enter_after(&scope, 0, DEADLINE), 0);
    for (unsigned i = 0; i < 10; i++)
        CHECK_EQ(ait_scope_spawn(scope, NULL, spin, NULL, NULL), 0);
    /* Though there is always somebody ready: timers, ... */
    CHECK_EQ(ait_sleep(MS(1)), 0);
    /* ... fds, ... */
    CHECK_EQ(ait_read(fds[0], &c, 0), 0);
    for (unsigned i = 0; i < 10; i++) {
        CHECK_EQ(ait_write(fds[1], "x", 1), 1);
        CHECK_EQ(ait_read(fds[0], &c, 1), 1);
    }
    /* ... what is posted. */
    CHECK_EQ(ait_loop_post(ait_loop_current(), stop_spinning, NULL), 0);
    while (busy.others == 0)
        if (!CHECK_EQ(ait_yield(), 0))
            break;
    busy.stop = true;
    CHECK_EQ(ait_close(fds[0]), 0);
    CHECK_EQ(ait_close(fds[1]), 0);
    return ait_scope_exit(scope, 0);
}

static void test_never_idle(void **unused)
{
    assert_int_equal(run_real(served_main, NULL), 0);
}

/* ---- posting --------------------------------------------------------------------------------- */

#define THREADS 4
#define POSTS   5000

struct poster {
    pthread_t thread;
    ait_loop *loop;
    unsigned sent, seen, out_of_order;
};

struct message {
    struct poster *from;
    unsigned number;
};

static unsigned n_received;
static ait_future *all_received;

static void receive(void *userdata)
{
    struct message *m = userdata;

    CHECK(ait_task_current() == NULL);
    CHECK_EQ(ait_yield(), -EPERM);
    if (m->number != m->from->seen)
        m->from->out_of_order++;
    m->from->seen = m->number + 1;
    free(m);
    if (++n_received == THREADS * POSTS)
        CHECK_EQ(ait_future_resolve(all_received, 0), 0);
}

static void *poster_main(void *userdata)
{
    struct poster *p = userdata;

    for (; p->sent < POSTS; p->sent++) {
        struct message *m = malloc(sizeof(*m));

        if (!m)
            break;
        *m = (struct message){.from = p, .number = p->sent};
        if (ait_loop_post(p->loop, receive, m) < 0) {
            free(m);
            break;
        }
    }
    return NULL;
}

static int posts_main(void *userdata)
{
    struct poster posters[THREADS] = {};
    AIT_SCOPE(scope);

    n_received = 0;
    CHECK_EQ(ait_future_new(&all_received), 0);
    CHECK_EQ(ait_scope_enter_after(&scope, 0, 3 * DEADLINE), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        posters[i].loop = ait_loop_current();
        CHECK_EQ(pthread_create(&posters[i].thread, NULL, poster_main, posters + i), 0);
    }
    CHECK_EQ(ait_await(all_received, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_join(posters[i].thread, NULL), 0);
        CHECK_EQ(posters[i].seen, POSTS);
        CHECK_EQ(posters[i].out_of_order, 0);
    }
    ait_future_unref(all_received);
    return ait_scope_exit(scope, 0);
}

static void test_post(void **unused)
{
    assert_int_equal(run_real(posts_main, NULL), 0);
}

static void post_again(void *userdata)
{
    unsigned *n = userdata;

    if (++*n < 100)
        CHECK_EQ(ait_loop_post(ait_loop_current(), post_again, n), 0);
    else
        CHECK_EQ(ait_future_resolve(all_received, 0), 0);
}

static int again_main(void *userdata)
{
    unsigned n = 0;

    CHECK_EQ(ait_future_new(&all_received), 0);
    CHECK_EQ(ait_loop_post(ait_loop_current(), post_again, &n), 0);
    CHECK_EQ(n, 0); /* from the scheduler, not from here */
    CHECK_EQ(ait_await(all_received, NULL), 0);
    CHECK_EQ(n, 100);
    CHECK_EQ(ait_loop_post(NULL, post_again, &n), -EINVAL);
    CHECK_EQ(ait_loop_post(ait_loop_current(), NULL, &n), -EINVAL);
    /* Left over when the loop ends: not run, not leaked. */
    CHECK_EQ(ait_loop_post(ait_loop_current(), post_again, NULL), 0);
    ait_future_unref(all_received);
    return 0;
}

static void test_post_again(void **unused)
{
    assert_int_equal(run_real(again_main, NULL), 0);
}

/* ---- other threads, other processes ---------------------------------------------------------- */

static struct {
    ait_loop *loop;
    ait_scope *scope;
    ait_task *task;
    ait_future *future;
    ait_clock *clock;
} theirs;

static void post_nothing(void *userdata)
{
}

/* All that can be asked of somebody else's objects; each call has to return want. */
static void touch_all(int want)
{
    ait_slot *slot = NULL;
    struct sd_event *event = NULL;

    CHECK_EQ(ait_loop_run(theirs.loop), want);
    CHECK_EQ(ait_loop_get_event(theirs.loop, &event), want);
    CHECK_EQ(ait_loop_set_clock(theirs.loop, NULL), want);
    CHECK_EQ(ait_scope_spawn(theirs.scope, NULL, runner, NULL, NULL), want);
    CHECK_EQ(ait_scope_start(theirs.scope, NULL, runner, NULL, NULL), want);
    CHECK_EQ(ait_scope_cancel(theirs.scope), want);
    CHECK_EQ(ait_scope_abort(theirs.scope), want);
    CHECK_EQ(ait_scope_cancel_and_wait(theirs.scope), want);
    CHECK_EQ(ait_scope_exit(theirs.scope, 0), want);
    CHECK_EQ(ait_scope_set_timeout(theirs.scope, 1), want);
    CHECK_EQ(ait_scope_set_deadline(theirs.scope, 1), want);
    CHECK_EQ(ait_scope_set_error_handler(theirs.scope, NULL, NULL), want);
    CHECK_EQ(ait_task_cancel(theirs.task), want);
    CHECK_EQ(ait_task_uncancel(theirs.task), want);
    CHECK_EQ(ait_cancel_and_wait(theirs.task, NULL), want);
    CHECK_EQ(ait_task_wait(theirs.task, NULL), want);
    CHECK_EQ(ait_task_set_name(theirs.task, "x"), want);
    CHECK_EQ(ait_future_resolve(theirs.future, 0), want);
    CHECK_EQ(ait_await(theirs.future, NULL), want);
    CHECK_EQ(ait_future_add_callback(theirs.future, &slot, NULL, NULL), -EINVAL);
    CHECK(slot == NULL && event == NULL);
    CHECK(ait_loop_unref(theirs.loop) == NULL);
}

/* What needs a loop of this thread. */
static void touch_own(int want)
{
    ait_future *f = NULL;
    ait_scope *s = NULL;
    char c;

    CHECK(ait_loop_current() == NULL);
    CHECK(ait_task_current() == NULL);
    CHECK_EQ(ait_task_spawn(NULL, runner, NULL, NULL), want);
    CHECK_EQ(ait_future_new(&f), want);
    CHECK_EQ(ait_scope_enter(&s, 0), want);
    CHECK_EQ(ait_yield(), want);
    CHECK_EQ(ait_sleep(1), want);
    CHECK_EQ(ait_sleep_until(1), want);
    CHECK_EQ(ait_check_cancel(), want);
    CHECK_EQ(ait_task_started(0), want);
    CHECK_EQ(ait_read(0, &c, 1), want);
    CHECK_EQ(ait_poll(0, 1), want);
    CHECK(f == NULL && s == NULL);
}

static int own_loop(void *userdata)
{
    touch_all(*(int *)userdata);
    return ait_sleep(1) == 0 ? 7 : -EIO;
}

static void child_process(void)
{
    int want = -ECHILD;

    check_failures = 0;
    touch_all(-ECHILD);
    touch_own(-ECHILD);
    CHECK_EQ(ait_loop_post(theirs.loop, post_nothing, NULL), -ECHILD);
    /* A loop of its own, and the parent's is still the parent's. */
    CHECK_EQ(ait_run(own_loop, &want, 0), 7);
    CHECK_EQ(ait_loop_post(theirs.loop, post_nothing, NULL), -ECHILD);
    _exit(check_failures > 0);
}

static int child_sleeper(void *userdata)
{
    return ait_sleep(MS(5));
}

static void borrow(ait_scope *scope)
{
    theirs.loop = ait_loop_current();
    theirs.scope = scope;
    CHECK_EQ(ait_future_new(&theirs.future), 0);
    CHECK_EQ(ait_scope_spawn(scope, &theirs.task, child_sleeper, NULL, NULL), 0);
}

static int give_back(ait_scope *scope)
{
    CHECK_EQ(ait_future_is_done(theirs.future), 0);
    CHECK_EQ(ait_task_cancelling(theirs.task), 0);
    ait_future_unref(theirs.future);
    ait_task_unref(theirs.task);
    return ait_scope_exit(scope, 0);
}

static int fork_main(void *userdata)
{
    int status = -1, fds[2];
    AIT_SCOPE(scope);
    pid_t pid;
    char c;

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    borrow(scope);
    CHECK_EQ(pipe(fds), 0);
    pid = fork();
    if (pid == 0)
        child_process();
    CHECK(pid > 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    /* The parent's epoll and bell have not noticed anything. */
    CHECK_EQ(ait_write(fds[1], "x", 1), 1);
    CHECK_EQ(ait_read(fds[0], &c, 1), 1);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_close(fds[0]), 0);
    CHECK_EQ(ait_close(fds[1]), 0);
    return give_back(scope);
}

static void test_fork(void **unused)
{
    assert_int_equal(run_real(fork_main, NULL), 0);
}

static void *foreign_thread(void *userdata)
{
    int want = -EPERM;

    touch_all(-EPERM);
    touch_own(-EPERM);
    CHECK_EQ(ait_run(own_loop, &want, AIT_RUN_KEEP_SIGNALS), 7);
    return NULL;
}

static int thread_main(void *userdata)
{
    AIT_SCOPE(scope);
    pthread_t thread;

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    borrow(scope);
    CHECK_EQ(pthread_create(&thread, NULL, foreign_thread, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    return give_back(scope);
}

static void test_threads(void **unused)
{
    assert_int_equal(run_real(thread_main, NULL), 0);
}

static void *sleeping_thread(void *userdata)
{
    return ait_run(child_sleeper, NULL, AIT_RUN_KEEP_SIGNALS) == 0 ? userdata : NULL;
}

/* A loop a thread, none of which knows of the others. */
static void test_loop_a_thread(void **unused)
{
    pthread_t threads[8];
    char names[8];

    for (unsigned i = 0; i < ELEMENTS(threads); i++)
        assert_int_equal(pthread_create(threads + i, NULL, sleeping_thread, names + i), 0);
    for (unsigned i = 0; i < ELEMENTS(threads); i++) {
        void *ret = NULL;

        assert_int_equal(pthread_join(threads[i], &ret), 0);
        assert_ptr_equal(ret, names + i);
    }
}

/* ---- many ------------------------------------------------------------------------------------ */

static int brief_task(void *userdata)
{
    ++*(unsigned *)userdata;
    return ait_yield();
}

static int crowd_main(void *userdata)
{
    unsigned n = 0;
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    for (unsigned i = 0; i < 5000; i++) {
        CHECK_EQ(ait_scope_spawn(scope, NULL, brief_task, &n, NULL), 0);
        /* Now and then some of them end: holes, and rings that wrap around. */
        if (i % 777 == 0)
            CHECK_EQ(ait_yield(), 0);
    }
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(n, 5000);
    CHECK_EQ(ait_loop_n_tasks(ait_loop_current()), 1);
    return 0;
}

static void test_crowd(void **unused)
{
    assert_int_equal(run_virtual(crowd_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),       cmocka_unit_test(test_fifo),
        cmocka_unit_test(test_shuffle),    cmocka_unit_test(test_budget),
        cmocka_unit_test(test_never_idle), cmocka_unit_test(test_post),
        cmocka_unit_test(test_post_again), cmocka_unit_test(test_fork),
        cmocka_unit_test(test_threads),    cmocka_unit_test(test_loop_a_thread),
        cmocka_unit_test(test_crowd),
    };

    (void)alarm(200);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
