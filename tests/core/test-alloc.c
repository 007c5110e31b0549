/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A wait allocates nothing, a switch allocates nothing: counted. The first round of each may warm
 * up pools; the thousand after it may not take a byte. */

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "faults.h"

#define WARM_UP 40
#define COUNTED 1000

static struct {
    int fds[2];
    ait_future *future;
} shared;

/* ---- what is done again and again ------------------------------------------------------------ */

static int do_yield(void)
{
    return ait_yield();
}

static int do_sleep(void)
{
    return ait_sleep(10);
}

static int do_check(void)
{
    return ait_check_cancel();
}

static int ends_at_once(void *userdata)
{
    return 0;
}

static int sleeps_long(void *userdata)
{
    return ait_sleep(AIT_USEC_PER_SEC);
}

static int do_spawn_and_join(void)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *t = NULL;
    int r;

    r = ait_task_spawn(&t, ends_at_once, NULL, NULL);
    return r < 0 ? r : ait_task_wait(t, NULL);
}

static int do_cancel_and_wait(void)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *t = NULL;
    int r;

    r = ait_task_spawn(&t, sleeps_long, NULL, NULL);
    if (r >= 0)
        r = ait_yield();
    return r < 0 ? r : ait_cancel_and_wait(t, NULL);
}

static int do_scope(void)
{
    AIT_SCOPE(scope);
    int r;

    r = ait_scope_enter_after(&scope, AIT_SCOPE_FAIL_FAST, AIT_USEC_PER_SEC);
    for (unsigned i = 0; i < 5 && r >= 0; i++)
        r = ait_scope_spawn(scope, NULL, ends_at_once, NULL, NULL);
    return r < 0 ? r : ait_scope_exit(scope, 0);
}

static int do_timeout(void)
{
    AIT_SCOPE(scope);
    int r;

    r = ait_scope_enter_after(&scope, AIT_SCOPE_MOVE_ON, 10);
    return r < 0 ? r : ait_scope_exit(scope, ait_sleep(AIT_USEC_PER_SEC));
}

static int do_shield(void)
{
    AIT_SCOPE(scope);
    int r;

    r = ait_scope_enter(&scope, AIT_SCOPE_SHIELD);
    return r < 0 ? r : ait_scope_exit(scope, ait_yield());
}

static int do_close(void)
{
    AIT_SCOPE(scope);
    int r;

    r = ait_scope_enter(&scope, 0);
    if (r >= 0)
        r = ait_scope_spawn(scope, NULL, sleeps_long, NULL, NULL);
    if (r >= 0)
        r = ait_yield();
    if (r >= 0)
        r = ait_scope_abort(scope);
    return r < 0 ? r : ait_scope_exit(scope, 0);
}

/* The partner echoes: both wait each time. */
static int do_io(void)
{
    char buf[16];
    ssize_t k;

    k = ait_write(shared.fds[0], "ping", 4);
    if (k == 4)
        k = ait_read(shared.fds[0], buf, sizeof(buf));
    return k == 4 ? 0 : -EIO;
}

static int do_poll(void)
{
    return ait_poll(shared.fds[0], POLLOUT) == POLLOUT ? 0 : -EIO;
}

static int resolve_it(void *userdata)
{
    return ait_future_resolve(shared.future, 0);
}

/* A new future is one allocation, waiting for it none. */
static int do_await(void)
{
    int r;

    r = ait_future_new(&shared.future);
    if (r >= 0)
        r = ait_task_spawn(NULL, resolve_it, NULL, NULL);
    if (r >= 0)
        r = ait_await(shared.future, NULL);
    shared.future = ait_future_unref(shared.future);
    return r;
}

static const struct {
    const char *name;
    int (*call)(void);
    unsigned allocations; /* a round */
} rows[] = {
    {"yield", do_yield, 0},
    {"sleep", do_sleep, 0},
    {"check", do_check, 0},
    {"spawn and join", do_spawn_and_join, 0},
    {"cancel and wait", do_cancel_and_wait, 0},
    {"scope with five children and a deadline", do_scope, 0},
    {"timeout", do_timeout, 0},
    {"shield", do_shield, 0},
    {"abort", do_close, 0},
    {"read and write", do_io, 0},
    {"poll", do_poll, 0},
    {"await", do_await, 1},
};

/* ---- counting -------------------------------------------------------------------------------- */

static int echo(void *userdata)
{
    char buf[16];
    ssize_t k;

    while ((k = ait_read(shared.fds[1], buf, sizeof(buf))) > 0) {
        k = ait_write(shared.fds[1], buf, (size_t)k);
        if (k < 0)
            break;
    }
    return (int)k;
}

static int count_rounds(unsigned i)
{
    unsigned before = 0;

    for (unsigned k = 0; k < WARM_UP + COUNTED; k++) {
        if (k == WARM_UP)
            before = faults.n_allocations;
        if (!CHECK_EQ(rows[i].call(), 0))
            return -EIO;
    }
    if (!CHECK_EQ(faults.n_allocations - before, COUNTED * rows[i].allocations))
        (void)fprintf(stderr, "in: %s\n", rows[i].name);
    return 0;
}

static int count_main(void *userdata)
{
    AIT_SCOPE(scope);

    memset(&shared, 0, sizeof(shared));
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, shared.fds), 0);
    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, echo, NULL, NULL), 0);
    for (unsigned i = 0; i < ELEMENTS(rows); i++)
        if (count_rounds(i) < 0)
            break;
    CHECK_EQ(ait_close(shared.fds[0]), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    return ait_close(shared.fds[1]);
}

static void test_virtual(void **unused)
{
    assert_int_equal(run_virtual(count_main, NULL), 0);
}

static void test_real(void **unused)
{
    assert_int_equal(run_real(count_main, NULL), 0);
}

/* ---- many at once ---------------------------------------------------------------------------- */

static int parks(void *userdata)
{
    for (unsigned i = 0; i < 20; i++)
        if (ait_sleep(1 + i % 3) < 0)
            return -EIO;
    return 0;
}

static int crowd(void)
{
    AIT_SCOPE(scope);
    int r;

    r = ait_scope_enter(&scope, 0);
    for (unsigned i = 0; i < 500 && r >= 0; i++)
        r = ait_scope_spawn(scope, NULL, parks, NULL, NULL);
    return r < 0 ? r : ait_scope_exit(scope, 0);
}

static int crowd_main(void *userdata)
{
    unsigned before;

    CHECK_EQ(crowd(), 0);
    before = faults.n_allocations;
    for (unsigned i = 0; i < 5; i++)
        CHECK_EQ(crowd(), 0);
    CHECK_EQ(faults.n_allocations, before);
    return 0;
}

/* Nor does a crowd, once there has been one as large. */
static void test_crowd(void **unused)
{
    assert_int_equal(run_virtual(crowd_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_virtual),
        cmocka_unit_test(test_real),
        cmocka_unit_test(test_crowd),
    };

    (void)alarm(200);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
