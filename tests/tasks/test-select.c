/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Waiting for one of several. Each pair of kinds is put through each story: which of the two is
 * ready, when, and whether the caller is cancelled at the same moment. Afterwards exactly one has
 * taken effect, or none where the caller was cancelled; nothing was taken from the other.
 */

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

#define MOMENT MS(10)

/* ---- things that a case can wait for --------------------------------------------------------- */

static int ours, other; /* items, by their addresses */

struct thing {
    ait_case_kind kind;
    int fds[2];
    ait_future *future;
    ait_event *event;
    ait_queue *queue;
    ait_semaphore *semaphore;
    uint64_t usec;
    void *got;
    bool ready;
};

static void thing_open(struct thing *t, ait_case_kind kind)
{
    *t = (struct thing){.kind = kind, .fds = {-1, -1}, .usec = AIT_USEC_INFINITY};
    switch (kind) {
    case AIT_CASE_KIND_POLL:
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, t->fds), 0);
        break;
    case AIT_CASE_KIND_AWAIT:
        CHECK_EQ(ait_future_new(&t->future), 0);
        break;
    case AIT_CASE_KIND_EVENT:
        CHECK_EQ(ait_event_new(&t->event), 0);
        break;
    case AIT_CASE_KIND_GET:
        CHECK_EQ(ait_queue_new(&t->queue, 1, AIT_QUEUE_BLOCK, NULL), 0);
        break;
    case AIT_CASE_KIND_PUT:
        CHECK_EQ(ait_queue_new(&t->queue, 1, AIT_QUEUE_BLOCK, NULL), 0);
        CHECK_EQ(ait_queue_try_put(t->queue, &other), 0);
        break;
    case AIT_CASE_KIND_ACQUIRE:
        CHECK_EQ(ait_semaphore_new(&t->semaphore, 0, 1), 0);
        break;
    default:
        break;
    }
}

static void thing_close(struct thing *t)
{
    for (int i = 0; i < 2; i++)
        if (t->fds[i] >= 0)
            CHECK_EQ(ait_close(t->fds[i]), 0);
    ait_future_unref(t->future);
    ait_event_unref(t->event);
    ait_queue_unref(t->queue);
    ait_semaphore_unref(t->semaphore);
}

static ait_select_case thing_case(struct thing *t)
{
    switch (t->kind) {
    case AIT_CASE_KIND_POLL:
        return (ait_select_case)AIT_CASE_POLL(t->fds[0], POLLIN);
    case AIT_CASE_KIND_AWAIT:
        return (ait_select_case)AIT_CASE_AWAIT(t->future);
    case AIT_CASE_KIND_EVENT:
        return (ait_select_case)AIT_CASE_EVENT(t->event);
    case AIT_CASE_KIND_GET:
        return (ait_select_case)AIT_CASE_GET(t->queue, &t->got);
    case AIT_CASE_KIND_PUT:
        return (ait_select_case)AIT_CASE_PUT(t->queue, &ours);
    case AIT_CASE_KIND_ACQUIRE:
        return (ait_select_case)AIT_CASE_ACQUIRE(t->semaphore);
    default:
        return (ait_select_case)AIT_CASE_UNTIL(t->usec);
    }
}

/* Lets it take effect. Times do so by themselves. */
static int thing_make_ready(void *userdata)
{
    struct thing *t = userdata;
    void *item;

    t->ready = true;
    switch (t->kind) {
    case AIT_CASE_KIND_POLL:
        CHECK_EQ(write(t->fds[1], "x", 1), 1);
        break;
    case AIT_CASE_KIND_AWAIT:
        CHECK_EQ(ait_future_resolve(t->future, 7), 0);
        break;
    case AIT_CASE_KIND_EVENT:
        CHECK_EQ(ait_event_set(t->event), 1);
        break;
    case AIT_CASE_KIND_GET:
        CHECK_EQ(ait_queue_try_put(t->queue, &ours), 0);
        break;
    case AIT_CASE_KIND_PUT:
        CHECK_EQ(ait_queue_try_get(t->queue, &item), 1);
        CHECK(item == &other);
        break;
    case AIT_CASE_KIND_ACQUIRE:
        CHECK_EQ(ait_semaphore_release(t->semaphore), 0);
        break;
    default:
        break;
    }
    return 0;
}

