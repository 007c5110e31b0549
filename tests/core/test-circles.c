/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Waits that nothing can cut short, and that would wait for each other: the last one that would
 * close the circle is refused, and all of them end. Each circle is tried in each order in which its
 * members can begin.
 */

#include "check.h"

#define MAX_MEMBERS 4

/* How a member waits for the next one. */
enum how {
    TASK,       /* ait_cancel_and_wait() */
    MANY,       /* ait_cancel_and_wait_many(), with one that has ended and the member's next */
    MANY_LATER, /* the same, where the first of them takes a while */
    SCOPE,      /* ait_scope_cancel_and_wait() */
    SET,        /* ait_taskset_cancel_and_wait() */
    COMPLETION, /* ait_completion_close() */
    CHILD,      /* a child of its waits by ait_cancel_and_wait(), and is waited for */
    GRANDCHILD, /* the same, further down */
    N_HOW,
};

struct member {
    enum how how;
    int delay;
    struct member *next;
    ait_task *task;
    ait_scope *scope;
    ait_taskset *set;
    ait_completion *completion;
    int result;
    bool ended;
};

static unsigned n_refused;

static void note(struct member *m, int r)
{
    m->result = r;
    n_refused += r == -EDEADLK;
}

static int ends_later(void *userdata)
{
    AIT_SHIELD(AIT_USEC_INFINITY)
        (void)ait_sleep(MS(50));
    return 0;
}

static int wait_many(const struct member *m)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *other = NULL;
    ait_task *tasks[3] = {NULL};

    CHECK_EQ(ait_task_spawn(&other, ends_later, NULL, NULL), 0);
    if (m->how == MANY)
        CHECK_EQ(ait_cancel_and_wait(other, NULL), 0);
    tasks[1] = other;
    tasks[2] = m->next->task;
    return ait_cancel_and_wait_many(tasks, 3);
}

static int child_waits(void *userdata)
{
    struct member *m = userdata;

    AIT_SHIELD(AIT_USEC_INFINITY)
        note(m, ait_cancel_and_wait(m->next->task, NULL));
    return 0;
}

static int child_of_child(void *userdata)
{
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, child_waits, userdata, NULL), 0);
    return ait_scope_exit(scope, 0);
}

static int wait_by_child(struct member *m, ait_task_fn fn)
{
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, fn, m, NULL), 0);
    return ait_scope_exit(scope, 0);
}

/* What the member before waits for lies around all of this. */
static int act(void *userdata)
{
    struct member *m = userdata;

    AIT_SHIELD(AIT_USEC_INFINITY) {
        CHECK_EQ(ait_sleep(MS(10 + m->delay)), 0);
        switch (m->how) {
        case TASK:
            note(m, ait_cancel_and_wait(m->next->task, NULL));
            break;
        case MANY:
        case MANY_LATER:
            note(m, wait_many(m));
            break;
        case SCOPE:
            note(m, ait_scope_cancel_and_wait(m->next->scope));
            break;
        case SET:
            note(m, ait_taskset_cancel_and_wait(m->next->set));
            break;
        case COMPLETION:
            (void)ait_completion_close(m->next->completion);
            m->next->completion = NULL;
            break;
        case CHILD:
            (void)wait_by_child(m, child_waits);
            break;
        default:
            (void)wait_by_child(m, child_of_child);
        }
    }
    return 0;
}

/* Its part runs in a set or a completion if the one before waits for that. */
static int member_main(void *userdata)
{
    struct member *m = userdata;
    AIT_SCOPE(around);

    CHECK_EQ(ait_scope_enter(&m->scope, 0), 0);
    CHECK_EQ(ait_scope_enter(&around, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_taskset_new(&m->set, around, 0), 0);
    CHECK_EQ(ait_completion_open(&m->completion, NULL, 0, NULL), 0);
    CHECK_EQ(ait_task_started(0), 1);
    (void)act(m);
    around = ait_scope_leave(around);
    m->scope = ait_scope_leave(m->scope);
    m->ended = true;
    return 0;
}

static int in_set(void *userdata)
{
    return act(userdata);
}

/* The same for those before whom a set or a completion is waited for: the waiter is a task in it.
 */
static int housed_main(void *userdata)
{
    struct member *m = userdata;
    bool set = m->set != NULL;

    CHECK_EQ(ait_scope_enter(&m->scope, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_taskset_new(&m->set, m->scope, 0), 0);
    CHECK_EQ(ait_completion_open(&m->completion, NULL, 0, NULL), 0);
    if (set)
        CHECK_EQ(ait_taskset_spawn(m->set, NULL, in_set, m, NULL), 0);
    else
        CHECK_EQ(ait_completion_add(m->completion, &(ait_call){in_set, m, NULL}), 0);
    CHECK_EQ(ait_task_started(0), 1);
    CHECK_EQ(ait_sleep(MS(500)), 0);
    m->scope = ait_scope_leave(m->scope);
    m->ended = true;
    return 0;
}

struct ring {
    enum how how[MAX_MEMBERS];
    size_t n;
    size_t first; /* who begins; the others follow in order, or at the same moment */
    bool at_once;
};

static int ring_main(void *userdata)
{
    const struct ring *ring = userdata;
    struct member m[MAX_MEMBERS] = {};
    AIT_SCOPE(scope);

    n_refused = 0;
    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR), 0);
    for (size_t i = 0; i < ring->n; i++) {
        enum how before = ring->how[(i + ring->n - 1) % ring->n];
        bool housed = before == SET || before == COMPLETION;

        m[i].how = ring->how[i];
        m[i].next = m + (i + 1) % ring->n;
        m[i].delay = ring->at_once ? 0 : (int)((i + ring->n - ring->first) % ring->n);
        m[i].set = before == SET ? (void *)1 : NULL;
        CHECK_EQ(
            ait_scope_start(scope, &m[i].task, housed ? housed_main : member_main, m + i, NULL), 0);
    }
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    for (size_t i = 0; i < ring->n; i++) {
        CHECK(m[i].ended);
        ait_completion_close(m[i].completion);
        ait_taskset_unref(m[i].set);
        ait_task_unref(m[i].task);
    }
    return 0;
}

