/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The supervisor and its guardian come before the workers: workers that use all CPUs or all memory
 * must not keep them from answering, replacing and ending workers.
 *
 * Where the supervisor may, it takes a better nice value, one for its session where that has an
 * autogroup of its own, and as root a place behind the workers for the OOM killer. Where it may
 * not, nothing changes and nothing is said. Workers get back what they would have had:
 * setpriority() and oom_score_adj of before, and a session, hence an autogroup, of their own.
 */

#include <stdbool.h>

#define PRIORITY_NICE (-10) /* relative to what it was */
#define PRIORITY_OOM  (-900)

struct priority {
    bool raised; /* nice is what it was */
    int nice;
    char oom_score_adj[8]; /* what it was; "": unchanged */
};

/* Of the calling process, whose children inherit it. */
void priority_raise(struct priority *ret);
/* If the calling process leads a session. */
void priority_raise_session(void);

/* The file is /proc/self/oom_score_adj. Returns whether it was changed; then the value of before.
 */
bool priority_lower_oom(const char *path, char ret[static 8]);
