/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Snapshots of the processes in /proc, which can be marked and killed. Internal to the guardian's
 * modules.
 *
 * A snapshot is out of date as soon as it is taken. Code that needs "none is left" takes snapshots
 * until one shows none. Processes that vanish meanwhile are not errors. A snapshot owns its array:
 * scan_done().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct scan_process {
    pid_t pid, parent, group, session;
    uint64_t start; /* clock ticks since boot: with the pid, the identity */
    bool dead;      /* a zombie */
    bool marked;
};

struct scan {
    struct scan_process *items;
    size_t n, allocated;
};

/* Room for a chain of instances, see spawn-environment.h. */
#define SCAN_INSTANCE_MAX 512

int scan_read_process(pid_t pid, struct scan_process *ret);
int scan_add(struct scan *scan, pid_t pid);
void scan_done(struct scan *scan);

/* All processes of this pid namespace. */
int scan_everything(struct scan *scan);
/*
 * The children of one process. -ENOENT: the process has ended. -EOPNOTSUPP: the kernel does not
 * list children. Children that skip() claims are not read; skip may be NULL.
 */
typedef bool (*scan_skip_fn)(pid_t pid, void *userdata);
int scan_children(struct scan *scan, pid_t pid, scan_skip_fn skip, void *userdata);
/* The children of everything that is in the scan from this index on, and theirs. */
int scan_descend(struct scan *scan, size_t from);

/* Marks every process whose parent is marked. */
void scan_mark_descendants(struct scan *scan);

/*
 * The value of AIOTOOLS_SD_INSTANCE in the environment that the process was started with. False:
 * there is none, or we may not read it.
 */
bool scan_instance(pid_t pid, char ret[static SCAN_INSTANCE_MAX]);

/* Sends a signal through a pidfd if it is still the same process. */
int scan_kill(const struct scan_process *process, int signo);
