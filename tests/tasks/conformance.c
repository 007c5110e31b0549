/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "conformance.h"

static char traced[4096];

void trace(const char *format, ...)
{
    size_t n = strlen(traced);
    va_list ap;

    va_start(ap, format);
    n += (size_t)vsnprintf(traced + n, sizeof(traced) - n, format, ap);
    va_end(ap);
    snprintf(traced + n, sizeof(traced) - n, "@%d ", now_ms());
}

const char *outcome(int r)
{
    static char figures[16];

    if (r < 0)
        return strerrorname_np(-r);
    snprintf(figures, sizeof(figures), "%d", r);
    return figures;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static int clean_up(const struct job *job, int r)
{
    AIT_SCOPE(shield);

    trace("%s-cancelled", job->name);
    if (job->cleanup_ms == 0)
        return r;
    CHECK_EQ(ait_scope_enter(&shield, AIT_SCOPE_SHIELD), 0);
    CHECK_EQ(ait_sleep(MS(job->cleanup_ms)), 0);
    trace("%s-cleaned", job->name);
    CHECK_EQ(ait_scope_exit(shield, 0), 0);
    return job->cleanup_ret ? job->cleanup_ret : r;
}

int job_main(void *userdata)
{
    const struct job *job = userdata;

    int r = ait_sleep(MS(job->ms));

    if (r < 0)
        return clean_up(job, r);
    trace("%s", job->name);
    return job->ret;
}

void job_spawn(ait_scope *scope, ait_task **ret_task, const struct job *job)
{
    int r = ait_scope_spawn(scope, ret_task, job_main, (void *)(uintptr_t)job,
                            AIT_TASK_OPTIONS(.name = job->name));

    CHECK_EQ(r, 0);
}

/* ---- plans ----------------------------------------------------------------------------------- */

static void trace_error(ait_scope *scope, const ait_error_info *info, void *userdata)
{
    trace("handler:%s:%s", info->name, outcome(info->error));
}

static int plan_body(const struct plan *plan)
{
    int r = plan->ms ? ait_sleep(MS(plan->ms)) : 0;

    if (r >= 0 && plan->ms)
        trace("body");
    if (r >= 0 && plan->ms_more) {
        r = ait_sleep(MS(plan->ms_more));
        if (r >= 0)
            trace("body-more");
    }
    return r < 0 ? r : plan->ret;
}

static void trace_errors(ait_scope *scope)
{
    const ait_error_info *error;

    for (size_t i = 0; (error = ait_scope_error(scope, i)); i++)
        trace("error:%s:%s", error->name, outcome(error->error));
}

static int plan_scope(const struct plan *plan)
{
    AIT_SCOPE(s);
    uint64_t after = plan->after ? MS(plan->after) : AIT_USEC_INFINITY;

    CHECK_EQ(ait_scope_enter_after(&s, plan->flags, after), 0);
    CHECK_EQ(ait_scope_set_error_handler(s, trace_error, NULL), 0);
    for (const struct job *job = plan->jobs; job->name; job++)
        job_spawn(s, NULL, job);
    int r = ait_scope_exit(s, plan_body(plan));
    trace("exit:%s", outcome(r));
    trace_errors(s);
    return r;
}

static int plan_outer(const struct plan *plan)
{
    AIT_SCOPE(s);

    if (!plan->outer_after)
        return plan_scope(plan);
    CHECK_EQ(ait_scope_enter_after(&s, 0, MS(plan->outer_after)), 0);
    int r = plan_scope(plan);
    if (r >= 0 && plan->outer_checks)
        r = ait_check_cancel();
    r = ait_scope_exit(s, r);
    trace("outer:%s", outcome(r));
    return r;
}

static int plan_main(void *userdata)
{
    const struct plan *plan = userdata;

    int r = plan_outer(plan);
    if (r >= 0 && plan->tail_ms && (r = ait_sleep(MS(plan->tail_ms))) >= 0)
        trace("tail");
    return r;
}

struct third_party {
    ait_task *target;
    const struct plan *plan;
};

static int third_party_main(void *userdata)
{
    struct third_party *party = userdata;

    CHECK_EQ(ait_sleep(MS(party->plan->more_at)), 0);
    for (int i = 0; i < party->plan->more_of; i++)
        ait_task_cancel(party->target);
    return 0;
}

static int plan_run(const struct plan *plan)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *target = NULL;
    struct third_party party = {.plan = plan};
    int result = 0;

    CHECK_EQ(ait_task_spawn(&target, plan_main, (void *)(uintptr_t)plan, NULL), 0);
    party.target = target;
    if (plan->more_of)
        CHECK_EQ(ait_task_spawn(NULL, third_party_main, &party, NULL), 0);
    if (plan->cancel_at) {
        CHECK_EQ(ait_sleep(MS(plan->cancel_at)), 0);
        int r = ait_cancel_and_wait(target, &result);
        trace("waited:%s", outcome(r));
    } else
        CHECK_EQ(ait_task_wait(target, &result), 0);
    trace("result:%s", outcome(result));
    return 0;
}

