/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of the library share: cmocka, checks that may be made inside tasks, and loops to
 * run them on.
 *
 * cmocka's assertions leave by longjmp(), which a task must not do. CHECK() prints and counts
 * instead; the run_*() functions fail the test from the outside afterwards. Library functions are
 * reached through the public headers; a white-box test includes internals itself.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aiotools-sd/aiotools-sd.h>

#define MS(n)         ((uint64_t)(n)*AIT_USEC_PER_MSEC)
#define ELEMENTS(a)   (sizeof(a) / sizeof(*(a)))
#define TEST_START_US AIT_USEC_PER_SEC /* where a virtual clock begins */

extern unsigned check_failures;

bool check_failed(const char *file, int line, const char *what, long long got, long long want);

#define CHECK(cond) ((cond) ? true : check_failed(__FILE__, __LINE__, #cond, 0, 1))
#define CHECK_EQ(a, b)                                                                             \
    ({                                                                                             \
        long long got_ = (long long)(a), want_ = (long long)(b);                                   \
        got_ == want_ ? true : check_failed(__FILE__, __LINE__, #a " == " #b, got_, want_);        \
    })

/* Fails the running test where a CHECK() has failed since the last call. Only outside tasks. */
void check_assert(void);

/* Runs fn as the only first task of a new owned loop until no task is left; returns its result.
 * Virtual: with a clock that jumps. */
int run_virtual(ait_task_fn fn, void *userdata);
int run_real(ait_task_fn fn, void *userdata);

/*
 * Whether AIT_SHUFFLE=SEED permutes what is ready at the same moment: then who goes first is
 * nobody's promise. check_settle() lets all that is ready now run once, also where it stands behind
 * the caller in the next round. Returns what ait_yield() does.
 */
bool check_shuffled(void);
int check_settle(void);

/* How many threads of that name this process has. */
unsigned check_n_threads(const char *name);

/* Milliseconds since the virtual clock's start. */
int now_ms(void);

/* How often the loop's root error handler was called since the last run began; run_*() install it.
 */
extern unsigned check_handled;
