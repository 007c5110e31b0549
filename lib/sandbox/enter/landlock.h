/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Makes a Landlock ruleset from paths, ports and a flag for a scope.
 *
 * The constants are our own: Debian's header knows ABI 2, while kernels are at 7 and later. The
 * kernel's ABI is queried at run time, and a right is named only if the ABI has it. A ruleset is
 * made once; any number of processes can restrict themselves with it.
 *
 * A process inside a ruleset cannot inspect processes outside it (ptrace, /proc/PID/mem). If a
 * scope is requested, the kernel has none (ABI 2 to 5), and nothing else needs a ruleset, a ruleset
 * is made for that purpose alone. It allows what it handles: making devices, and moving files
 * between directories. With ABI 1 it would refuse these moves, so none is made.
 *
 * The caller owns the descriptor. Nothing here restricts a process: see enter.c.
 *
 * What Landlock does not do: it does not stop connect() to a unix socket with a path, UDP, or
 * stat(), chdir() and access() of any path, and it does not affect descriptors that are already
 * open.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aiotools-sd/sandbox.h>

#define LANDLOCK_ABI_NEWEST 7 /* the newest that is supported here */

#define LANDLOCK_RESTRICT_LOG_NEW_EXEC                                                             \
    (1U << 1) /* ABI 7: denials are also reported to the audit log after an exec */

struct landlock_result {
    int fd;            /* -1: nothing was to be restricted */
    unsigned flags;    /* for landlock_restrict_self() */
    bool signals;      /* cannot be sent to processes outside */
    char text[160];    /* what is in force: "files, TCP ports, scope", "ptrace"; empty: nothing */
    char lacking[160]; /* what this kernel cannot restrict; empty: nothing */
};

/* The kernel's ABI, 0 to LANDLOCK_ABI_NEWEST. 0: no Landlock, or an outer sandbox denies it. */
int landlock_abi(void);
/* Below, files can be truncated by their paths. */
bool landlock_sees_truncation(int abi);
/* Whether an outer sandbox is why there is none, and not the kernel's age or how it was booted. */
bool landlock_is_refused(void);

/*
 * abi: from landlock_abi(), or less. -EOPNOTSUPP: an option needs more than that; -ENOENT and
 * others: a path. problem may be NULL.
 */
int landlock_make(const ait_sandbox_options *options, int abi, struct landlock_result *ret,
                  ait_sandbox_problem *problem);
