/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Blocking calls on threads: what comes back, what a cancelled caller waits for, the bounds of the
 * pool. No test waits for a time: calls end when they are told to. */

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "check.h"
#include "process-helpers.h"

/* A call that blocks until it is let go. */
struct gate {
    int in[2], out[2]; /* pipes: it has begun, it may end */
    atomic_int n_destroyed, n_run;
    int result;
};

static void gate_init(struct gate *g)
{
    *g = (struct gate){};
    CHECK_EQ(pipe2(g->in, O_CLOEXEC), 0);
    CHECK_EQ(pipe2(g->out, O_CLOEXEC), 0);
}

static void gate_done(struct gate *g)
{
    (void)ait_close(g->in[0]);
    (void)ait_close(g->in[1]);
    (void)ait_close(g->out[0]);
    (void)ait_close(g->out[1]);
}

static int pass_gate(void *userdata)
{
    struct gate *g = userdata;
    char c;

    g->n_run++;
    if (write(g->in[1], "x", 1) != 1 || read(g->out[0], &c, 1) != 1)
        return -EIO;
    return g->result;
}

/* Of a task: waits until a call has begun. */
static void gate_wait(struct gate *g)
{
    char c;

    CHECK_EQ(ait_read(g->in[0], &c, 1), 1);
}

static void gate_open(struct gate *g)
{
    CHECK_EQ(write(g->out[1], "x", 1), 1);
}

static void destroy_gate(void *userdata)
{
    struct gate *g = userdata;

    g->n_destroyed++;
}

/* Real time, since a thread has to get there: with a bound. */
static bool eventually(bool (*condition)(void *userdata), void *userdata)
{
    for (int i = 0; i < 30000; i++) {
        if (condition(userdata))
            return true;
        (void)usleep(1000);
    }
    return false;
}

static bool was_destroyed(void *userdata)
{
    struct gate *g = userdata;

    return g->n_destroyed > 0;
}

static bool no_threads(void *userdata)
{
    return check_n_threads("ait-offload") == 0 && check_n_threads("ait-detachable") == 0;
}

/* ---- results --------------------------------------------------------------------------------- */

static int look_around(void *userdata)
{
    sigset_t mask;

    (void)pthread_sigmask(SIG_BLOCK, NULL, &mask);
    for (int signo = 1; signo < 32; signo++)
        if (signo != SIGKILL && signo != SIGSTOP && !sigismember(&mask, signo))
            return 1000 + signo;
    if (ait_loop_current() || ait_task_current() || ait_sleep(1) != -EPERM)
        return 2000;
    return (int)(intptr_t)userdata;
}

static int results_main(void *userdata)
{
    static const int results[] = {0, 1, 99, -EIO, -ETIME};
    int result = 42;

    for (size_t i = 0; i < ELEMENTS(results); i++) {
        CHECK_EQ(ait_offload(look_around, (void *)(intptr_t)results[i]), results[i]);
        CHECK_EQ(ait_offload_full(&result, look_around, (void *)(intptr_t)results[i], NULL), 0);
        CHECK_EQ(result, results[i]);
        CHECK_EQ(ait_offload_full(&result, look_around, (void *)(intptr_t)results[i],
                                  AIT_OFFLOAD_OPTIONS(.flags = AIT_OFFLOAD_DETACH)),
                 0);
        CHECK_EQ(result, results[i]);
    }
    CHECK_EQ(ait_offload_full(NULL, look_around, NULL, NULL), 0);
    CHECK_EQ(ait_offload(NULL, NULL), -EINVAL);
    CHECK_EQ(ait_offload_full(NULL, look_around, NULL, AIT_OFFLOAD_OPTIONS(.flags = 2)), -EINVAL);
    CHECK_EQ(ait_offload_full(NULL, look_around, NULL, &(const ait_offload_options){.size = 1}),
             -EINVAL);
    return 0;
}

static void test_results(void **unused)
{
    assert_int_equal(ait_offload(look_around, NULL), -EPERM);
    assert_int_equal(run_virtual(results_main, NULL), 0);
    assert_int_equal(run_real(results_main, NULL), 0);
}