static void run_ring(const struct ring *ring)
{
    unsigned n_completions = 0;
    int r = run_virtual(ring_main, (void *)ring);

    for (size_t i = 0; i < ring->n; i++)
        n_completions += ring->how[i] == COMPLETION;
    /* ait_completion_close() has no result: it then does not wait. */
    if (r < 0 || n_refused > 1 || (n_refused == 0 && n_completions == 0))
        fail_msg("%zu members, %d %d, first %zu, at once %d: %d, %u refused", ring->n, ring->how[0],
                 ring->how[1], ring->first, ring->at_once, r, n_refused);
}

static void test_pairs(void **unused)
{
    for (int a = 0; a < N_HOW; a++)
        for (int b = 0; b < N_HOW; b++)
            for (int order = 0; order < 3; order++) {
                struct ring ring = {
                    .how = {a, b}, .n = 2, .first = order == 1, .at_once = order == 2};

                run_ring(&ring);
            }
}

static void test_rings(void **unused)
{
    for (int a = 0; a < N_HOW; a++)
        for (size_t n = 3; n <= MAX_MEMBERS; n++)
            for (size_t first = 0; first <= n; first++) {
                struct ring ring = {.how = {a, TASK, (enum how)((a + 3) % N_HOW), CHILD},
                                    .n = n,
                                    .first = first % n,
                                    .at_once = first == n};

                run_ring(&ring);
            }
}

/* ---- no circle ------------------------------------------------------------------------------- */

static int waits_for(void *userdata)
{
    CHECK(ait_cancel_and_wait(userdata, NULL) != -EDEADLK);
    return 0;
}

/* Many wait for one, in a chain and side by side. */
static int chain_main(void *userdata)
{
    ait_task *tasks[50] = {};
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_spawn(scope, &tasks[0], ends_later, NULL, NULL), 0);
    CHECK_EQ(check_settle(), 0);
    for (size_t i = 1; i < ELEMENTS(tasks); i++) {
        AIT_SCOPE(shield);

        CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
        CHECK_EQ(ait_scope_spawn(scope, &tasks[i], waits_for, tasks[i % 2 ? i - 1 : 0],
                                 AIT_TASK_OPTIONS(.flags = AIT_TASK_SHIELD)),
                 0);
        CHECK_EQ(check_settle(), 0);
    }
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    for (size_t i = 0; i < ELEMENTS(tasks); i++)
        ait_task_unref(tasks[i]);
    return 0;
}

static void test_chain(void **unused)
{
    assert_int_equal(run_virtual(chain_main, NULL), 0);
}

/* ---- a lock that has to be taken back -------------------------------------------------------- */

struct locked {
    ait_mutex *mutex;
    ait_condition *condition;
    int result, unlock;
};

static int waits_with_lock(void *userdata)
{
    struct locked *l = userdata;

    CHECK_EQ(ait_mutex_lock(l->mutex), 0);
    l->result = ait_condition_wait(l->condition, l->mutex);
    l->unlock = ait_mutex_unlock(l->mutex);
    return l->result;
}

enum { WAITS, IS_NOTIFIED, IS_CANCELLED, N_LOCKED };

/* Ends a task that waits for a condition, and holds the mutex that it would take back. */
static int lock_main(void *userdata)
{
    int how = *(int *)userdata;
    AIT_CLEANUP(ait_task_unrefp) ait_task *t = NULL;
    struct locked l = {};
    int r;

    CHECK_EQ(ait_mutex_new(&l.mutex), 0);
    CHECK_EQ(ait_condition_new(&l.condition), 0);
    CHECK_EQ(ait_task_spawn(&t, waits_with_lock, &l, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_mutex_lock(l.mutex), 0);
    if (how == IS_NOTIFIED)
        CHECK_EQ(ait_condition_notify(l.condition, 1), 1);
    else if (how == IS_CANCELLED)
        CHECK_EQ(ait_task_cancel(t), 1);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    r = ait_cancel_and_wait(t, NULL);
    CHECK_EQ(ait_mutex_unlock(l.mutex), 0);
    if (how == IS_CANCELLED) { /* it takes the mutex back already, so we are refused */
        CHECK_EQ(r, -EDEADLK);
        CHECK_EQ(ait_task_wait(t, NULL), 0);
        CHECK_EQ(l.result, -ECANCELED);
        CHECK_EQ(l.unlock, 0);
    } else { /* it does without the mutex */
        CHECK_EQ(r, 0);
        CHECK_EQ(l.result, -EDEADLK);
        CHECK_EQ(l.unlock, -EPERM);
    }
    ait_condition_unref(l.condition);
    ait_mutex_unref(l.mutex);
    return 0;
}

static void test_lock(void **unused)
{
    for (int how = 0; how < N_LOCKED; how++)
        assert_int_equal(run_virtual(lock_main, &how), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_rings),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_lock),
    };

    (void)alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
