/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What aiotools' tests of contexts, defer, lru_cache and of the call graph check; docs/aiotools.md
 * tells row by row. */

#include "conformance.h"

/* ---- contexts -------------------------------------------------------------------------------- */

struct context {
    int enter, exit; /* what they return */
};

static int context_enter(void *userdata, void **ret_value)
{
    const struct context *context = userdata;

    CHECK_EQ(ait_sleep(MS(1)), 0);
    trace("enter");
    *ret_value = "hello";
    return context->enter;
}

static int context_exit(void *userdata, int r)
{
    const struct context *context = userdata;

    CHECK_EQ(ait_sleep(MS(1)), 0);
    trace("exit:%s", outcome(r));
    return context->exit;
}

static ait_ctx context(const struct context *what)
{
    return (ait_ctx){context_enter, context_exit, (void *)(uintptr_t)what};
}

static int body(void *value, void *userdata)
{
    CHECK_EQ(strcmp(value, "hello"), 0);
    trace("body");
    return (int)(intptr_t)userdata;
}

static int in_context(struct context what, int r)
{
    ait_ctx ctx = context(&what);

    r = ait_ctx_run(&ctx, body, (void *)(intptr_t)r);
    trace("result:%s", outcome(r));
    return 0;
}

static int context_plain(void *userdata)
{
    return in_context((struct context){}, 7);
}

static int context_body_fails(void *userdata)
{
    return in_context((struct context){}, -EIO);
}

static int context_twice(void *userdata)
{
    in_context((struct context){}, 0);
    return in_context((struct context){}, 0);
}

static int context_enter_fails(void *userdata)
{
    return in_context((struct context){.enter = -EIO}, 0);
}

static int context_exit_fails(void *userdata)
{
    return in_context((struct context){.exit = -EIO}, 0);
}

static int context_both_fail(void *userdata)
{
    return in_context((struct context){.exit = -EBADF}, -EIO);
}

static int context_handled(void *userdata)
{
    return in_context((struct context){.exit = AIT_CTX_HANDLED}, -EIO);
}

static int nested_body(void *value, void *userdata)
{
    struct context what = {};
    ait_ctx ctx = context(&what);

    return ait_ctx_run(&ctx, body, userdata);
}

static int context_nested(void *userdata)
{
    struct context what = {};
    ait_ctx ctx = context(&what);

    trace("result:%s", outcome(ait_ctx_run(&ctx, nested_body, (void *)(intptr_t)-EIO)));
    return 0;
}

/* ---- groups of them -------------------------------------------------------------------------- */

static int in_group(const struct context what[2], int r)
{
    AIT_CTXGROUP(group);

    CHECK_EQ(ait_ctxgroup_open(&group, AIT_CTXGROUP_PARTIAL), 0);
    for (int i = 0; i < 2; i++) {
        ait_ctx ctx = context(&what[i]);

        CHECK_EQ(ait_ctxgroup_add(group, &ctx), i);
    }
    trace("entered:%s", outcome(ait_ctxgroup_enter(group)));
    for (size_t i = 0; i < 2; i++)
        trace("%s", outcome(ait_ctxgroup_enter_result(group, i)));
    r = ait_ctxgroup_exit(group, r);
    for (size_t i = 0; i < 2; i++)
        trace("%s", outcome(ait_ctxgroup_exit_result(group, i)));
    trace("result:%s", outcome(r));
    return 0;
}

static int group_enters_fail(void *userdata)
{
    return in_group((struct context[]){{.enter = -EIO}, {.enter = -EBADF}}, 0);
}

static int group_exits_fail(void *userdata)
{
    return in_group((struct context[]){{.exit = -EIO}, {.exit = -EIO}}, 0);
}

static int group_body_fails(void *userdata)
{
    return in_group((struct context[]){{}, {}}, -EBADF);
}

/* ---- ends that wait -------------------------------------------------------------------------- */

static void close_slowly(int *p)
{
    AIT_SHIELD_CLEANUP(AIT_USEC_PER_SEC);

    CHECK_EQ(ait_sleep(MS(200)), 0);
    trace("closed");
}

static int iterate(void *userdata)
{
    AIT_CLEANUP(close_slowly) int iterator = 0;
    int r;

    while ((r = ait_sleep(MS(200))) >= 0)
        trace("item%d", iterator++);
    return r;
}