/* ---- concurrency ----------------------------------------------------------------------------- */

static int gate_task(void *userdata)
{
    return ait_offload(pass_gate, userdata);
}

static int ticks;

static int tick_task(void *userdata)
{
    while (ait_sleep(MS(1)) == 0)
        ticks++;
    return 0;
}

/* The loop goes on meanwhile; calls run side by side. */
static int side_by_side_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *ticker = NULL;
    struct gate gates[4];
    AIT_SCOPE(scope);

    CHECK_EQ(ait_offload_configure(4, 0), 0);
    ticks = 0;
    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST), 0);
    CHECK_EQ(ait_scope_spawn(scope, &ticker, tick_task, NULL, NULL), 0);
    for (size_t i = 0; i < ELEMENTS(gates); i++) {
        gate_init(gates + i);
        CHECK_EQ(ait_scope_spawn(scope, NULL, gate_task, gates + i, NULL), 0);
    }
    for (size_t i = 0; i < ELEMENTS(gates); i++)
        gate_wait(gates + i);
    while (ticks < 3)
        CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(check_n_threads("ait-offload"), 4);
    for (size_t i = ELEMENTS(gates); i-- > 0;)
        gate_open(gates + i);
    CHECK_EQ(ait_task_cancel(ticker), 1);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    for (size_t i = 0; i < ELEMENTS(gates); i++)
        gate_done(gates + i);
    return 0;
}

static void test_side_by_side(void **unused)
{
    assert_int_equal(run_real(side_by_side_main, NULL), 0);
}

struct ordered {
    int *next;
    int id;
    bool asked;
};

static int in_order(void *userdata)
{
    struct ordered *o = userdata;

    /* One thread: nobody else writes. */
    return (*o->next)++ == o->id ? 0 : -EIO;
}

static int order_task(void *userdata)
{
    struct ordered *o = userdata;

    o->asked = true;
    return ait_offload(in_order, o);
}

static int order_main(void *userdata)
{
    struct ordered jobs[32];
    struct gate gate;
    AIT_SCOPE(scope);
    int next = 0;

    gate_init(&gate);
    CHECK_EQ(ait_offload_configure(1, MS(1)), 0);
    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, gate_task, &gate, NULL), 0);
    gate_wait(&gate);
    for (int i = 0; i < 32; i++) {
        jobs[i] = (struct ordered){&next, i, false};
        CHECK_EQ(ait_scope_spawn(scope, NULL, order_task, jobs + i, NULL), 0);
        while (!jobs[i].asked)
            CHECK_EQ(ait_yield(), 0);
    }
    CHECK(check_n_threads("ait-offload") >= 1);
    gate_open(&gate);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(next, 32);
    gate_done(&gate);
    return 0;
}

/* First come, first served; and threads that have nothing to do end. */
static void test_order(void **unused)
{
    assert_int_equal(ait_offload_configure(1, MS(1)), 0);
    assert_true(eventually(no_threads, NULL));
    assert_int_equal(run_real(order_main, NULL), 0);
    assert_true(eventually(no_threads, NULL));
    assert_int_equal(ait_offload_configure(0, 0), 0);
}

/* ---- cancelled callers ----------------------------------------------------------------------- */

struct cancel_case {
    struct gate gate, blocker;
    unsigned flags;
    bool queued; /* behind a call that has the only thread */
    bool asked;
    int returned, result;
};

static int cancelled_task(void *userdata)
{
    struct cancel_case *c = userdata;

    c->result = 42;
    c->asked = true;
    c->returned = ait_offload_full(&c->result, pass_gate, &c->gate,
                                   AIT_OFFLOAD_OPTIONS(.flags = c->flags, .destroy = destroy_gate));
    /* A success stands; the next operation tells. */
    CHECK_EQ(ait_check_cancel(), -ECANCELED);
    return c->returned;
}

