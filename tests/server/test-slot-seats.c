/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Which worker of a slot has which listener, who gets new connections, and when the old one is
 * asked to stop: stories on virtual time with workers that are none, and listeners that are real.
 * The queues tell where connections went, and the test accepts in a worker's name.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "slot-stage.h"

#define SEC AIT_USEC_PER_SEC

/* ---- clients, and what a worker does --------------------------------------------------------- */

static void connect_times(struct stage *s, unsigned n)
{
    struct address a;

    assert_int_equal(address_parse(listen_set_address(s->workers.listen, 0), &a, NULL), 0);
    for (unsigned i = 0; i < n; i++) {
        int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(connect(fd, &a.sa, a.size), 0);
        close(fd);
    }
}

static unsigned waiting(struct stage *s, const struct worker *w)
{
    ssize_t n = listen_set_pending(s->workers.listen, w->seat);

    return n < 0 ? UINT_MAX : (unsigned)n;
}

static void accept_times(struct stage *s, const struct worker *w, unsigned n)
{
    int listener;

    assert_int_equal(listen_set_fds(s->workers.listen, 0, w->seat, &listener), 0);
    for (unsigned i = 0; i < n; i++) {
        int fd = accept(listener, NULL, NULL);

        assert_true(fd >= 0);
        close(fd);
    }
}

static bool is_open(struct stage *s, unsigned seat)
{
    int fd;

    return listen_set_fds(s->workers.listen, 0, seat, &fd) == 0;
}

static void replace(struct stage *s, bool in_place)
{
    s->replacement = (struct replacement){.revision = &s->revisions[1], .in_place = in_place};
    assert_int_equal(slot_replace(s->slot, &s->replacement), 0);
    settle();
}

/* The replacement has become ready, and is to be committed. */
static void commit(struct stage *s)
{
    fake_ready(s->slot->next);
    settle();
    slot_decide(s->slot, true);
    settle();
}

/* ---- stories --------------------------------------------------------------------------------- */

static void old_is_let_alone_first(struct stage *s)
{
    struct slot *slot = s->slot;
    struct worker *old = slot->current;

    connect_times(s, 3);
    replace(s, false);
    assert_int_not_equal(slot->next->seat, slot->seat);
    connect_times(s, 2);
    assert_int_equal(waiting(s, old), 5);
    assert_int_equal(waiting(s, slot->next), 0);
    commit(s);
    connect_times(s, 4);
    assert_int_equal(waiting(s, old), 5);
    assert_int_equal(waiting(s, slot->current), 4);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(old->state, WORKER_READY);
        advance(4 * SEC);
        accept_times(s, old, 1);
    }
    advance(DRAIN_PAUSE + s->config.drain - DRAIN_PAUSE);
    assert_int_equal(old->state, WORKER_READY);
    advance(2 * DRAIN_PAUSE);
    assert_int_equal(old->state, WORKER_DRAINING);
    assert_int_equal(s->replacement.state, REPLACEMENT_COMMITTED);
    fake_exit(old, 0);
    settle();
    assert_int_equal(s->replacement.state, REPLACEMENT_DONE);
    assert_false(is_open(s, 0));
    /* And the number is free again. */
    replace(s, false);
    assert_int_equal(slot->next->seat, 0);
}

static void next_fails(struct stage *s)
{
    unsigned seat;

    replace(s, false);
    seat = s->slot->next->seat;
    assert_true(is_open(s, seat));
    fake_exit(s->slot->next, 1);
    settle();
    assert_false(is_open(s, seat));
    assert_int_equal(s->slot->seat, 0);
    connect_times(s, 3);
    assert_int_equal(waiting(s, s->slot->current), 3);
}

/* Nobody is ready: what waits for the slot waits for the replacement. */
static void next_of_a_dead_one(struct stage *s)
{
    fake_exit(s->slot->current, 1);
    settle();
    connect_times(s, 3);
    replace(s, false);
    assert_int_equal(s->slot->next->seat, 0);
    fake_ready(s->slot->next);
    settle();
    assert_int_equal(s->replacement.state, REPLACEMENT_DONE);
    assert_int_equal(waiting(s, s->slot->current), 3);
}

