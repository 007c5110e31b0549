/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The level against its definition: random trees of tasks and scopes, random cancels, uncancels,
 * aborts and expiries, and after each of them every scope of the tree compared with
 *
 *     effective(S) = S.cancel_count > 0 || S.expired
 *                    || (!S.shield && parent(S) && effective(parent(S)))
 *
 * a task's root counting its parent's abort as well. Then those sleepers are awake whose scope is
 * effective, and no others.
 */

#include <unistd.h>

#include "check.h"

#define MAX_NODES 400
#define MAX_TASKS 80

struct node {
    struct node *parent;
    ait_scope *scope;
    ait_task *task;  /* of a root */
    unsigned cancel; /* count */
    bool shield, expired, aborted, is_root;
};

struct sleeper {
    struct node *innermost;
    bool woken;
};

static struct {
    struct node nodes[MAX_NODES];
    struct sleeper sleepers[MAX_TASKS];
    unsigned n_nodes, n_tasks, seed;
    ait_future *go;
} tree;

static unsigned draw(unsigned below)
{
    return (unsigned)rand_r(&tree.seed) % below;
}

static bool effective(const struct node *n)
{
    if (n->cancel > 0 || n->expired)
        return true;
    if (!n->parent)
        return false;
    if (n->is_root && n->parent->aborted)
        return true;
    return !n->shield && effective(n->parent);
}

static struct node *node_add(struct node *parent)
{
    struct node *n = tree.nodes + tree.n_nodes++;

    *n = (struct node){.parent = parent};
    return n;
}

/* ---- growing --------------------------------------------------------------------------------- */

static int grow_task(void *userdata);

static void spawn_some(struct node *parent)
{
    for (unsigned n = draw(4); n > 0; n--) {
        struct node *root;

        if (tree.n_tasks >= MAX_TASKS || tree.n_nodes + 8 >= MAX_NODES)
            return;
        tree.n_tasks++;
        root = node_add(parent);
        root->is_root = true;
        CHECK_EQ(ait_scope_spawn(parent->scope, &root->task, grow_task, root, NULL), 0);
    }
}

static void sleep_until_cancelled(struct node *innermost)
{
    struct sleeper *s = NULL;
    AIT_SCOPE(shield);

    for (unsigned i = 0; i < MAX_TASKS && !s; i++)
        if (!tree.sleepers[i].innermost)
            s = tree.sleepers + i;
    if (!CHECK(s != NULL))
        return;
    s->innermost = innermost;
    CHECK_EQ(ait_sleep(AIT_USEC_INFINITY), -ECANCELED);
    s->woken = true;
    /* The tree stays as it is until all is compared. */
    CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_await(tree.go, NULL), 0);
    (void)ait_scope_exit(shield, 0);
}

static void grow_scopes(struct node *parent, unsigned depth)
{
    struct node *n = parent;
    AIT_SCOPE(scope);

    spawn_some(parent);
    if (depth == 0 || tree.n_nodes + 8 >= MAX_NODES) {
        sleep_until_cancelled(parent);
        return;
    }
    n = node_add(parent);
    n->shield = draw(3) == 0;
    CHECK_EQ(ait_scope_enter(&scope, n->shield ? AIT_SCOPE_SHIELD : 0), 0);
    n->scope = scope;
    grow_scopes(n, depth - 1);
    (void)ait_scope_exit(scope, -ECANCELED);
}

static int grow_task(void *userdata)
{
    struct node *root = userdata;

    root->scope = ait_scope_current();
    grow_scopes(root, draw(4));
    return -ECANCELED;
}

/* ---- shaking --------------------------------------------------------------------------------- */

static void shake(struct node *n)
{
    switch (draw(6)) {
    case 0:
        CHECK_EQ(ait_scope_abort(n->scope), 0);
        n->aborted = true;
        break;
    case 1:
        CHECK_EQ(ait_scope_set_timeout(n->scope, 0), n->expired ? -EALREADY : 0);
        n->expired = true;
        break;
    case 2:
        if (!n->is_root) {
            CHECK_EQ(ait_scope_cancel(n->scope), 0);
            n->cancel++;
        }
        break;
    case 3:
    case 4:
        if (n->is_root && n->cancel > 0) {
            n->cancel--;
            CHECK_EQ(ait_task_uncancel(n->task), n->cancel);
        }
        break;
    default:
        if (n->is_root) {
            CHECK_EQ(ait_task_cancel(n->task), 1);
            n->cancel++;
        }
        break;
    }
}