/* Of the same kind: the two kinds have threads of their own. */
static int blocker_task(void *userdata)
{
    struct cancel_case *c = userdata;

    return ait_offload_full(NULL, pass_gate, &c->blocker, AIT_OFFLOAD_OPTIONS(.flags = c->flags));
}

static int cancel_main(void *userdata)
{
    struct cancel_case *c = userdata;
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    AIT_SCOPE(scope);
    bool waits;

    gate_init(&c->gate);
    gate_init(&c->blocker);
    c->gate.result = 5;
    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST), 0);
    if (c->queued) {
        CHECK_EQ(ait_scope_spawn(scope, NULL, blocker_task, c, NULL), 0);
        gate_wait(&c->blocker);
    }
    CHECK_EQ(ait_scope_spawn(scope, &task, cancelled_task, c, NULL), 0);
    while (!c->asked)
        CHECK_EQ(ait_yield(), 0);
    if (!c->queued)
        gate_wait(&c->gate);
    CHECK_EQ(ait_task_cancel(task), 1);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(ait_yield(), 0);
    waits = !c->queued && !(c->flags & AIT_OFFLOAD_DETACH);
    CHECK_EQ(ait_task_is_done(task), !waits);
    if (!c->queued)
        gate_open(&c->gate);
    else
        gate_open(&c->blocker);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(c->returned, waits ? 0 : -ECANCELED);
    CHECK_EQ(c->result, waits ? 5 : 42);
    return 0;
}

static void test_cancel(void **unused)
{
    assert_int_equal(ait_offload_configure(1, MS(1)), 0);
    for (unsigned i = 0; i < 4; i++) {
        struct cancel_case c = {.flags = i & 1 ? AIT_OFFLOAD_DETACH : 0, .queued = i & 2};

        assert_int_equal(run_real(cancel_main, &c), 0);
        /* It may still run while its loop is gone already. */
        if (c.flags & AIT_OFFLOAD_DETACH)
            assert_true(eventually(was_destroyed, &c.gate));
        assert_int_equal(c.gate.n_run, !c.queued);
        assert_int_equal(c.gate.n_destroyed, !!(c.flags & AIT_OFFLOAD_DETACH));
        assert_true(eventually(no_threads, NULL));
        gate_done(&c.gate);
        gate_done(&c.blocker);
    }
    assert_int_equal(ait_offload_configure(0, 0), 0);
}

static int entry_main(void *userdata)
{
    AIT_SCOPE(scope);
    struct gate gate = {};
    int result = 42;

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_cancel(scope), 0);
    CHECK_EQ(ait_offload(pass_gate, &gate), -ECANCELED);
    CHECK_EQ(
        ait_offload_full(&result, pass_gate, &gate,
                         AIT_OFFLOAD_OPTIONS(.flags = AIT_OFFLOAD_DETACH, .destroy = destroy_gate)),
        -ECANCELED);
    CHECK_EQ(gate.n_run, 0);
    CHECK_EQ(gate.n_destroyed, 1);
    CHECK_EQ(result, 42);
    return ait_scope_exit(scope, -ECANCELED);
}

static void test_entry(void **unused)
{
    assert_int_equal(run_virtual(entry_main, NULL), 0);
}

/* The loop is left while calls that nobody waits for still run: once each, whether it is ended or
 * freed. */
static int leave_task(void *userdata)
{
    return ait_offload_full(
        NULL, pass_gate, userdata,
        AIT_OFFLOAD_OPTIONS(.flags = AIT_OFFLOAD_DETACH, .destroy = destroy_gate));
}

static int teardown_main(void *userdata)
{
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(ait_scope_spawn(scope, NULL, leave_task, userdata, NULL), 0);
    for (int i = 0; i < 3; i++)
        gate_wait(userdata);
    CHECK_EQ(ait_scope_cancel(scope), 0);
    return ait_scope_exit(scope, 0);
}

static bool three_destroyed(void *userdata)
{
    struct gate *g = userdata;

    return g->n_destroyed == 3;
}