/* What is left behind, taken or not; and what the call said. */
static void thing_check(struct thing *t, bool taken, int result)
{
    void *item = NULL;
    char c;

    if (taken)
        CHECK_EQ(result, t->kind == AIT_CASE_KIND_POLL    ? POLLIN
                         : t->kind == AIT_CASE_KIND_AWAIT ? 7
                                                          : t->kind == AIT_CASE_KIND_GET);
    switch (t->kind) {
    case AIT_CASE_KIND_POLL:
        CHECK_EQ(recv(t->fds[0], &c, 1, MSG_DONTWAIT), t->ready ? 1 : -1);
        break;
    case AIT_CASE_KIND_GET:
        CHECK(t->got == (taken ? &ours : NULL));
        CHECK_EQ(ait_queue_size(t->queue), t->ready && !taken);
        break;
    case AIT_CASE_KIND_PUT:
        CHECK_EQ(ait_queue_try_get(t->queue, &item), taken || !t->ready ? 1 : -EAGAIN);
        CHECK(item == (taken ? &ours : t->ready ? NULL : &other));
        CHECK_EQ(ait_queue_try_get(t->queue, &item), -EAGAIN);
        break;
    case AIT_CASE_KIND_ACQUIRE:
        CHECK_EQ(ait_semaphore_value(t->semaphore), t->ready && !taken);
        break;
    default:
        break;
    }
}

static const ait_case_kind kinds[] = {
    AIT_CASE_KIND_POLL, AIT_CASE_KIND_AWAIT,   AIT_CASE_KIND_EVENT, AIT_CASE_KIND_GET,
    AIT_CASE_KIND_PUT,  AIT_CASE_KIND_ACQUIRE, AIT_CASE_KIND_UNTIL,
};

/* ---- stories --------------------------------------------------------------------------------- */

enum when { NEVER_READY, BEFORE, LATER };

static const struct story {
    const char *name;
    enum when when[2];
    bool cancel; /* at the moment of what is later */
} stories[] = {
    {"both before", {BEFORE, BEFORE}, false},
    {"first before", {BEFORE, NEVER_READY}, false},
    {"second before", {NEVER_READY, BEFORE}, false},
    {"first before, second later", {BEFORE, LATER}, false},
    {"first later", {LATER, NEVER_READY}, false},
    {"second later", {NEVER_READY, LATER}, false},
    {"both later", {LATER, LATER}, false},
    {"first later, and cancelled", {LATER, NEVER_READY}, true},
    {"both later, and cancelled", {LATER, LATER}, true},
    {"cancelled", {NEVER_READY, NEVER_READY}, true},
};

struct pair {
    struct thing things[2];
    int r, results[2];
};

static int make_ready_later(void *userdata)
{
    int r = ait_sleep(MOMENT);

    return r < 0 ? r : thing_make_ready(userdata);
}

static int cancel_later(void *userdata)
{
    int r = ait_sleep(MOMENT);

    (void)ait_task_cancel(userdata); /* it may have been quicker */
    return r;
}

static int selector(void *userdata)
{
    struct pair *p = userdata;
    ait_select_case cases[] = {thing_case(&p->things[0]), thing_case(&p->things[1])};

    p->r = ait_select(cases, 2);
    for (int i = 0; i < 2; i++)
        p->results[i] = cases[i].result;
    return 0;
}

static void prepare(struct thing *t, enum when when)
{
    if (t->kind == AIT_CASE_KIND_UNTIL) {
        t->usec = when == BEFORE  ? ait_now(NULL)
                  : when == LATER ? ait_now(NULL) + MOMENT
                                  : AIT_USEC_INFINITY;
    } else if (when == BEFORE) {
        (void)thing_make_ready(t);
    } else if (when == LATER) {
        CHECK_EQ(ait_task_spawn(NULL, make_ready_later, t, NULL), 0);
    }
}

