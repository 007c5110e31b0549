/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What aiotools' tests of PersistentTaskGroup check; docs/aiotools.md tells row by row. */

#include "conformance.h"

#define N 3

static const struct job plain = {"job", 100, 5};
static const struct job bad = {"bad", 100, -EIO};

static unsigned n_errors;

static void count_errors(ait_scope *scope, const ait_error_info *info, void *userdata)
{
    CHECK_EQ(info->error, -EIO);
    n_errors++;
}

static int in_set(ait_taskset *set, ait_task **ret_task, const struct job *job)
{
    return ait_taskset_spawn(set, ret_task, job_main, (void *)(uintptr_t)job, NULL);
}

static void fill(ait_taskset *set, const struct job *job)
{
    for (int i = 0; i < N; i++)
        CHECK_EQ(in_set(set, NULL, job), 0);
    CHECK_EQ(ait_taskset_n_tasks(set), N);
}

static void new_set(ait_taskset **ret)
{
    CHECK_EQ(ait_taskset_new(ret, NULL, 0), 0);
    CHECK_EQ(ait_scope_set_error_handler(ait_taskset_scope(*ret), count_errors, NULL), 0);
    n_errors = 0;
}

#define SET(name)                                                                                  \
    AIT_CLEANUP(ait_taskset_unrefp) ait_taskset *name = NULL;                                      \
    new_set(&name)

static int tells_name(void *userdata)
{
    trace("%s", ait_task_name(ait_task_current()));
    return 0;
}

static int naming(void *userdata)
{
    SET(set);

    CHECK_EQ(ait_scope_set_name(ait_taskset_scope(set), "XYZ"), 0);
    CHECK_EQ(ait_taskset_spawn(set, NULL, tells_name, NULL, AIT_TASK_OPTIONS(.name = "ABC")), 0);
    trace("%s", ait_scope_name(ait_taskset_scope(set)));
    return ait_taskset_wait(set);
}

static int all_done(void *userdata)
{
    SET(set);

    fill(set, &plain);
    CHECK_EQ(ait_sleep(MS(200)), 0);
    CHECK_EQ(ait_taskset_n_tasks(set), 0);
    CHECK_EQ(ait_taskset_cancel_and_wait(set), 0);
    CHECK(in_set(set, NULL, &plain) < 0);
    return 0;
}

struct object {
    ait_taskset *tasks;
};

static int object_life(uint64_t usec)
{
    struct object object;

    new_set(&object.tasks);
    fill(object.tasks, &plain);
    CHECK_EQ(ait_sleep(usec), 0);
    CHECK_EQ(ait_taskset_cancel_and_wait(object.tasks), 0);
    CHECK_EQ(ait_taskset_n_tasks(object.tasks), 0);
    object.tasks = ait_taskset_unref(object.tasks);
    trace("gone");
    return 0;
}

static int done_before_shutdown(void *userdata)
{
    return object_life(MS(200));
}

static int shut_down_while_they_run(void *userdata)
{
    return object_life(MS(50));
}

static int shut_down_at_490(void *userdata)
{
    AIT_CLEANUP(ait_taskset_unrefp) ait_taskset *set = ait_taskset_ref(userdata);

    CHECK_EQ(ait_sleep(MS(490)), 0);
    return ait_taskset_cancel_and_wait(set);
}

static int shut_down_by_another(void *userdata)
{
    static struct job jobs[10];
    SET(set);

    for (int i = 0; i < 10; i++) {
        jobs[i] = (struct job){"job", 100 * i};
        CHECK_EQ(in_set(set, NULL, &jobs[i]), 0);
    }
    CHECK_EQ(ait_task_spawn(NULL, shut_down_at_490, set, NULL), 0);
    CHECK_EQ(ait_taskset_wait(set), 0);
    trace("on");
    return 0;
}

static int shut_down_after_all(void *userdata)
{
    SET(set);

    fill(set, &plain);
    CHECK_EQ(ait_taskset_wait(set), 0);
    CHECK_EQ(ait_taskset_cancel_and_wait(set), 0);
    CHECK_EQ(ait_taskset_n_tasks(set), 0);
    CHECK_EQ(ait_taskset_cancel_and_wait(set), 0);
    return 0;
}

static int shut_down_before_they_begin(void *userdata)
{
    SET(set);

    fill(set, &plain);
    CHECK_EQ(ait_taskset_cancel_and_wait(set), 0);
    CHECK_EQ(ait_taskset_n_tasks(set), 0);
    return 0;
}

static int await_one(ait_taskset *set, const struct job *job)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *task = NULL;
    int result = 0;

    CHECK_EQ(in_set(set, &task, job), 0);
    CHECK_EQ(ait_task_wait(task, &result), 0);
    trace("result:%s", outcome(result));
    return 0;
}

static int await_result(void *userdata)
{
    SET(set);

    await_one(set, &plain);
    await_one(set, &plain);
    return ait_taskset_cancel_and_wait(set);
}

static int await_error(void *userdata)
{
    SET(set);

    await_one(set, &bad);
    await_one(set, &bad);
    CHECK_EQ(ait_taskset_cancel_and_wait(set), 0);
    CHECK_EQ(n_errors, 2);
    return 0;
}

static int errors_to_handler(void *userdata)
{
    SET(set);

    fill(set, &bad);
    CHECK_EQ(ait_taskset_wait(set), 0);
    CHECK_EQ(n_errors, N);
    return 0;
}

static int cleanup_on_shutdown(void *userdata)
{
    static const struct job job = {"job", 100, .cleanup_ms = 100};
    SET(set);

    fill(set, &job);
    CHECK_EQ(ait_sleep(MS(10)), 0);
    CHECK_EQ(ait_taskset_cancel_and_wait(set), 0);
    CHECK_EQ(ait_taskset_n_tasks(set), 0);
    return 0;
}

static const struct row rows[] = {
    {"set, names", .run = naming, .trace = "XYZ@0 ABC@0"},
    {"set, all done", .run = all_done, .trace = "job@100 job@100 job@100"},
    {"set of an object, done before shutdown", .run = done_before_shutdown,
     .trace = "job@100 job@100 job@100 gone@200"},
    {"set of an object, shut down while they run", .run = shut_down_while_they_run,
     .trace = "job-cancelled@50 job-cancelled@50 job-cancelled@50 gone@50"},
    {"set, shut down by another task", .run = shut_down_by_another,
     .trace = "job@0 job@100 job@200 job@300 job@400 job-cancelled@490 job-cancelled@490 "
              "job-cancelled@490 job-cancelled@490 job-cancelled@490 on@490"},
    {"set, shut down after all", .run = shut_down_after_all, .trace = "job@100 job@100 job@100"},
    {"set, shut down before they begin", .run = shut_down_before_they_begin, .trace = ""},
    {"set, a task's result", .run = await_result,
     .trace = "job@100 result:5@100 job@200 result:5@200"},
    {"set, a task's error", .run = await_error,
     .trace = "bad@100 result:EIO@100 bad@200 result:EIO@200"},
    {"set, errors to the handler", .run = errors_to_handler, .trace = "bad@100 bad@100 bad@100"},
    {"set, cleanup on shutdown", .run = cleanup_on_shutdown,
     .trace = "job-cancelled@10 job-cancelled@10 job-cancelled@10 job-cleaned@110 job-cleaned@110 "
              "job-cleaned@110"},
};

int main(void)
{
    return conformance_run("conformance-taskset", rows, ELEMENTS(rows));
}