static bool compare(void)
{
    bool same = true;

    for (unsigned i = 0; i < tree.n_nodes; i++)
        same &= CHECK_EQ(ait_scope_is_cancelled(tree.nodes[i].scope), effective(tree.nodes + i));
    return same;
}

static int shake_main(void *userdata)
{
    struct node *top;
    AIT_SCOPE(scope);

    tree.n_nodes = tree.n_tasks = 0;
    memset(tree.sleepers, 0, sizeof(tree.sleepers));
    CHECK_EQ(ait_future_new(&tree.go), 0);
    CHECK_EQ(ait_scope_enter(&scope, AIT_SCOPE_SUPERVISOR), 0);
    top = node_add(NULL);
    top->scope = scope;
    spawn_some(top);
    for (unsigned i = 0; i < 50; i++)
        CHECK_EQ(ait_yield(), 0); /* until all of it has grown */
    for (unsigned n = 5 + draw(20); n > 0 && tree.n_nodes > 1; n--) {
        shake(tree.nodes + 1 + draw(tree.n_nodes - 1)); /* not the top, which is this task's */
        if (!compare())
            break;
    }
    for (unsigned i = 0; i < 5; i++)
        CHECK_EQ(ait_yield(), 0);
    for (unsigned i = 0; i < tree.n_tasks; i++)
        CHECK_EQ(tree.sleepers[i].woken, effective(tree.sleepers[i].innermost));
    CHECK_EQ(ait_future_resolve(tree.go, 0), 0);
    CHECK_EQ(ait_scope_abort(scope), 0);
    for (unsigned i = 1; i < tree.n_nodes; i++) /* shields keep the rest alive */
        if (tree.nodes[i].shield)
            CHECK_EQ(ait_scope_cancel(tree.nodes[i].scope), 0);
    (void)ait_scope_exit(scope, 0);
    for (unsigned i = 0; i < tree.n_nodes; i++)
        ait_task_unref(tree.nodes[i].task);
    ait_future_unref(tree.go);
    return 0;
}

static void test_random(void **unused)
{
    unsigned nodes = 0;

    for (unsigned seed = 1; seed <= 400; seed++) {
        tree.seed = seed;
        if (run_virtual(shake_main, NULL) != 0)
            fail_msg("seed %u", seed);
        nodes += tree.n_nodes;
    }
    assert_true(nodes > 4000);
}

/* ---- deep and wide --------------------------------------------------------------------------- */

static unsigned n_down;

static int go_down(void *userdata)
{
    intptr_t depth = (intptr_t)userdata;
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    if (depth > 0)
        CHECK_EQ(ait_scope_spawn(scope, NULL, go_down, (void *)(depth - 1), NULL), 0);
    if (ait_sleep(AIT_USEC_INFINITY) == -ECANCELED)
        n_down++;
    return ait_scope_exit(scope, -ECANCELED);
}

static int wide(void *userdata)
{
    if (ait_sleep(AIT_USEC_INFINITY) == -ECANCELED)
        n_down++;
    return -ECANCELED;
}

static int deep_and_wide_main(void *userdata)
{
    AIT_SCOPE(scope);

    n_down = 0;
    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, go_down, (void *)(intptr_t)499, NULL), 0);
    for (unsigned i = 0; i < 500; i++)
        CHECK_EQ(ait_scope_spawn(scope, NULL, wide, NULL, NULL), 0);
    while (ait_loop_n_tasks(ait_loop_current()) < 1001)
        CHECK_EQ(ait_yield(), 0);
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(ait_yield(), 0);
    CHECK_EQ(ait_scope_cancel(scope), 0);
    CHECK_EQ(ait_scope_exit(scope, 0), 0);
    CHECK_EQ(n_down, 1000);
    return 0;
}

/* Pushing down needs neither stack nor memory. */
static void test_deep_and_wide(void **unused)
{
    assert_int_equal(run_virtual(deep_and_wide_main, NULL), 0);
}

/* ---- leaving in any order -------------------------------------------------------------------- */

