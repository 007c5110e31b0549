/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The bodies of the switch rows, the same for the library and for the bare fibers: YIELD() is
 * defined by who includes this. A switch that always happens at one place is predicted perfectly
 * and flatters; sixteen functions with four places each, and calls sixteen frames deep whose
 * returns were predicted for another stack, are what programs do.
 */

#include <stdint.h>

#define SITES_FUNCTIONS 16
#define SITES_DEPTH     16

static uint64_t sites_rounds; /* yields of each task */

/* The empty instructions keep the compiler from merging the functions or their yields. */
#define SITES_PLACE(i) __asm__ volatile("" : : "i"(i))
#define SITES_FUNCTION(i)                                                                          \
    static __attribute__((noinline)) void sites_##i(void)                                          \
    {                                                                                              \
        for (uint64_t k = 0; k < sites_rounds; k += 4) {                                           \
            YIELD();                                                                               \
            SITES_PLACE(4 * i);                                                                    \
            YIELD();                                                                               \
            SITES_PLACE(4 * i + 1);                                                                \
            YIELD();                                                                               \
            SITES_PLACE(4 * i + 2);                                                                \
            YIELD();                                                                               \
            SITES_PLACE(4 * i + 3);                                                                \
        }                                                                                          \
    }

SITES_FUNCTION(0)
SITES_FUNCTION(1)
SITES_FUNCTION(2)
SITES_FUNCTION(3)
SITES_FUNCTION(4)
SITES_FUNCTION(5)
SITES_FUNCTION(6)
SITES_FUNCTION(7)
SITES_FUNCTION(8)
SITES_FUNCTION(9)
SITES_FUNCTION(10)
SITES_FUNCTION(11)
SITES_FUNCTION(12)
SITES_FUNCTION(13)
SITES_FUNCTION(14)
SITES_FUNCTION(15)

static void (*const sites_table[SITES_FUNCTIONS])(void) = {
    sites_0, sites_1, sites_2,  sites_3,  sites_4,  sites_5,  sites_6,  sites_7,
    sites_8, sites_9, sites_10, sites_11, sites_12, sites_13, sites_14, sites_15,
};

static void sites_same(void)
{
    for (uint64_t k = 0; k < sites_rounds; k++)
        YIELD();
}

/* A call of its own: a switch that is inlined into the recursion would have all registers saved in
 * each frame. */
static __attribute__((noinline)) void sites_bottom(void)
{
    YIELD();
    SITES_PLACE(-1);
}

static __attribute__((noinline)) unsigned sites_descend(unsigned depth)
{
    volatile unsigned frame = depth;

    if (depth > 0)
        frame += sites_descend(depth - 1);
    else
        sites_bottom();
    return frame;
}

static void sites_deep(void)
{
    for (uint64_t k = 0; k < sites_rounds; k++)
        sites_descend(SITES_DEPTH);
}