static int closing(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;

    CHECK_EQ(ait_task_spawn(&task, iterate, NULL, NULL), 0);
    CHECK_EQ(ait_sleep(MS(300)), 0);
    trace("waited:%s", outcome(ait_cancel_and_wait(task, NULL)));
    return 0;
}

/* ---- defer ----------------------------------------------------------------------------------- */

static void end(void *arg)
{
    trace("end%d", (int)(intptr_t)arg);
}

static int deferring(int r)
{
    trace("1");
    AIT_DEFER(end, (void *)1);
    trace("2");
    AIT_DEFER(end, (void *)2);
    if (r < 0)
        return r;
    trace("3");
    AIT_DEFER(end, (void *)3);
    return r;
}

static int defer_plain(void *userdata)
{
    CHECK_EQ(deferring(5), 5);
    return 0;
}

static int defer_early(void *userdata)
{
    CHECK_EQ(deferring(-EIO), -EIO);
    return 0;
}

static int end_slowly(void *userdata)
{
    CHECK_EQ(ait_sleep(MS(1)), 0);
    end(userdata);
    return 0;
}

static int stack_destroys(void *userdata)
{
    AIT_EXITSTACK(stack);

    CHECK_EQ(ait_exitstack_open(&stack), 0);
    for (intptr_t i = 1; i <= 3; i++)
        CHECK_EQ(ait_exitstack_push_destroy(stack, end, (void *)i), 0);
    CHECK_EQ(ait_exitstack_exit(stack, 5), 5);
    return 0;
}

static int stack_slow(int n, int r)
{
    AIT_EXITSTACK(stack);

    CHECK_EQ(ait_exitstack_open(&stack), 0);
    for (intptr_t i = 1; i <= n; i++)
        CHECK_EQ(ait_defer_push(stack, end_slowly, (void *)i), 0);
    trace("result:%s", outcome(ait_exitstack_exit(stack, r)));
    return 0;
}

static int stack_waits(void *userdata)
{
    return stack_slow(3, 5);
}

static int stack_body_fails(void *userdata)
{
    return stack_slow(2, -EIO);
}

/* ---- the cache ------------------------------------------------------------------------------- */

static int square(const void *key, void **ret_value, void *userdata)
{
    intptr_t n = *(const int *)key;

    CHECK_EQ(ait_yield(), 0);
    trace("load%d", (int)n);
    *ret_value = (void *)(n * n);
    return 0;
}

static void ask(ait_cache *cache, int key, int how)
{
    AIT_CLEANUP(ait_cache_entry_unrefp) ait_cache_entry *entry = NULL;

    CHECK_EQ(ait_cache_get(cache, &key, &entry), how);
    CHECK_EQ((intptr_t)ait_cache_entry_value(entry), key * key);
}

static int cache_by_size(void *userdata)
{
    AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = NULL;
    ait_cache_info info = {.size = sizeof(info)};

    CHECK_EQ(ait_cache_new(&cache, AIT_CACHE_OPTIONS(.load = square, .key_size = sizeof(int),
                                                     .max_entries = 2)),
             0);
    ask(cache, 1, 0);
    ask(cache, 2, 0);
    ask(cache, 1, 1);
    ask(cache, 3, 0); /* in the place of 2 */
    ask(cache, 2, 0);
    ask(cache, 2, 1);
    CHECK_EQ(ait_cache_get_info(cache, &info), 0);
    CHECK_EQ(info.n_entries, 2);
    CHECK_EQ(info.n_hits, 2);
    CHECK_EQ(info.n_misses, 4);
    CHECK(ait_cache_clear(cache) >= 0);
    ask(cache, 1, 0);
    ask(cache, 3, 0);
    return 0;
}

static int cache_by_age(void *userdata)
{
    static const uint64_t ages[] = {0, MS(50)};

    for (size_t i = 0; i < ELEMENTS(ages); i++) {
        AIT_CLEANUP(ait_cache_unrefp) ait_cache *cache = NULL;

        CHECK_EQ(ait_cache_new(&cache, AIT_CACHE_OPTIONS(.load = square, .key_size = sizeof(int),
                                                         .max_age = ages[i])),
                 0);
        ask(cache, 3, 0);
        ask(cache, 3, 1);
        CHECK_EQ(ait_sleep(MS(100)), 0);
        ask(cache, 3, ages[i] == 0);
    }
    return 0;
}

