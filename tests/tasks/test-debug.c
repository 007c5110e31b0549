/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The dump is compared word by word, with addresses and places in code taken out; the census with
 * what the tasks have done to their stacks. */

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "check.h"

/* ---- a tree with one of each ----------------------------------------------------------------- */

static struct {
    ait_mutex *mutex;
    ait_event *event;
    ait_future *future;
    ait_task *sleeper;
    ait_taskset *set, *other_set;
    int fd;
} world;

static int sleep_long(void *unused)
{
    return ait_sleep(MS(1500));
}

static int sleep_for_ever(void *unused)
{
    return ait_sleep(AIT_USEC_INFINITY);
}

static int wait_event(void *unused)
{
    return ait_event_wait(world.event);
}

static int wait_mutex(void *unused)
{
    return ait_mutex_lock(world.mutex);
}

static int wait_future(void *unused)
{
    return ait_await(world.future, NULL);
}

static int wait_task(void *unused)
{
    return ait_task_wait(world.sleeper, NULL);
}

static int wait_fd(void *unused)
{
    char c;

    return (int)ait_read(world.fd, &c, 1);
}

static int wait_start(void *unused)
{
    return ait_scope_start(ait_scope_current(), NULL, sleep_for_ever, NULL,
                           AIT_TASK_OPTIONS(.name = "late"));
}

static int shielded(void *unused)
{
    AIT_SCOPE(scope);

    CHECK_EQ(ait_scope_enter_after(&scope, AIT_SCOPE_SHIELD | AIT_SCOPE_MOVE_ON, MS(2500)), 0);
    CHECK_EQ(ait_scope_set_name(scope, "last wishes"), 0);
    return ait_scope_exit(scope, ait_sleep(AIT_USEC_INFINITY));
}

static int never_runs(void *unused)
{
    return 0;
}

static const struct {
    const char *name;
    ait_task_fn fn;
} members[] = {
    {"sleeper", sleep_long}, {"event", wait_event},  {"mutex", wait_mutex},
    {"future", wait_future}, {"joiner", wait_task},  {"reader", wait_fd},
    {"starter", wait_start}, {"shielded", shielded},
};

static int leave(void *unused)
{
    AIT_SCOPE(inner);

    CHECK_EQ(ait_scope_enter(&inner, AIT_SCOPE_SUPERVISOR), 0);
    CHECK_EQ(
        ait_scope_spawn(inner, NULL, sleep_for_ever, NULL, AIT_TASK_OPTIONS(.name = "last child")),
        0);
    return ait_scope_exit(inner, 0);
}

static const char expected[] =
    "loop *: owned, 17 tasks, virtual clock at 1.001000 s\n"
    "  task 'test' *: running\n"
    "    task 'beside' *: waits for sleep: 1.499 s\n"
    "    task set *: 1 tasks\n"
    "      task 'member' *: waits for sleep: for ever\n"
    "    task set *: 1 tasks\n"
    "      task 'member' *: waits for sleep: for ever\n"
    "    scope 'work' *: 11 tasks, fail-fast, deadline in 9.999 s\n"
    "      task 'sleeper' *: waits for sleep: 1.499 s\n"
    "      task 'event' *: waits for event *\n"
    "      task 'mutex' *: waits for mutex *\n"
    "      task 'future' *: waits for future *\n"
    "      task 'joiner' *: waits for end of task 'sleeper'\n"
    "      task 'reader' *: waits for read of fd N\n"
    "      task 'starter' *: waits for start of task 'late'\n"
    "        task 'late' *: waits for sleep: for ever\n"
    "      task 'shielded' *: waits for sleep: for ever, cancelled 1x\n"
    "        scope 'last wishes' *: 0 tasks, shield, move-on, deadline in 2.499 s\n"
    "      task 'leaver' *: waits for children of scope *\n"
    "        scope *: 1 tasks, leaving, supervisor\n"
    "          task 'last child' *: waits for sleep: for ever\n"
    "      task 'gone' *: ready, cancelled 1x\n"
    "      task 'fresh' *: ready\n";

/* Addresses become "*", the number of the fd "N", and what follows a ";" goes. */
static void simplify(char *text)
{
    char *to = text;

    for (const char *p = text; *p;) {
        if (strncmp(p, "0x", 2) == 0) {
            p += 2 + strspn(p + 2, "0123456789abcdef");
            *to++ = '*';
        } else if (strncmp(p, "of fd ", 6) == 0) {
            to = memcpy(to, "of fd N", 7) + 7;
            p += 6;
            p += strspn(p, "0123456789");
            p += *p == ' ' ? strcspn(p, ",;") : 0;
        } else if (*p == ';') {
            p += strcspn(p, "\n");
        } else {
            *to++ = *p++;
        }
    }
    *to = '\0';
}

static char *dump_text(unsigned flags)
{
    char *text = NULL;
    size_t n = 0;
    FILE *file = open_memstream(&text, &n);

    CHECK_EQ(ait_loop_dump(ait_loop_current(), file, flags), 0);
    CHECK_EQ(fclose(file), 0);
    return text;
}

