/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A way out: what it is called, and a try of it. */

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NOWHERE  "/nonexistent/escapes"
#define HIGH     (UINT64_C(0xdead0000) << 32)
#define NOT_HERE 1000 /* what a way returns where there is nothing to try */
#define PASSED   1001 /* it is for others to see whether that helped */

struct way {
    const char *name;
    int (*try)(void); /* 0, or the errno */
};

/* What root can do to files (escapes-files.c). */
extern const struct way file_ways[];
extern const size_t n_file_ways;

extern pid_t victim;

static inline int said(long r)
{
    return r < 0 ? errno : 0;
}
/* The path has the number of a process in it. */
int opened(const char *format, pid_t pid, int flags);