/* The old worker dies while the new one is being proved. */
static void current_dies(struct stage *s)
{
    struct slot *slot = s->slot;
    struct worker *successor;

    replace(s, false);
    fake_exit(slot->current, 1);
    settle();
    connect_times(s, 3);
    assert_int_equal(listen_set_pending(s->workers.listen, 0), 3);
    fake_ready(slot->next);
    settle();
    assert_int_not_equal(slot->seat, 0);
    successor = slot->old;
    assert_non_null(successor);
    assert_int_equal(waiting(s, successor), 3);
    connect_times(s, 2);
    assert_int_equal(waiting(s, slot->current), 2);
    /* It is given the time to start, and then to accept. */
    advance(20 * SEC);
    assert_int_equal(successor->state, WORKER_STARTING);
    fake_ready(successor);
    settle();
    accept_times(s, successor, 3);
    advance(SEC);
    assert_int_equal(successor->state, WORKER_DRAINING);
    assert_int_equal(s->replacement.state, REPLACEMENT_COMMITTED);
    fake_exit(successor, 0);
    settle();
    assert_int_equal(s->replacement.state, REPLACEMENT_DONE);
    assert_false(is_open(s, 0));
}

static void old_accepts_nothing(struct stage *s)
{
    struct slot *slot = s->slot;
    struct worker *old = slot->current;

    connect_times(s, 3);
    replace(s, false);
    commit(s);
    advance(DRAIN_PATIENCE + SEC);
    assert_int_equal(old->state, WORKER_DRAINING);
    fake_exit(old, 0);
    settle();
    assert_non_null(slot->old);
    assert_int_equal(waiting(s, slot->old), 3);
    /* It does not either; a third one is not tried. */
    fake_exit(slot->old, 1);
    settle();
    assert_null(slot->old);
    assert_int_equal(s->replacement.state, REPLACEMENT_DONE);
    assert_false(is_open(s, 0));
}

static void old_dies_while_it_drains(struct stage *s)
{
    struct worker *old = s->slot->current;

    replace(s, false);
    commit(s);
    fake_exit(old, 1);
    settle();
    assert_int_equal(s->replacement.state, REPLACEMENT_DONE);
    assert_false(is_open(s, 0));
    assert_null(s->slot->old);
}

/* The new one dies while the old one has not been asked to stop: that one serves again. */
static void new_one_dies(struct stage *s)
{
    struct slot *slot = s->slot;
    struct worker *old = slot->current;

    replace(s, false);
    commit(s);
    fake_exit(slot->current, 1);
    settle();
    assert_int_equal(s->replacement.state, REPLACEMENT_DIED);
    connect_times(s, 3);
    assert_int_equal(waiting(s, old), 3);
    advance(60 * SEC);
    assert_int_equal(old->state, WORKER_READY);
    assert_non_null(slot->current);
    /* Another reload begins and cannot overtake it. */
    slot_withdraw(slot);
    replace(s, false);
    fake_ready(slot->next);
    settle();
    assert_ptr_equal(slot->old, old);
    connect_times(s, 1);
    assert_int_equal(waiting(s, old), 3);
    accept_times(s, old, 3);
    advance(SEC);
    fake_exit(old, 0);
    settle();
    assert_int_equal(s->replacement.state, REPLACEMENT_COMMITTED);
}

/* Two old workers have one seat: it is given back once, when the second has ended. */
static void old_ones_share_a_seat(struct stage *s)
{
    struct slot *slot = s->slot;
    struct worker *first = slot->current, *second;
    struct problem p;

    slot->acceptance.stuck = true;
    replace(s, false);
    assert_int_equal(slot->next->seat, first->seat);
    commit(s);
    assert_int_equal(first->state, WORKER_DRAINING);
    second = slot->current;
    slot_withdraw(slot);
    replace(s, false);
    commit(s);
    advance(SEC);
    assert_int_equal(second->state, WORKER_DRAINING);
    fake_exit(second, 0);
    settle();
    assert_true(is_open(s, 0));
    int other = listen_set_take_seat(s->workers.listen, &p);
    assert_true(other > 0);
    fake_exit(first, 0);
    settle();
    assert_false(is_open(s, 0));
    assert_true(is_open(s, (unsigned)other));
    assert_true(is_open(s, slot->seat));
}

