/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All processes of one worker: found, killed, reaped.
 *
 * A worker leads a session and a process group of its own. What it starts is recognised by that session or
 * group, by the token in its environment (daemons that called setsid), and by descent from anything recognised. A
 * daemon that has emptied its environment as well is nobody's: the supervisor finds it as an orphan when the server ends.
 *
 * The supervisor looks at its own descendants only (/proc/PID/task/TID/children; all of /proc where the kernel
 * lacks that file); the guardian, which is nobody's ancestor, at all of /proc.
 *
 * Invariants:
 *  - Nothing here blocks: a pass over the processes returns how many are left, and the caller comes back.
 *  - Signals go through pidfds, after the start time was compared: a reused number is spared. To the group they go
 *    only while the leader is the caller's own child and not reaped: it then keeps its number.
 *
 * Ownership: a guardian_tree is a plain value, copied freely.
 *
 * What this is not: graceful stopping. That is a signal to the leader's pidfd, sent by the supervisor. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/environment.h"

struct guardian_tree {
    pid_t pid;      /* leader = process group = session */
    uint64_t start; /* the leader's start time in clock ticks, 0: unknown */
    char token[SPAWN_TOKEN_SIZE];
};

/* Tells a child that the caller looks after itself: a living worker, the guardian, a companion. */
typedef bool (*guardian_known_fn)(pid_t pid, void *userdata);

/* Sends SIGKILL to everything that is left of the worker, and reaps those that were reparented to the caller
 * (a subreaper); the leader is killed too where it lives, but never reaped: that is for whoever holds its pidfd.
 * Returns how many processes it still saw alive: 0 means that no further pass is needed. Call it before the
 * leader is reaped, so that its group goes at once, then every few milliseconds until it returns 0 (a process in an
 * uninterruptible sleep takes its time: bound it). Children that is_known() claims are passed over unread, with all
 * their descendants, the tree's own leader and group excepted; it may be NULL. Where nothing is left the cost is two
 * small file reads, however many children are known. */
ssize_t guardian_tree_kill(const struct guardian_tree *tree, guardian_known_fn is_known, void *userdata);

/* Children of the calling process that is_known() does not claim: orphans, reparented to us. Dead ones are reaped;
 * living ones are killed where kill_them is set (when the server ends, and every worker is gone). Returns how many
 * live ones there are. Call it on SIGCHLD. */
ssize_t guardian_reap_orphans(guardian_known_fn is_known, void *userdata, bool kill_them);

/* prctl(PR_SET_CHILD_SUBREAPER). */
int guardian_become_subreaper(void);