static void test_teardown(void **unused)
{
    struct gate gate;

    gate_init(&gate);
    assert_int_equal(run_real(teardown_main, &gate), 0);
    assert_int_equal(gate.n_destroyed, 0);
    for (int i = 0; i < 3; i++)
        gate_open(&gate);
    assert_true(eventually(three_destroyed, &gate));
    gate_done(&gate);
}

/* Many at once, each from one of two loops in two threads, some of them cancelled. */
static int short_call(void *userdata)
{
    return (int)(intptr_t)userdata;
}

static int storm_task(void *userdata)
{
    int r;

    for (int i = 0; i < 50; i++) {
        r = ait_offload(short_call, userdata);
        if (r == -ECANCELED)
            return r;
        CHECK_EQ(r, (intptr_t)userdata);
    }
    return 0;
}

static int storm_main(void *userdata)
{
    ait_task *tasks[20] = {};
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    for (intptr_t i = 0; i < 20; i++)
        CHECK_EQ(ait_scope_spawn(scope, tasks + i, storm_task, (void *)i, NULL), 0);
    for (int i = 0; i < 20; i++) {
        (void)ait_offload(short_call, NULL);
        if (i % 3 == 0)
            (void)ait_task_cancel(tasks[i]);
        ait_task_unref(tasks[i]);
    }
    return ait_scope_exit(scope, 0);
}

static void *storm_thread(void *unused)
{
    return (void *)(intptr_t)ait_run(storm_main, NULL, AIT_RUN_KEEP_SIGNALS);
}

static void test_storm(void **unused)
{
    pthread_t threads[2];
    void *r;

    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(threads + i, NULL, storm_thread, NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], &r), 0);
        assert_int_equal((intptr_t)r, 0);
    }
    check_assert();
}

/* ---- time, memory, processes ----------------------------------------------------------------- */

static int open_soon(void *userdata)
{
    return ait_offload(pass_gate, userdata);
}

/* A virtual clock does not jump over a call that is under way. */
static int clock_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    struct gate *gate = userdata;
    AIT_SCOPE(scope);
    int result = -1;

    CHECK_EQ(ait_scope_enter_after(&scope, AIT_SCOPE_MOVE_ON, MS(1000)), 0);
    CHECK_EQ(ait_scope_spawn(scope, &task, open_soon, gate, NULL), 0);
    gate_wait(gate);
    gate_open(gate);
    CHECK_EQ(ait_task_wait(task, &result), 0);
    CHECK_EQ(result, 0);
    CHECK_EQ(now_ms(), 0);
    CHECK_EQ(ait_sleep(MS(10)), 0);
    CHECK_EQ(now_ms(), 10);
    return ait_scope_exit(scope, 0);
}

static void test_clock(void **unused)
{
    struct gate gate;

    gate_init(&gate);
    assert_int_equal(run_virtual(clock_main, &gate), 0);
    gate_done(&gate);
}

static int no_memory_main(void *userdata)
{
    struct gate gate = {};
    int r;

    /* Attached, it allocates nothing. */
    (void)ait_offload(short_call, NULL);
    alloc_fail_at(0);
    CHECK_EQ(ait_offload(short_call, (void *)7), 7);
    CHECK_EQ(alloc_count(), 0);
    alloc_fail_at(1);
    r = ait_offload_full(NULL, short_call, &gate,
                         AIT_OFFLOAD_OPTIONS(.flags = AIT_OFFLOAD_DETACH, .destroy = destroy_gate));
    alloc_fail_at(0);
    CHECK_EQ(r, -ENOMEM);
    CHECK_EQ(gate.n_destroyed, 0);
    return 0;
}

static void test_no_memory(void **unused)
{
    assert_int_equal(run_virtual(no_memory_main, NULL), 0);
}

static int after_fork(void *userdata)
{
    if (check_n_threads("ait-offload") != 0)
        return 1;
    return ait_offload(short_call, (void *)8) == 8 ? 0 : 2;
}

