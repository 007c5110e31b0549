/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEST_FAIL_ALLOC_H
#define TEST_FAIL_ALLOC_H

/*
 * Memory that runs out: the n-th allocation from here on fails, and each after it. For tests that are linked with the library's objects and
 * with -Wl,--wrap for malloc, calloc and realloc, so that libc and cmocka keep theirs.
 */

#include <stdbool.h>

/* The n-th from now (0: the next) and all after it fail. */
void fail_alloc_begin(unsigned n);
/* Memory is back. Returns whether any allocation has failed. */
bool fail_alloc_end(void);

#endif