static void tell(const struct story *story, ait_case_kind first, ait_case_kind second)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    unsigned failures = check_failures;
    struct pair p;
    AIT_SCOPE(scope);

    thing_open(&p.things[0], first);
    thing_open(&p.things[1], second);
    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR), 0);
    CHECK_EQ(ait_task_spawn(&task, selector, &p, NULL), 0);
    for (int i = 0; i < 2; i++)
        prepare(&p.things[i], story->when[i]);
    if (story->cancel)
        CHECK_EQ(ait_task_spawn(NULL, cancel_later, task, NULL), 0);
    CHECK_EQ(ait_task_wait(task, NULL), 0);
    (void)ait_sleep(2 * MOMENT); /* what became ready at the same moment has done so */
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    if (p.r < 0)
        CHECK(p.r == -ECANCELED && story->cancel);
    else
        CHECK(p.r < 2 && story->when[p.r] != NEVER_READY);
    for (int i = 0; i < 2; i++)
        thing_check(&p.things[i], p.r == i, p.results[i]);
    if (check_failures != failures)
        print_message("%s: kinds %d and %d: %d\n", story->name, first, second, p.r);
    thing_close(&p.things[0]);
    thing_close(&p.things[1]);
}

static int pairs_main(void *unused)
{
    for (unsigned i = 0; i < ELEMENTS(stories); i++)
        for (unsigned a = 0; a < ELEMENTS(kinds); a++)
            for (unsigned b = 0; b < ELEMENTS(kinds); b++)
                tell(stories + i, kinds[a], kinds[b]);
    return 0;
}

static void test_pairs(void **unused)
{
    assert_int_equal(run_virtual(pairs_main, NULL), 0);
}

/* ---- fairness -------------------------------------------------------------------------------- */

/* Of those that are always ready, each has its turn. */
static int fair_main(void *unused)
{
    AIT_CLEANUP(ait_event_unrefp) ait_event *event = NULL;
    unsigned n[3] = {0};

    CHECK_EQ(ait_event_new(&event), 0);
    CHECK_EQ(ait_event_set(event), 1);
    for (int i = 0; i < 300; i++) {
        ait_select_case cases[] = {AIT_CASE_EVENT(event), AIT_CASE_UNTIL(0), AIT_CASE_EVENT(event)};
        int r = ait_select(cases, 3);

        if (CHECK(r >= 0 && r < 3))
            n[r]++;
    }
    for (int i = 0; i < 3; i++)
        CHECK_EQ(n[i], 100);
    return 0;
}

static void test_fair(void **unused)
{
    assert_int_equal(run_virtual(fair_main, NULL), 0);
}

/* ---- queues that hold nothing ---------------------------------------------------------------- */

struct meeting {
    ait_queue *queue;
    unsigned n_put, n_got, sum_put, sum_got;
};

/* Puts and gets in one call, so that two of its kind meet; an own item never comes back. */
static int meet(void *userdata)
{
    struct meeting *m = userdata;

    for (uintptr_t i = 1; i <= 50; i++) {
        void *item = NULL;
        ait_select_case cases[] = {AIT_CASE_PUT(m->queue, (void *)i), AIT_CASE_GET(m->queue, &item),
                                   AIT_CASE_AFTER(MS(5))};
        int r = ait_select(cases, 3);

        if (r == 0) {
            CHECK_EQ(cases[0].result, 0);
            m->n_put++;
            m->sum_put += (unsigned)i;
        } else if (r == 1) {
            CHECK_EQ(cases[1].result, 1);
            m->n_got++;
            m->sum_got += (unsigned)(uintptr_t)item;
        }
    }
    return 0;
}

static int meetings_main(void *unused)
{
    struct meeting m = {};
    AIT_SCOPE(scope);

    CHECK_EQ(ait_queue_new(&m.queue, 0, AIT_QUEUE_BLOCK, NULL), 0);
    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST), 0);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(ait_scope_spawn(scope, NULL, meet, &m, NULL), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK(m.n_put > 0);
    CHECK_EQ(m.n_put, m.n_got);
    CHECK_EQ(m.sum_put, m.sum_got);
    ait_queue_unref(m.queue);
    return 0;
}

static void test_meetings(void **unused)
{
    assert_int_equal(run_virtual(meetings_main, NULL), 0);
}