/* ---- the task tree --------------------------------------------------------------------------- */

static int note_name(ait_task *task, void *userdata)
{
    if (strcmp(ait_task_name(task), "task") != 0)
        trace("%s", ait_task_name(task));
    return 0;
}

static int look_around(void *userdata)
{
    char *text = NULL;
    size_t n;
    FILE *file = open_memstream(&text, &n);

    CHECK_EQ(ait_loop_foreach_task(ait_loop_current(), note_name, NULL), 0);
    CHECK_EQ(ait_loop_dump(ait_loop_current(), file, 0), 0);
    CHECK_EQ(fclose(file), 0);
    const char *parent = strstr(text, "parent1");
    CHECK(parent && strstr(parent, "child1"));
    free(text);
    return 0;
}

static int parent(void *userdata)
{
    AIT_SCOPE(s);

    CHECK_EQ(ait_scope_enter(&s, 0), 0);
    CHECK_EQ(ait_scope_spawn(s, NULL, look_around, NULL, AIT_TASK_OPTIONS(.name = "child1")), 0);
    return ait_scope_exit(s, 0);
}

static int tree(void *userdata)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;

    CHECK_EQ(ait_task_spawn(&task, parent, NULL, AIT_TASK_OPTIONS(.name = "parent1")), 0);
    return ait_task_wait(task, NULL);
}

static const struct row rows[] = {
    {"context, enter, body, exit", .run = context_plain,
     .trace = "enter@1 body@1 exit:7@2 result:7@2"},
    {"context, the body fails", .run = context_body_fails,
     .trace = "enter@1 body@1 exit:EIO@2 result:EIO@2"},
    {"context, used twice", .run = context_twice,
     .trace = "enter@1 body@1 exit:0@2 result:0@2 enter@3 body@3 exit:0@4 result:0@4"},
    {"context, enter fails", .run = context_enter_fails, .trace = "enter@1 result:EIO@1"},
    {"context, exit fails", .run = context_exit_fails,
     .trace = "enter@1 body@1 exit:0@2 result:EIO@2"},
    {"context, body and exit fail", .run = context_both_fail,
     .trace = "enter@1 body@1 exit:EIO@2 result:EIO@2"},
    {"context, exit deals with the error", .run = context_handled,
     .trace = "enter@1 body@1 exit:EIO@2 result:0@2"},
    {"contexts, nested, the body fails", .run = context_nested,
     .trace = "enter@1 enter@2 body@2 exit:EIO@3 exit:EIO@4 result:EIO@4"},
    {"contexts as a group, all enters fail", .run = group_enters_fail,
     .trace = "enter@1 enter@1 entered:0@1 EIO@1 EBADF@1 ECANCELED@1 ECANCELED@1 result:0@1"},
    {"contexts as a group, all exits fail", .run = group_exits_fail,
     .trace = "enter@1 enter@1 entered:2@1 0@1 0@1 exit:0@2 exit:0@2 EIO@2 EIO@2 result:EIO@2"},
    {"contexts as a group, the body fails", .run = group_body_fails,
     .trace =
         "enter@1 enter@1 entered:2@1 0@1 0@1 exit:EBADF@2 exit:EBADF@2 0@2 0@2 result:EBADF@2"},
    {"closing in a shield", .run = closing, .trace = "item0@200 closed@500 waited:0@500"},
    {"defer, last first", .run = defer_plain, .trace = "1@0 2@0 3@0 end3@0 end2@0 end1@0"},
    {"defer, left early", .run = defer_early, .trace = "1@0 2@0 end2@0 end1@0"},
    {"exit stack, destructors", .run = stack_destroys, .trace = "end3@0 end2@0 end1@0"},
    {"exit stack, entries that wait", .run = stack_waits,
     .trace = "end3@1 end2@2 end1@3 result:5@3"},
    {"exit stack, the body fails", .run = stack_body_fails, .trace = "end2@1 end1@2 result:EIO@2"},
    {"cache, bounded by size", .run = cache_by_size,
     .trace = "load1@0 load2@0 load3@0 load2@0 load1@0 load3@0"},
    {"cache, bounded by age", .run = cache_by_age, .trace = "load3@0 load3@100 load3@200"},
    {"task tree", .run = tree, .trace = "test@0 parent1@0 child1@0"},
};

int main(void)
{
    return conformance_run("conformance-context", rows, ELEMENTS(rows));
}