/* Where others serve, one that is replaced in place is let alone as well, and keeps its seat. */
static void in_place(struct stage *s)
{
    struct slot *slot = s->slot;
    struct worker *old = slot->current;
    struct problem p;
    int other = listen_set_take_seat(s->workers.listen, &p);

    assert_int_equal(listen_set_steer_seat(s->workers.listen, (unsigned)other, STEER_READY), 0);
    replace(s, true);
    advance(s->config.drain / 2);
    connect_times(s, 3);
    assert_int_equal(waiting(s, old), 0);
    assert_int_equal(old->state, WORKER_READY);
    advance(s->config.drain);
    assert_int_equal(old->state, WORKER_DRAINING);
    fake_exit(old, 0);
    settle();
    assert_int_equal(slot->next->seat, 0);
}

static void in_place_alone(struct stage *s)
{
    struct worker *old = s->slot->current;

    replace(s, true);
    assert_int_equal(old->state, WORKER_DRAINING);
}

static void leaves(struct stage *s)
{
    struct worker *w = s->slot->current;
    struct problem p;
    int other = listen_set_take_seat(s->workers.listen, &p);

    assert_int_equal(listen_set_steer_seat(s->workers.listen, (unsigned)other, STEER_READY), 0);
    slot_leave(s->slot);
    advance(s->config.drain / 2);
    connect_times(s, 3);
    assert_int_equal(waiting(s, w), 0);
    assert_int_equal(w->state, WORKER_READY);
    advance(s->config.drain);
    assert_int_equal(ait_task_is_done(s->slot->task), 1);
}

/* No descriptor is left for another listener: as it was before there were any. */
static void no_seat_is_left(struct stage *s)
{
    struct worker *old = s->slot->current;
    struct rlimit before, low;
    int next = dup(0);

    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    replace(s, false);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(s->slot->next->seat, 0);
    commit(s);
    assert_int_equal(old->state, WORKER_DRAINING);
    fake_exit(old, 0);
    settle();
    assert_int_equal(s->replacement.state, REPLACEMENT_DONE);
    connect_times(s, 2);
    assert_int_equal(waiting(s, s->slot->current), 2);
}

/* ---- the stage ------------------------------------------------------------------------------- */

typedef void (*story_fn)(struct stage *s);

static int tell(void *userdata)
{
    story_fn story = *(story_fn *)userdata;
    struct stage s = {0};
    AIT_SCOPE(scope);

    stage_open(&s, &scope, "127.0.0.1:0", NULL);
    fake_ready(s.slot->current);
    settle();
    story(&s);
    stage_close(&s, scope);
    return 0;
}

static void test_stories(void **state)
{
    static const story_fn stories[] = {old_is_let_alone_first, next_fails,
                                       next_of_a_dead_one,     current_dies,
                                       old_accepts_nothing,    old_dies_while_it_drains,
                                       new_one_dies,           in_place,
                                       in_place_alone,         leaves,
                                       no_seat_is_left,        old_ones_share_a_seat};

    for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
        story_fn story = stories[i];

        n_fakes = 0;
        assert_int_equal(ait_run(tell, &story, 0), 0);
    }
}

/* From a socket that all share every worker accepts until it is stopped: nothing to wait for. */
static int shared(void *userdata)
{
    struct stage s = {0};
    AIT_SCOPE(scope);

    stage_open(&s, &scope, userdata, NULL);
    fake_ready(s.slot->current);
    settle();
    struct worker *old = s.slot->current;
    replace(&s, false);
    assert_int_equal(s.slot->next->seat, 0);
    commit(&s);
    assert_int_equal(old->state, WORKER_DRAINING);
    stage_close(&s, scope);
    return 0;
}

static void test_shared(void **state)
{
    static char abstract[] = "@test-slot-seats", datagrams[] = "udp:127.0.0.1:0";

    assert_int_equal(ait_run(shared, abstract, 0), 0);
    assert_int_equal(ait_run(shared, datagrams, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_shared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