/* A queue that is closed meanwhile: the get sees its end, the put is refused. */
static int close_later(void *userdata)
{
    int r = ait_sleep(MOMENT);

    (void)ait_queue_close(userdata);
    return r;
}

static int closed_main(void *unused)
{
    for (int put = 0; put < 2; put++)
        for (int before = 0; before < 2; before++) {
            ait_queue *queue = NULL;
            void *item = &other;
            ait_select_case c;

            CHECK_EQ(ait_queue_new(&queue, 0, AIT_QUEUE_BLOCK, NULL), 0);
            if (before)
                CHECK_EQ(ait_queue_close(queue), 1);
            else
                CHECK_EQ(ait_task_spawn(NULL, close_later, queue, NULL), 0);
            c = put ? (ait_select_case)AIT_CASE_PUT(queue, &ours)
                    : (ait_select_case)AIT_CASE_GET(queue, &item);
            CHECK_EQ(ait_select(&c, 1), 0);
            CHECK_EQ(c.result, put ? -EPIPE : 0);
            CHECK(item == &other);
            ait_queue_unref(queue);
        }
    return 0;
}

static void test_closed(void **unused)
{
    assert_int_equal(run_virtual(closed_main, NULL), 0);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

/* Woken in vain, it keeps its place in the queue's line. */
static int steal(void *userdata)
{
    char c;

    return ait_read(*(int *)userdata, &c, 1) == 1 ? 0 : -EIO;
}

static int write_later(void *userdata)
{
    int r = ait_sleep(MS(1));

    return r < 0 ? r : write(*(int *)userdata, "x", 1) == 1 ? 0 : -EIO;
}

static int get_one(void *userdata)
{
    void *item = NULL;

    CHECK_EQ(ait_queue_get(userdata, &item), 1);
    CHECK(item == &other);
    return 0;
}

static int put_two_later(void *userdata)
{
    int r = ait_sleep(MOMENT);

    CHECK_EQ(ait_queue_try_put(userdata, &ours), 0);
    CHECK_EQ(ait_queue_try_put(userdata, &other), 0);
    return r;
}

struct first_in_line {
    ait_queue *queue;
    int fd;
};

static int select_first(void *userdata)
{
    struct first_in_line *f = userdata;
    void *item = NULL;
    ait_select_case cases[] = {AIT_CASE_POLL(f->fd, POLLIN), AIT_CASE_GET(f->queue, &item)};
    int r = ait_select(cases, 2);

    /* Where the reader was slower, the byte is a good answer. */
    CHECK(r == 0 || (r == 1 && item == &ours));
    return r;
}

static int vain_main(void *unused)
{
    struct first_in_line f;
    int fds[2], r = -1;
    AIT_CLEANUP(ait_task_unrefp) ait_task *first = NULL;
    AIT_SCOPE(scope);

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    f.fd = fds[0];
    CHECK_EQ(ait_queue_new(&f.queue, 2, AIT_QUEUE_BLOCK, NULL), 0);
    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, steal, &fds[0], NULL), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, write_later, &fds[1], NULL), 0);
    CHECK_EQ(ait_scope_spawn(scope, &first, select_first, &f, NULL), 0);
    CHECK_EQ(check_settle(), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, put_two_later, f.queue, NULL), 0);
    CHECK_EQ(ait_sleep(MS(2)), 0);
    if (!ait_task_is_done(first))
        CHECK_EQ(ait_scope_spawn(scope, NULL, get_one, f.queue, NULL), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(ait_task_result(first, &r), 0);
    ait_queue_unref(f.queue);
    CHECK_EQ(ait_close(fds[0]), 0);
    CHECK_EQ(ait_close(fds[1]), 0);
    return 0;
}

static void test_vain(void **unused)
{
    assert_int_equal(run_virtual(vain_main, NULL), 0);
}

/* Closed by ait_close() while one waits. */
static int close_fd_later(void *userdata)
{
    int r = ait_sleep(MOMENT);

    CHECK_EQ(ait_close(*(int *)userdata), 0);
    return r;
}