static void world_open(int *ret_peer)
{
    int fds[2];

    CHECK_EQ(ait_mutex_new(&world.mutex), 0);
    CHECK_EQ(ait_event_new(&world.event), 0);
    CHECK_EQ(ait_future_new(&world.future), 0);
    CHECK_EQ(ait_taskset_new(&world.set, NULL, 0), 0);
    CHECK_EQ(ait_taskset_new(&world.other_set, NULL, 0), 0);
    CHECK_EQ(ait_mutex_lock(world.mutex), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    world.fd = fds[0];
    *ret_peer = fds[1];
}

static void world_close(int peer)
{
    world.mutex = ait_mutex_unref(world.mutex);
    world.event = ait_event_unref(world.event);
    world.future = ait_future_unref(world.future);
    CHECK_EQ(ait_close(world.fd), 0);
    CHECK_EQ(ait_close(peer), 0);
}

static int tree_main(void *userdata)
{
    char **ret = userdata;
    ait_task *task = NULL;
    AIT_SCOPE(scope);
    int peer;

    world_open(&peer);
    CHECK_EQ(ait_task_spawn(NULL, sleep_long, NULL, AIT_TASK_OPTIONS(.name = "beside")), 0);
    CHECK_EQ(ait_taskset_spawn(world.set, NULL, sleep_for_ever, NULL,
                               AIT_TASK_OPTIONS(.name = "member")),
             0);
    CHECK_EQ(ait_taskset_spawn(world.other_set, NULL, sleep_for_ever, NULL,
                               AIT_TASK_OPTIONS(.name = "member")),
             0);
    CHECK_EQ(ait_scope_enter_after(&scope, AIT_SCOPE_FAIL_FAST, MS(10000)), 0);
    CHECK_EQ(ait_scope_set_name(scope, "work"), 0);
    for (unsigned i = 0; i < ELEMENTS(members); i++) {
        CHECK_EQ(ait_scope_spawn(scope, &task, members[i].fn, NULL,
                                 AIT_TASK_OPTIONS(.name = members[i].name)),
                 0);
        if (i == 0)
            world.sleeper = task;
        else if (i + 1 < ELEMENTS(members))
            ait_task_unref(task);
    }
    CHECK_EQ(ait_scope_spawn(scope, NULL, leave, NULL, AIT_TASK_OPTIONS(.name = "leaver")), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_task_cancel(task), 1); /* the one in a shield: stays where it is */
    ait_task_unref(task);
    CHECK_EQ(ait_scope_spawn(scope, &task, never_runs, NULL, AIT_TASK_OPTIONS(.name = "gone")), 0);
    CHECK_EQ(ait_task_cancel(task), 1);
    ait_task_unref(task);
    CHECK_EQ(ait_scope_spawn(scope, NULL, never_runs, NULL, AIT_TASK_OPTIONS(.name = "fresh")), 0);
    *ret = dump_text(0);
    CHECK_EQ(ait_scope_cancel(scope), 0);
    CHECK_EQ(ait_scope_exit(scope, -ECANCELED), 0);
    world.sleeper = ait_task_unref(world.sleeper);
    world_close(peer);
    world.set = ait_taskset_unref(world.set);
    world.other_set = ait_taskset_unref(world.other_set);
    return 0;
}

static void test_tree(void **unused)
{
    char *text = NULL;

    assert_int_equal(run_virtual(tree_main, &text), 0);
    assert_non_null(strstr(text, "; "));
    assert_non_null(strstr(text, ", spawned at "));
    simplify(text);
    assert_string_equal(text, expected);
    free(text);
}

/* A task's own line, while it is cancelled from outside and past its deadline. */
static int states_main(void *unused)
{
    AIT_SCOPE(outer);
    AIT_SCOPE(inner);
    char *text;

    CHECK_EQ(ait_scope_enter_after(&outer, AIT_SCOPE_PROPAGATE, MS(5)), 0);
    CHECK_EQ(ait_scope_enter(&inner, 0), 0);
    CHECK_EQ(ait_scope_abort(inner), 0);
    CHECK_EQ(ait_sleep(MS(10)), -ECANCELED);
    text = dump_text(AIT_DUMP_STACKS);
    CHECK(strstr(text, "propagate, expired"));
    CHECK(strstr(text, "aborted, cancelled from outside"));
    CHECK(strstr(text, ", stack "));
    free(text);
    CHECK_EQ(ait_scope_exit(inner, -ECANCELED), -ECANCELED);
    CHECK_EQ(ait_scope_exit(outer, -ECANCELED), -ETIME);
    return 0;
}

static void test_states(void **unused)
{
    assert_int_equal(run_virtual(states_main, NULL), 0);
}

static void test_guest(void **unused)
{
    sd_event *event = NULL;
    ait_loop *loop = NULL;
    char *text;

    assert_true(sd_event_new(&event) >= 0);
    assert_int_equal(ait_loop_attach(&loop, event), 0);
    text = dump_text(0);
    assert_non_null(strstr(text, ": guest, 0 tasks, clock at "));
    free(text);
    ait_loop_unref(loop);
    sd_event_unref(event);
}

static void test_full_device(void **unused)
{
    FILE *full = fopen("/dev/full", "we");
    ait_loop *loop = NULL;

    assert_non_null(full);
    assert_int_equal(ait_loop_new(&loop), 0);
    assert_int_equal(ait_loop_dump(loop, full, 0), -EIO);
    (void)fclose(full);
    ait_loop_unref(loop);
}

/* ---- walking --------------------------------------------------------------------------------- */

#define DEPTH 3000

static int nest(void *userdata)
{
    intptr_t depth = (intptr_t)userdata;

    if (depth == 0)
        return ait_sleep(MS(5));
    return ait_task_spawn(NULL, nest, (void *)(depth - 1), NULL);
}

static int count_task(ait_task *task, void *userdata)
{
    return ++*(unsigned *)userdata == 2000 ? 7 : 0;
}

static int deep_main(void *unused)
{
    unsigned n = 0;
    char *text;

    CHECK_EQ(ait_task_spawn(NULL, nest, (void *)(intptr_t)DEPTH, NULL), 0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    CHECK_EQ(ait_loop_n_tasks(ait_loop_current()), DEPTH + 2);
    CHECK_EQ(ait_loop_foreach_task(ait_loop_current(), count_task, &n), 7);
    CHECK_EQ(n, 2000);
    CHECK_EQ(ait_loop_foreach_task(ait_loop_current(), count_task, &n), 0);
    CHECK_EQ(n, 2000 + DEPTH + 2);
    text = dump_text(0);
    CHECK(text != NULL);
    free(text);
    return 0;
}

static void test_deep(void **unused)
{
    assert_int_equal(run_virtual(deep_main, NULL), 0);
}

/* ---- stacks ---------------------------------------------------------------------------------- */

#define HEAVY ((size_t)100 * 1024)

__attribute__((noinline)) static void touch(void)
{
    volatile char buf[HEAVY];

    for (size_t i = 0; i < sizeof(buf); i += 1024)
        buf[i] = 1;
}

static int heavy(void *unused)
{
    touch();
    return ait_sleep(AIT_USEC_INFINITY);
}

struct census {
    size_t heavy_depth, light_depth, heavy_size;
    unsigned n;
};

static int on_stack(const ait_stack_use *use, void *userdata)
{
    struct census *c = userdata;
    const char *name = ait_task_name(use->task);

    c->n++;
    CHECK(use->size >= sizeof(*use));
    CHECK(use->depth <= use->stack_size);
    CHECK(use->resident > 0 && use->resident <= use->depth);
    if (strcmp(name, "heavy") == 0) {
        c->heavy_depth = use->depth;
        c->heavy_size = use->stack_size;
    } else if (strcmp(name, "light") == 0) {
        c->light_depth = use->depth;
    }
    return 0;
}

static int census_main(void *unused)
{
    struct census c = {0};
    AIT_SCOPE(scope);
    int r;

    CHECK_EQ(ait_scope_enter(&scope, 0), 0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, heavy, NULL,
                             AIT_TASK_OPTIONS(.name = "heavy", .stack_size = 512 * 1024)),
             0);
    CHECK_EQ(ait_scope_spawn(scope, NULL, sleep_for_ever, NULL, AIT_TASK_OPTIONS(.name = "light")),
             0);
    CHECK_EQ(ait_sleep(MS(1)), 0);
    r = ait_loop_foreach_stack(ait_loop_current(), on_stack, &c);
    CHECK_EQ(c.n, 3);
    CHECK_EQ(c.heavy_size, 512 * 1024);
    CHECK(c.heavy_depth >= HEAVY && c.heavy_depth < 2 * HEAVY);
    CHECK(c.light_depth > 0 && c.light_depth < HEAVY);
    CHECK_EQ(ait_scope_cancel(scope), 0);
    CHECK_EQ(ait_scope_exit(scope, -ECANCELED), 0);
    return r;
}

static void test_census(void **unused)
{
    assert_int_equal(run_virtual(census_main, NULL), 0);
}

static int misuse_main(void *unused)
{
    ait_loop *loop = ait_loop_current();

    CHECK_EQ(ait_loop_dump(NULL, stderr, 0), -EINVAL);
    CHECK_EQ(ait_loop_dump(loop, stderr, 1u << 31), -EINVAL);
    CHECK_EQ(ait_loop_foreach_task(loop, NULL, NULL), -EINVAL);
    CHECK_EQ(ait_loop_foreach_task(NULL, count_task, NULL), -EINVAL);
    CHECK_EQ(ait_loop_foreach_stack(loop, NULL, NULL), -EINVAL);
    return 0;
}

static void test_misuse(void **unused)
{
    assert_int_equal(run_virtual(misuse_main, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),   cmocka_unit_test(test_states),
        cmocka_unit_test(test_guest),  cmocka_unit_test(test_full_device),
        cmocka_unit_test(test_deep),   cmocka_unit_test(test_census),
        cmocka_unit_test(test_misuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
