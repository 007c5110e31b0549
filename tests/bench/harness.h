/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What all benchmark programs share: a table of rows, options, samples.
 *
 *     bench-ait ROW [-g] [-n SIZE] [-r REPEATS] [-s SAMPLES]
 *
 * A row does its work SAMPLES times; each sample is put between bench_begin() and bench_end(),
 * which print lines of `key value` on stdout: nanoseconds an operation, of CPU (user and system,
 * all threads) and of the wall. run.py reads them. The cost of one sample in instructions is the
 * difference of two runs that differ in SAMPLES alone, so nothing here needs to be kept out of the
 * count. It is not a framework: what a row means is in the row's own function.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench {
    uint64_t n;       /* tasks, connections, timers: what the row calls its size */
    uint64_t repeats; /* of the row's loop inside one sample */
    unsigned samples;
    bool guest; /* inside a foreign sd_event_loop() */
    uint64_t cpu0, wall0;
};

struct bench_row {
    const char *name;
    int (*run)(struct bench *b);
};

/* Ends the process with a message where the arguments are wrong. */
const struct bench_row *bench_parse(struct bench *b, const struct bench_row *rows, int argc,
                                    char **argv);

uint64_t bench_cpu_ns(void);
uint64_t bench_wall_ns(void);

void bench_begin(struct bench *b);
void bench_end(struct bench *b, uint64_t operations);
/* The same under another name than "cpu_ns" and "wall_ns". */
void bench_end_as(struct bench *b, uint64_t operations, const char *prefix);
void bench_value(const char *key, double value);

/* Resident bytes and page-table bytes of this process, and its number of mappings. */
struct bench_memory {
    uint64_t resident, page_tables, mappings;
};
int bench_memory(struct bench_memory *ret);

/* Cheap and the same everywhere: the rows must not differ by their random numbers. */
static inline uint32_t bench_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* A listening TCP socket on 127.0.0.1, non-blocking; announces itself as "port N". */
int bench_listen(void);

/* Makes this process so large, in small pages that are all there. */
int bench_grow(uint64_t mebibytes);

/* The two eventfds of a ping-pong: who reads one writes the other, and exactly one is ready at any
 * time. */
int bench_pingpong_fds(int fds[static 2]);