static int disorder_main(void *userdata)
{
    ait_scope *a = NULL, *b = NULL, *c = NULL;

    CHECK_EQ(ait_scope_exit(NULL, 0), -EINVAL);
    CHECK_EQ(ait_scope_exit(NULL, -EIO), -EIO);
    CHECK_EQ(ait_scope_exit(ait_scope_current(), 0),
             -EINVAL); /* a task's root is not left by hand */
    CHECK_EQ(ait_scope_enter(NULL, 0), -EINVAL);
    CHECK_EQ(ait_scope_enter(&a, 1u << 30), -EINVAL);
    CHECK(a == NULL);
    CHECK_EQ(ait_scope_enter(&a, 0), 0);
    CHECK_EQ(ait_scope_enter(&b, 0), 0);
    CHECK_EQ(ait_scope_enter(&c, 0), 0);
    CHECK(ait_scope_current() == c);
    CHECK_EQ(ait_scope_exit(c, 0), 0);
    CHECK_EQ(ait_scope_exit(c, 0), -EINVAL); /* once */
    CHECK(ait_scope_leave(c) == NULL);
    CHECK_EQ(ait_scope_enter(&c, 0), 0);
    /* Whoever leaves an outer one has left the inner ones behind. */
    CHECK(ait_scope_leave(a) == NULL);
    CHECK(ait_scope_current() != a && ait_scope_current() != b && ait_scope_current() != c);
    return 0;
}

/* Who then leaves which of the handles, and in what order. Each is left once or twice, or never. */
static const char *const orders[] = {"cba", "ccbbaa", "a", "ba", "cab", "", "ca", "baa"};

static int exit_outer_main(void *userdata)
{
    for (size_t i = 0; i < ELEMENTS(orders); i++)
        for (unsigned round = 0; round < 50; round++) {
            ait_scope *s[3] = {}, *fresh = NULL;
            unsigned down = n_down;

            for (size_t k = 0; k < 3; k++) {
                CHECK_EQ(ait_scope_enter(&s[k], k == 1 ? AIT_SCOPE_SHIELD : 0), 0);
                CHECK_EQ(ait_scope_spawn(s[k], NULL, wide, NULL, NULL), 0);
            }
            CHECK_EQ(check_settle(), 0);
            CHECK_EQ(ait_scope_cancel(s[0]), 0);
            /* Inside are two more, with a live child each: as after an error of their bodies. */
            CHECK_EQ(ait_scope_exit(s[0], 7), 0);
            CHECK_EQ(n_down - down, 3);
            CHECK(ait_scope_current() != s[0] && ait_scope_current() != s[1]);
            for (size_t k = 0; k < 3; k++)
                CHECK_EQ(ait_scope_exit(s[k], 0), -EINVAL);
            for (const char *c = orders[i]; *c; c++)
                CHECK(ait_scope_leave(s[*c - 'a']) == NULL);
            CHECK_EQ(ait_scope_enter(&fresh, 0), 0);
            CHECK_EQ(ait_scope_spawn(fresh, NULL, wide, NULL, NULL), 0);
            CHECK_EQ(ait_scope_cancel(fresh), 0);
            CHECK_EQ(ait_scope_exit(fresh, 0), 0);
            CHECK(ait_scope_leave(fresh) == NULL);
        }
    return 0;
}

static int forgets(void *userdata)
{
    ait_scope *a = NULL, *b = NULL;

    CHECK_EQ(ait_scope_enter(&a, 0), 0);
    CHECK_EQ(ait_scope_enter(&b, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_scope_spawn(b, NULL, wide, NULL, NULL), 0);
    return 6; /* its task ends; so do they, and what is in them */
}

static int forget_main(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *t = NULL;
    int result = 0;

    CHECK_EQ(ait_task_spawn(&t, forgets, NULL, NULL), 0);
    CHECK_EQ(ait_task_wait(t, &result), 0);
    CHECK_EQ(result, 6);
    CHECK_EQ(ait_loop_n_tasks(ait_loop_current()), 1);
    return 0;
}

static void test_disorder(void **unused)
{
    assert_int_equal(run_virtual(disorder_main, NULL), 0);
    assert_int_equal(run_virtual(forget_main, NULL), 0);
    assert_int_equal(run_virtual(exit_outer_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_deep_and_wide),
        cmocka_unit_test(test_disorder),
    };

    (void)alarm(200);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
