/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * From paths, ports and a wish for a scope to a Landlock ruleset.
 *
 * The constants are our own: Debian's header knows ABI 2, kernels are at 7 and beyond. What the kernel has is asked at run time, and a right is named only
 * where the ABI has it. A ruleset is made once; any number of processes can restrict themselves with it.
 *
 * Who is in a ruleset cannot look into processes outside of it (ptrace, /proc/PID/mem). Where a scope is asked for and the kernel has none (ABI 2 to 5),
 * and nothing else makes a ruleset, there is one for that alone, which allows what it handles: devices to be made, files to be moved between
 * directories. With ABI 1 it would refuse these moves, and there is none.
 *
 * The caller owns the descriptor. Nothing here restricts anybody: see enter.c.
 *
 * What Landlock does not do: it does not stop connect() to a unix socket with a path, UDP, stat(), chdir() and access() of any path, nor what is
 * done with descriptors that are open already.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aiotools-sd/sandbox.h>

#define LANDLOCK_ABI_NEWEST 7 /* that we know what to do with */

#define LANDLOCK_RESTRICT_LOG_NEW_EXEC                                                                       \
    (1U << 1) /* ABI 7: denials are told to the audit log after an exec, too */

struct landlock_result {
    int fd;            /* -1: there was nothing to restrict */
    unsigned flags;    /* for landlock_restrict_self() */
    bool signals;      /* reach nobody outside */
    char text[160];    /* what is in force: "files, TCP ports, scope", "ptrace"; empty: nothing */
    char lacking[160]; /* what this kernel cannot restrict; empty: nothing */
};

/* What this kernel has, 0 to LANDLOCK_ABI_NEWEST; 0: no Landlock, or an outer sandbox is in the way. */
int landlock_abi(void);

/* abi: from landlock_abi(), or less. -EOPNOTSUPP: an option needs more than that; -ENOENT and others: a path. problem may be NULL. */
int landlock_make(const ait_sandbox_options *options, int abi, struct landlock_result *ret,
                  ait_sandbox_problem *problem);
