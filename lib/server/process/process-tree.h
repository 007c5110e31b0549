/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * All processes of one worker: finding, killing and reaping them.
 *
 * A worker leads a session and a process group of its own. Its processes are its descendants. What
 * has lost its parent is a child of the supervisor, an orphan, and is recognised by that session or
 * group, or by the token in its environment. An orphan that has cleared all marks is a stray. A
 * tree that claims strays claims each one that is younger than its leader and that no other living
 * worker can prove to be its own. So a stray ends with the worker that ends next, at the latest
 * with its own, and nobody gains by clearing marks.
 *
 * Only own descendants are looked at (/proc/PID/task/TID/children, or all of /proc if the kernel
 * lacks that file). Children in the caller's own session are helpers of its own: no worker can get
 * there.
 *
 * Invariants:
 * - Nothing here blocks: one pass returns how many processes are left, and the caller calls again.
 * - Signals are sent to own children that were not reaped, or through pidfds, after the start time
 *   was compared, so a process with a reused pid is not hit. A signal is sent to the group only
 * while the leader is the caller's own child and not reaped, which keeps its number in use.
 *
 * Ownership: a guardian_tree is a plain value, copied freely.
 *
 * What this is not: the graceful stop of the leader. That is a signal to its pidfd, sent by the
 * supervisor.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/environment.h"
#include "process-names.h"

/*
 * Whether a mark of a living worker is on the process, other than the session of the worker. It has
 * been found not to bear that of the tree. instance: of its environment, or NULL. userdata as in
 * the call.
 */
typedef bool (*guardian_marked_fn)(pid_t pid, const char *instance, void *userdata);

struct guardian_tree {
    pid_t pid;      /* leader = process group = session */
    uint64_t start; /* the leader's start time in clock ticks, 0: unknown */
    char token[SPAWN_TOKEN_SIZE];
    guardian_marked_fn is_marked; /* NULL: strays are not claimed */
};

/*
 * Tells whether the caller looks after this child itself: a living worker, the guardian, a
 * companion.
 */
typedef bool (*guardian_known_fn)(pid_t pid, void *userdata);

/*
 * Sends SIGKILL to all remaining processes of the worker, and reaps those that were reparented to
 * the caller (a subreaper), again and again for some milliseconds if there are many, or if they
 * fork and end: whoever waits between two looks does not catch these. The leader is killed too if
 * it lives, but never reaped: the owner of its pidfd does that. Returns how many processes were
 * still alive; 0 means that no further pass is needed. Call it before the leader is reaped, so that
 * its group goes at once, then every few milliseconds until it returns 0. Limit the number of
 * calls: a process in uninterruptible sleep may take long. Children that is_known() claims are
 * skipped with all their descendants, except the tree's own leader and group; is_known may be NULL.
 * If nothing is left, a call costs two small file reads, however many children are known.
 */
ssize_t guardian_tree_kill(const struct guardian_tree *tree, guardian_known_fn is_known,
                           void *userdata);

/*
 * The same for the processes that a leader has left behind; the leader is passed over. Sends the
 * signal to each of them, once, also to those that are forked meanwhile, and continues those that
 * are stopped. Returns how many live.
 */
ssize_t guardian_tree_signal(const struct guardian_tree *tree, guardian_known_fn is_known,
                             void *userdata, int signo);

/* Only counts them, and reaps the dead. names may be NULL. */
ssize_t guardian_tree_look(const struct guardian_tree *tree, guardian_known_fn is_known,
                           void *userdata, struct process_names *names);

/*
 * Whether a process is one of the worker's: 1 or 0. It may be any process, and none of ours. The
 * token does not count below a child that is_known() claims, which are the leaders of all workers.
 * -ENOLINK: it descends from us, but from none of the children that is_known() claims, and bears no
 * token: some worker's daemon. -ESRCH: it has ended.
 */
int guardian_tree_has(const struct guardian_tree *tree, pid_t pid, guardian_known_fn is_known,
                      void *userdata);

/*
 * Handles children of the calling process that is_known() does not claim: orphans that were
 * reparented to us. Dead ones are reaped. Living ones get the signal, unless it is 0; signals are
 * for the end of the server, after the last worker. Returns the number of living ones. names may be
 * NULL. Call it with 0 on SIGCHLD.
 */
ssize_t guardian_reap_orphans(guardian_known_fn is_known, void *userdata, int signo,
                              struct process_names *names);

/* prctl(PR_SET_CHILD_SUBREAPER). */
int guardian_become_subreaper(void);
