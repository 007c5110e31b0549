/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A finished sandbox: what ait_sandbox_new() has prepared, and what a process needs to enter it.
 *
 * Invariants:
 * - Complete or absent, and constant once ait_sandbox_new() has returned; only the reference count
 *   changes.
 * - Everything whose failure can be repaired has already happened. Entering makes raw system calls
 *   with values that are stored here, allocates nothing and reads no file. It may run in a child
 *   that shares its parent's memory.
 * - The order of entering is fixed. First half: mounts (need CAP_SYS_ADMIN, and no Landlock),
 *   bounding set (needs CAP_SETPCAP), no_new_privs, Landlock (needs its descriptor, and
 *   no_new_privs). Second half: capabilities, then the filters,
 *   so that they need not allow any of the calls before.
 *
 * Ownership: the sandbox owns its filter, the ruleset's descriptor (CLOEXEC, never below 3) and the
 * text, and holds a reference to the policy. All of it must outlive every process that is about to
 * enter.
 *
 * What this is not: it answers no notifications (explainer.c), and knows nothing of servers and
 * workers.
 */

#include <linux/filter.h>
#include <stdbool.h>

#include <aiotools-sd/sandbox.h>

#include "filter/compile.h"
#include "filter/connect-filter.h"
#include "mounts.h"

#define SANDBOX_TEXT_MAX 768

struct ait_sandbox {
    unsigned refs;
    ait_policy *policy; /* NULL: none */
    ait_sandbox_deny deny;
    unsigned flags;
    uint64_t capabilities;                                 /* what is kept; UINT64_MAX: untouched */
    struct sandbox_filter filter;                          /* program NULL: no filter */
    struct sock_filter connect_filter[CONNECT_FILTER_MAX]; /* loaded first */
    size_t n_connect_filter;
    unsigned filter_flags; /* SECCOMP_FILTER_FLAG_... of the main filter */
    struct mounts mounts;
    int ruleset; /* Landlock's; -1: none */
    unsigned restrict_flags;
    char text[SANDBOX_TEXT_MAX];
};
