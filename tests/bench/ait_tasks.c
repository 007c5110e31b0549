/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ait.h"

#include <aiotools-sd/scope.h>
#include <aiotools-sd/task.h>

#define YIELD() ((void)ait_yield())
#include "sites.h"

static int yield_and_end(void *userdata)
{
    (void)userdata;
    return ait_yield();
}

static int end_at_once(void *userdata)
{
    (void)userdata;
    return 0;
}

static int sleep_long(void *userdata)
{
    (void)userdata;
    return ait_sleep(3600 * AIT_USEC_PER_SEC);
}

/* n tasks into scope, live from here on. */
static int spawn_many(ait_scope *scope, uint64_t n, ait_task_fn fn)
{
    int r = 0;

    for (uint64_t i = 0; r >= 0 && i < n; i++)
        r = ait_scope_spawn(scope, NULL, fn, NULL, NULL);
    return r;
}

static int spawn_and_join(uint64_t n, ait_task_fn fn)
{
    AIT_SCOPE(scope);
    int r;

    r = ait_scope_enter(&scope, 0);
    if (r < 0)
        return r;
    return ait_scope_exit(scope, spawn_many(scope, n, fn));
}

int ait_spawn_live(struct bench *b)
{
    int r = spawn_and_join(b->n, yield_and_end); /* stacks are there from now on */

    for (unsigned s = 0; r >= 0 && s < b->samples; s++) {
        bench_begin(b);
        for (uint64_t k = 0; r >= 0 && k < b->repeats; k++)
            r = spawn_and_join(b->n, yield_and_end);
        bench_end(b, b->n * b->repeats);
    }
    return r;
}

static int spawn_and_wait(void)
{
    ait_task *task;
    int r, result;

    r = ait_task_spawn(&task, end_at_once, NULL, NULL);
    if (r < 0)
        return r;
    r = ait_task_wait(task, &result);
    ait_task_unref(task);
    return r;
}

int ait_spawn_end(struct bench *b)
{
    int r = 0;

    for (unsigned s = 0; r >= 0 && s < b->samples; s++) {
        bench_begin(b);
        for (uint64_t k = 0; r >= 0 && k < b->repeats; k++)
            r = spawn_and_wait();
        bench_end(b, b->repeats);
    }
    return r;
}

static int run_body(void *userdata)
{
    (*(void (*const *)(void))userdata)();
    return 0;
}

/* n tasks yield `repeats` times each, task i in body i of a table of `bodies`. */
static int yield_in(struct bench *b, void (*const *table)(void), uint64_t bodies)
{
    AIT_SCOPE(scope);
    int r;

    r = ait_scope_enter(&scope, 0);
    for (uint64_t i = 0; r >= 0 && i < b->n; i++)
        r = ait_scope_spawn(scope, NULL, run_body, (void *)&table[i % bodies], NULL);
    if (r < 0)
        return r;
    bench_begin(b);
    r = ait_scope_exit(scope, 0);
    bench_end(b, b->n * b->repeats);
    return r;
}

static int yield_samples(struct bench *b, void (*const *table)(void), uint64_t bodies)
{
    int r = 0;

    sites_rounds = b->repeats;
    for (unsigned s = 0; r >= 0 && s < b->samples; s++)
        r = yield_in(b, table, bodies);
    return r;
}

int ait_switch_same(struct bench *b)
{
    static void (*const table[])(void) = {sites_same};

    return yield_samples(b, table, 1);
}

int ait_switch_sites(struct bench *b)
{
    return yield_samples(b, sites_table, SITES_FUNCTIONS);
}

int ait_switch_deep(struct bench *b)
{
    static void (*const table[])(void) = {sites_deep};

    return yield_samples(b, table, 1);
}

static int measure_parked(struct bench *b, ait_scope *scope)
{
    struct bench_memory before, after;
    int r;

    r = bench_memory(&before);
    if (r >= 0)
        r = spawn_many(scope, b->n, sleep_long);
    if (r >= 0)
        r = ait_yield(); /* each begins, and parks */
    if (r >= 0)
        r = bench_memory(&after);
    if (r < 0)
        return r;
    bench_value("resident_bytes", (double)(after.resident - before.resident) / (double)b->n);
    bench_value("table_bytes", (double)(after.page_tables - before.page_tables) / (double)b->n);
    bench_value("mappings", (double)after.mappings);
    return 0;
}

int ait_park(struct bench *b)
{
    AIT_SCOPE(scope);
    int r;

    r = ait_scope_enter(&scope, 0);
    if (r < 0)
        return r;
    r = measure_parked(b, scope);
    ait_scope_cancel(scope);
    return ait_scope_exit(scope, r);
}

static int cancel_once(struct bench *b)
{
    AIT_SCOPE(scope);
    int r;

    r = ait_scope_enter(&scope, 0);
    if (r >= 0)
        r = spawn_many(scope, b->n, sleep_long);
    if (r >= 0)
        r = ait_yield();
    if (r < 0)
        return r;
    bench_begin(b);
    ait_scope_cancel(scope);
    r = ait_scope_exit(scope, 0);
    bench_end(b, b->n);
    return r;
}

int ait_cancel(struct bench *b)
{
    int r = 0;

    for (unsigned s = 0; r >= 0 && s < b->samples; s++)
        r = cancel_once(b);
    return r;
}

static int sleep_some(void *userdata)
{
    static uint32_t seed = 1;

    (void)userdata;
    return ait_sleep(1000 + bench_random(&seed) % 99000);
}

int ait_timers(struct bench *b)
{
    int r = 0;

    for (unsigned s = 0; r >= 0 && s < b->samples; s++) {
        bench_begin(b);
        r = spawn_and_join(b->n, sleep_some);
        bench_end_as(b, b->n, s == 0 ? "cold_" : "");
    }
    return r;
}