/* ---- levels ---------------------------------------------------------------------------------- */

struct nest {
    const struct row *row;
    size_t i;
};

static int nest_main(void *userdata);

static int nest_inner(const struct nest *here, ait_scope *scope, struct nest *next)
{
    bool last = next->i == MAX_LEVELS || !here->row->levels[next->i].used;

    if (here->row->by_tasks)
        return last ? 0 : ait_scope_spawn(scope, NULL, nest_main, next, NULL);
    int r = ait_sleep(MS(100));
    if (r < 0)
        return r;
    if (last)
        return 0;
    r = nest_main(next);
    return r < 0 ? r : ait_sleep(MS(100));
}

static int nest_main(void *userdata)
{
    const struct nest *here = userdata;
    const struct level *level = &here->row->levels[here->i];
    struct nest next = {here->row, here->i + 1};
    char name[16];
    struct job child = {.name = name, .ms = level->child_ms};
    AIT_SCOPE(s);

    snprintf(name, sizeof(name), "child%zu", here->i);
    trace("begin%zu", here->i);
    CHECK_EQ(ait_scope_enter(&s, level->flags), 0);
    if (level->child_ms)
        job_spawn(s, NULL, &child);
    int r = nest_inner(here, s, &next);
    if (r >= 0)
        trace("end%zu", here->i);
    r = ait_scope_exit(s, r);
    if (here->row->by_tasks && r >= 0 && (r = ait_sleep(MS(100))) >= 0)
        trace("after%zu", here->i);
    return r;
}

static int levels_main(void *userdata)
{
    struct nest top = {userdata, 0};

    int r = nest_main(&top);
    if (r >= 0 && (r = ait_sleep(MS(100))) >= 0)
        trace("tail");
    return r;
}

static int levels_run(const struct row *row)
{
    AIT_CLEANUP(ait_task_unrefp) ait_task *target = NULL;
    int result = 0;

    CHECK_EQ(ait_task_spawn(&target, levels_main, (void *)(uintptr_t)row, NULL), 0);
    CHECK_EQ(ait_sleep(MS(row->cancel_at)), 0);
    CHECK_EQ(ait_cancel_and_wait(target, &result), 0);
    trace("result:%s", outcome(result));
    return 0;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static int row_main(void *userdata)
{
    const struct row *row = userdata;

    if (row->plan)
        return plan_run(row->plan);
    return row->run ? row->run(NULL) : levels_run(row);
}

static int compare_words(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    int at = atoi(strrchr(x, '@') + 1) - atoi(strrchr(y, '@') + 1);

    return at ? at : strcmp(x, y);
}

/* A seed shuffles what happens at the same moment: then only the moments are compared. */
static void sort_words(char *text)
{
    char copy[sizeof(traced)], *words[256], *rest = copy;
    size_t n = 0;

    snprintf(copy, sizeof(copy), "%s", text);
    for (char *word; (word = strsep(&rest, " "));)
        if (*word && n < ELEMENTS(words))
            words[n++] = word;
    qsort(words, n, sizeof(*words), compare_words);
    for (size_t i = 0; i < n; i++)
        text += sprintf(text, i ? " %s" : "%s", words[i]);
}

static void row_test(void **state)
{
    const struct row *row = *state;
    char wanted[sizeof(traced)];
    size_t n;

    traced[0] = '\0';
    CHECK_EQ(run_virtual(row_main, (void *)(uintptr_t)row), 0);
    n = strlen(traced);
    if (n > 0)
        traced[n - 1] = '\0';
    snprintf(wanted, sizeof(wanted), "%s", row->trace);
    if (getenv("AIT_SHUFFLE")) {
        sort_words(traced);
        sort_words(wanted);
    }
    if (strcmp(traced, wanted) != 0)
        print_message("got  \"%s\"\nwant \"%s\"\n", traced, wanted);
    assert_string_equal(traced, wanted);
    check_assert();
}

int conformance_run(const char *group, const struct row *rows, size_t n)
{
    struct CMUnitTest *tests = calloc(n, sizeof(*tests));
    int r;

    if (!tests)
        return EXIT_FAILURE;
    for (size_t i = 0; i < n; i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = row_test,
                                       .initial_state = (void *)(uintptr_t)&rows[i]};
    r = _cmocka_run_group_tests(group, tests, n, NULL, NULL);
    free(tests);
    return r;
}
