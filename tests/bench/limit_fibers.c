/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bare.h"
#include "limit.h"

#include <errno.h>

#define YIELD() bare_yield()
#include "sites.h"

static uint64_t done;

static void yield_and_end(void *argument)
{
    (void)argument;
    bare_yield();
    done++;
}

static void end_at_once(void *argument)
{
    (void)argument;
    done++;
}

int limit_spawn_live(struct bench *b)
{
    int r = bare_init(b->n);

    for (unsigned s = 0; r >= 0 && s < b->samples; s++) {
        bench_begin(b);
        for (uint64_t k = 0; k < b->repeats; k++) {
            for (uint64_t i = 0; i < b->n; i++)
                bare_spawn(yield_and_end, NULL);
            bare_run();
        }
        bench_end(b, b->n * b->repeats);
    }
    return r;
}

int limit_spawn_end(struct bench *b)
{
    int r = bare_init(1);

    for (unsigned s = 0; r >= 0 && s < b->samples; s++) {
        bench_begin(b);
        for (uint64_t k = 0; k < b->repeats; k++) {
            bare_spawn(end_at_once, NULL);
            bare_run();
        }
        bench_end(b, b->repeats);
    }
    return r;
}

static void run_body(void *argument)
{
    (*(void (*const *)(void))argument)();
}

/* n fibers yield `repeats` times each, fiber i in body i of a table of `bodies`. */
static int yield_in(struct bench *b, void (*const *table)(void), uint64_t bodies)
{
    int r = bare_init(b->n);

    sites_rounds = b->repeats;
    for (unsigned s = 0; r >= 0 && s < b->samples; s++) {
        for (uint64_t i = 0; i < b->n; i++)
            bare_spawn(run_body, (void *)&table[i % bodies]);
        bench_begin(b);
        bare_run();
        bench_end(b, b->n * b->repeats);
    }
    return r;
}

int limit_switch_same(struct bench *b)
{
    static void (*const table[])(void) = {sites_same};

    return yield_in(b, table, 1);
}

int limit_switch_sites(struct bench *b)
{
    return yield_in(b, sites_table, SITES_FUNCTIONS);
}

int limit_switch_deep(struct bench *b)
{
    static void (*const table[])(void) = {sites_deep};

    return yield_in(b, table, 1);
}

static void park(void *argument)
{
    struct bare_fiber **place = argument;

    *place = bare_current;
    bare_suspend();
    done++;
}

static struct bare_fiber **parked;

static int park_all(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        bare_spawn(park, &parked[i]);
    bare_run();
    return 0;
}

static int prepare_parking(uint64_t n)
{
    static struct bare_fiber *places[1 << 20];

    parked = places;
    return n > 1 << 20 ? -E2BIG : bare_init(n);
}

int limit_park(struct bench *b)
{
    struct bench_memory before, after;
    int r = prepare_parking(b->n);

    if (r < 0 || (r = bench_memory(&before)) < 0)
        return r;
    park_all(b->n);
    r = bench_memory(&after);
    if (r < 0)
        return r;
    bench_value("resident_bytes", (double)(after.resident - before.resident) / (double)b->n);
    bench_value("table_bytes", (double)(after.page_tables - before.page_tables) / (double)b->n);
    bench_value("mappings", (double)after.mappings);
    return 0;
}

int limit_cancel(struct bench *b)
{
    int r = prepare_parking(b->n);

    for (unsigned s = 0; r >= 0 && s < b->samples; s++) {
        park_all(b->n);
        bench_begin(b);
        for (uint64_t i = 0; i < b->n; i++)
            bare_make_ready(parked[i]);
        bare_run();
        bench_end(b, b->n);
    }
    return r;
}