/* A child begins with an empty pool, whatever the parent's threads were doing. */
static int fork_main(void *userdata)
{
    struct gate gate;
    AIT_SCOPE(scope);
    AIT_CHILD(child);
    int r;

    gate_init(&gate);
    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, gate_task, &gate, NULL), 0);
    gate_wait(&gate);
    r = ait_fork(&child, after_fork, NULL, NULL);
    if (r != -ENOSYS) { /* Valgrind knows no pidfd */
        CHECK_EQ(r, 0);
        CHECK_EQ(ait_child_wait(child, NULL), 0);
        CHECK_EQ(ait_child_exit_code(child), 0);
    }
    gate_open(&gate);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    gate_done(&gate);
    return 0;
}

static void test_fork(void **unused)
{
    assert_int_equal(run_real(fork_main, NULL), 0);
}

/* ---- files ----------------------------------------------------------------------------------- */

static char directory[] = "/tmp/ait-offload-XXXXXX";

static const char *in_directory(const char *name)
{
    static char path[4][256];
    static unsigned n;

    n = (n + 1) % 4;
    (void)snprintf(path[n], sizeof(path[n]), "%s/%s", directory, name);
    return path[n];
}

static int files_main(void *userdata)
{
    char buf[64] = "";
    int fd;

    CHECK_EQ(ait_open(in_directory("none"), O_RDONLY, 0), -ENOENT);
    CHECK_EQ(ait_open(NULL, O_RDONLY, 0), -EINVAL);
    fd = ait_open(in_directory("a"), O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0);
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(ait_pwrite(fd, "hello world", 11, 0), 11);
    CHECK_EQ(ait_pwrite(fd, "there", 5, 6), 5);
    CHECK_EQ(ait_fdatasync(fd), 0);
    CHECK_EQ(ait_fsync(fd), 0);
    CHECK_EQ(ait_pread(fd, buf, sizeof(buf), 0), 11);
    CHECK(strcmp(buf, "hello there") == 0);
    CHECK_EQ(ait_pread(fd, buf, 5, 6), 5);
    CHECK(strncmp(buf, "there", 5) == 0);
    CHECK_EQ(ait_pread(fd, buf, sizeof(buf), 11), 0);
    CHECK_EQ(ait_pread(fd, NULL, 0, 0), 0);
    CHECK_EQ(ait_pread(fd, NULL, 1, 0), -EINVAL);
    CHECK_EQ(ait_pread(fd, buf, 1, UINT64_MAX), -EINVAL);
    CHECK_EQ(ait_pwrite(fd, NULL, 1, 0), -EINVAL);
    CHECK_EQ(close(fd), 0);
    CHECK_EQ(ait_pread(fd, buf, 1, 0), -EBADF);
    CHECK_EQ(ait_pwrite(fd, buf, 1, 0), -EBADF);
    CHECK_EQ(ait_fsync(fd), -EBADF);
    CHECK_EQ(ait_fdatasync(fd), -EBADF);
    return 0;
}

static int whole_files_main(void *userdata)
{
    size_t size = 100000, n = 0;
    char *big = malloc(size);
    struct stat st;
    void *data = NULL;

    if (!big)
        return -ENOMEM;
    memset(big, 'b', size);
    CHECK_EQ(ait_write_file(in_directory("whole"), big, size, 0640), 0);
    CHECK_EQ(stat(in_directory("whole"), &st), 0);
    CHECK_EQ(st.st_mode & 07777, 0640);
    CHECK_EQ(ait_read_file(&data, &n, in_directory("whole"), size), 0);
    CHECK_EQ(n, size);
    CHECK(memcmp(data, big, size) == 0 && ((char *)data)[n] == '\0');
    free(data);
    data = NULL;
    CHECK_EQ(ait_read_file(&data, &n, in_directory("whole"), size - 1), -EFBIG);
    CHECK_EQ(ait_write_file(in_directory("whole"), "", 0, 0600), 0);
    CHECK_EQ(ait_read_file(&data, &n, in_directory("whole"), 0), 0);
    CHECK_EQ(n, 0);
    free(data);
    data = NULL;
    CHECK_EQ(ait_read_file(&data, NULL, "/proc/self/status", 1 << 20), 0);
    CHECK(data && strstr(data, "Name:") != NULL);
    free(data);
    data = NULL;
    CHECK_EQ(ait_read_file(&data, NULL, "/proc/self/status", 10), -EFBIG);
    CHECK_EQ(ait_read_file(&data, NULL, in_directory("none"), 10), -ENOENT);
    CHECK_EQ(ait_read_file(&data, NULL, directory, 10000), -EISDIR);
    CHECK_EQ(ait_write_file(in_directory("no/such"), "x", 1, 0600), -ENOENT);
    /* Nothing is left beside it where the last step fails. */
    CHECK_EQ(ait_write_file(directory, "x", 1, 0600), -EISDIR);
    CHECK_EQ(ait_read_file(&data, NULL, NULL, 10), -EINVAL);
    CHECK_EQ(ait_write_file(NULL, "x", 1, 0600), -EINVAL);
    CHECK(data == NULL);
    free(big);
    return 0;
}