static int closed_fd_main(void *unused)
{
    ait_select_case cases[2];
    AIT_CLEANUP(ait_event_unrefp) ait_event *event = NULL;
    int fds[2];

    CHECK_EQ(ait_event_new(&event), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_EQ(ait_task_spawn(NULL, close_fd_later, &fds[0], NULL), 0);
    cases[0] = (ait_select_case)AIT_CASE_EVENT(event);
    cases[1] = (ait_select_case)AIT_CASE_POLL(fds[0], POLLIN);
    CHECK_EQ(ait_select(cases, 2), -EBADF);
    CHECK_EQ(ait_select(cases, 2), -EBADF);
    CHECK_EQ(ait_close(fds[1]), 0);
    return 0;
}

static void test_closed_fd(void **unused)
{
    assert_int_equal(run_virtual(closed_fd_main, NULL), 0);
}

/* ---- arguments ------------------------------------------------------------------------------- */

static int arguments_main(void *unused)
{
    ait_select_case many[AIT_SELECT_MAX + 1];
    ait_select_case own[] = {AIT_CASE_AWAIT(ait_task_future(ait_task_current()))};
    ait_select_case unknown[] = {{.kind = (ait_case_kind)99}};
    ait_select_case nowhere[] = {AIT_CASE_AFTER(0), {.kind = AIT_CASE_KIND_GET}};
    ait_select_case deaf[] = {AIT_CASE_AFTER(0), AIT_CASE_POLL(0, 0)};
    ait_select_case no_fd[] = {AIT_CASE_AFTER(MS(1)), AIT_CASE_POLL(1000, POLLIN)};
    ait_select_case nothing[] = {
        AIT_CASE_AWAIT(NULL),      AIT_CASE_EVENT(NULL),
        AIT_CASE_PUT(NULL, &ours), AIT_CASE_ACQUIRE(NULL),
        AIT_CASE_POLL(-1, POLLIN), AIT_CASE_AFTER(MS(3)),
        AIT_CASE_AFTER(MS(2)),     AIT_CASE_UNTIL(AIT_USEC_INFINITY),
    };
    ait_select_case at_once[] = {AIT_CASE_AFTER(MS(2)), AIT_CASE_DEFAULT};
    AIT_CLEANUP(ait_queue_unrefp) ait_queue *queue = NULL;
    int begun = now_ms();

    for (unsigned i = 0; i < ELEMENTS(many); i++)
        many[i] = (ait_select_case)AIT_CASE_AFTER(0);
    CHECK_EQ(ait_queue_new(&queue, 0, AIT_QUEUE_BLOCK, NULL), 0);
    nowhere[1].queue = queue;
    CHECK_EQ(ait_select(NULL, 1), -EINVAL);
    CHECK_EQ(ait_select(many, 0), -EINVAL);
    CHECK_EQ(ait_select(many, AIT_SELECT_MAX + 1), -EINVAL);
    CHECK(ait_select(many, AIT_SELECT_MAX) >= 0);
    CHECK_EQ(ait_select(own, 1), -EDEADLK);
    CHECK_EQ(ait_select(unknown, 1), -EINVAL);
    CHECK_EQ(ait_select(nowhere, 2), -EINVAL);
    CHECK_EQ(ait_select(deaf, 2), -EINVAL);
    CHECK_EQ(ait_select(no_fd, 2), -EBADF);
    CHECK_EQ(ait_select(at_once, 2), 1);
    CHECK_EQ(now_ms() - begun, 0);
    CHECK_EQ(ait_select(nothing, ELEMENTS(nothing)), 6);
    CHECK_EQ(now_ms() - begun, 2);
    CHECK_EQ(ait_task_cancel(ait_task_current()), 1);
    CHECK_EQ(ait_select(many, 1), -ECANCELED);
    return 0;
}

static void test_arguments(void **unused)
{
    ait_select_case c = AIT_CASE_AFTER(0);

    assert_int_equal(ait_select(&c, 1), -EPERM);
    assert_int_equal(run_virtual(arguments_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),     cmocka_unit_test(test_fair),
        cmocka_unit_test(test_meetings),  cmocka_unit_test(test_closed),
        cmocka_unit_test(test_vain),      cmocka_unit_test(test_closed_fd),
        cmocka_unit_test(test_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
