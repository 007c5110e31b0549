/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Counts the allocations of the library and makes one of them fail: for binaries that link its
 * objects with -Wl,--wrap of each function in alloc.c. Mappings (stacks) count, too.
 */

/* The n-th allocation from here on fails, counted from 1; 0: none. Begins to count anew. */
void alloc_fail_at(unsigned n);
/* How many there have been. */
unsigned alloc_count(void);