static int files_cancelled_main(void *userdata)
{
    AIT_SCOPE(scope);
    char c;

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_cancel(scope), 0);
    CHECK_EQ(ait_open("/dev/null", O_RDONLY, 0), -ECANCELED);
    CHECK_EQ(ait_pread(0, &c, 1, 0), -ECANCELED);
    CHECK_EQ(ait_pwrite(0, &c, 1, 0), -ECANCELED);
    CHECK_EQ(ait_fsync(0), -ECANCELED);
    CHECK_EQ(ait_write_file(in_directory("x"), "x", 1, 0600), -ECANCELED);
    return ait_scope_exit(scope, -ECANCELED);
}

/* ---- calls that hang ------------------------------------------------------------------------- */

#define HANGING 40

static int hang_full(void *userdata)
{
    return ait_offload_full(NULL, pass_gate, userdata,
                            AIT_OFFLOAD_OPTIONS(.flags = AIT_OFFLOAD_DETACH));
}

/* Of a task: until four calls have begun. */
static bool eventually_four(struct gate *gates)
{
    int n = 0;

    for (int i = 0; i < 30000 && n < 4; i++) {
        if (ait_sleep(MS(1)) < 0)
            return false;
        n = 0;
        for (size_t k = 0; k < HANGING; k++)
            n += gates[k].n_run;
    }
    return n >= 4;
}

/* A file does not wait for them: neither while somebody waits for them, nor when all have given up.
 * Nor do other calls of their kind, once they were given up. */
static int starve_main(void *userdata)
{
    static struct gate gates[HANGING];
    void *data = NULL;
    AIT_SCOPE(scope);
    size_t n;

    CHECK_EQ(ait_offload_configure(4, 0), 0);
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    for (size_t i = 0; i < HANGING; i++) {
        gate_init(gates + i);
        CHECK_EQ(ait_scope_spawn(scope, NULL, hang_full, gates + i, NULL), 0);
    }
    /* Whoever goes first. */
    CHECK(eventually_four(gates));
    CHECK_EQ(ait_read_file(&data, &n, "/proc/self/status", 1 << 20), 0);
    free(data);
    CHECK_EQ(ait_scope_cancel(scope), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(ait_read_file(&data, &n, "/proc/self/status", 1 << 20), 0);
    free(data);
    CHECK_EQ(
        ait_offload_full(NULL, look_around, NULL, AIT_OFFLOAD_OPTIONS(.flags = AIT_OFFLOAD_DETACH)),
        0);
    for (size_t i = 0; i < HANGING; i++)
        gate_open(gates + i);
    return ait_offload_configure(0, 0);
}

static void test_starve(void **unused)
{
    assert_int_equal(run_real(starve_main, NULL), 0);
}

/* ---- an fd that is closed before its call has begun ------------------------------------------ */

static int gate[2];

static int blocks(void *userdata)
{
    char c;

    return (int)read(gate[0], &c, 1);
}

static int blocker(void *userdata)
{
    return ait_offload(blocks, NULL) == 1 ? 0 : -EIO;
}

static char closed_buffer[8];

static ssize_t closed_pread(int fd)
{
    return ait_pread(fd, closed_buffer, sizeof(closed_buffer), 0);
}

static ssize_t closed_pwrite(int fd)
{
    return ait_pwrite(fd, "secret", 6, 0);
}

static ssize_t closed_fsync(int fd)
{
    return ait_fsync(fd);
}

static ssize_t (*const closed_calls[])(int fd) = {closed_pwrite, closed_fsync, closed_pread};

struct closed_call {
    ssize_t (*fn)(int fd);
    int fd;
    ssize_t result;
};

static int closed_caller(void *userdata)
{
    struct closed_call *c = userdata;

    c->result = c->fn(c->fd);
    return 0;
}

static int closed_once(struct closed_call *c)
{
    const char *path = in_directory("closed");
    struct stat st;
    AIT_SCOPE(scope);
    int others[2];

    CHECK_EQ(pipe2(gate, O_CLOEXEC), 0);
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, blocker, NULL, NULL), 0);
    CHECK_EQ(check_settle(), 0);
    c->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    /* A file of /proc is never read from the cache. */
    if (c->fn == closed_pread)
        CHECK_EQ(dup3(open("/proc/self/status", O_RDONLY | O_CLOEXEC), c->fd, O_CLOEXEC), c->fd);
    CHECK_EQ(ait_scope_spawn(scope, NULL, closed_caller, c, NULL), 0);
    CHECK_EQ(check_settle(), 0);
    CHECK_EQ(ait_close(c->fd), 0);
    for (int i = 0; i < 2; i++) {
        others[i] = open(in_directory("other"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        CHECK(others[i] >= 0 && others[i] != c->fd);
    }
    CHECK_EQ(write(gate[1], "x", 1), 1);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(c->result, -EBADF);
    CHECK_EQ(fstat(others[0], &st), 0);
    CHECK_EQ(st.st_size, 0);
    /* The number is free again. */
    CHECK_EQ(fcntl(c->fd, F_GETFD), -1);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(close(others[i]), 0);
        CHECK_EQ(close(gate[i]), 0);
    }
    return 0;
}

static int closed_main(void *userdata)
{
    CHECK_EQ(ait_offload_configure(1, 0), 0);
    for (size_t i = 0; i < ELEMENTS(closed_calls); i++) {
        struct closed_call c = {.fn = closed_calls[i]};

        CHECK_EQ(closed_once(&c), 0);
    }
    CHECK_EQ(unlink(in_directory("closed")), 0);
    CHECK_EQ(unlink(in_directory("other")), 0);
    return ait_offload_configure(0, 0);
}

static void test_files(void **unused)
{
    unsigned n = 0;
    DIR *dir;

    assert_non_null(mkdtemp(directory));
    assert_int_equal(run_virtual(files_main, NULL), 0);
    assert_int_equal(run_virtual(closed_main, NULL), 0);
    assert_int_equal(run_virtual(whole_files_main, NULL), 0);
    assert_int_equal(run_virtual(files_cancelled_main, NULL), 0);
    dir = opendir(directory);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL; n += e->d_name[0] != '.')
        ;
    (void)closedir(dir);
    (void)unlink(in_directory("a"));
    (void)unlink(in_directory("whole"));
    assert_int_equal(rmdir(directory), 0);
    assert_int_equal(n, 2);
}

/* Not for the tests: for what looks for memory that is left. */
static int end_threads(void **unused)
{
    return ait_offload_configure(1, MS(1)) < 0 || !eventually(no_threads, NULL);
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
        cmocka_unit_test(test_results),   cmocka_unit_test(test_side_by_side),
        cmocka_unit_test(test_order),     cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_entry),     cmocka_unit_test(test_teardown),
        cmocka_unit_test(test_storm),     cmocka_unit_test(test_clock),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_fork),
        cmocka_unit_test(test_starve),    cmocka_unit_test(test_files),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, end_threads);
}
