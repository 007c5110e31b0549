/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Control groups of our own (version 2): one of the server, and in it one of each worker. Whatever
 * a worker starts is in its group, so all of it can be found, and be killed at once.
 *
 * The server's own processes stay where they are, and the groups have no controllers, so nobody's
 * share of memory or time changes.
 *
 * Invariants:
 * - A name is never given twice by one server, and never to a group that exists. A group is known
 *   by its descriptor, not by its name.
 * - Nothing here blocks: what has to be repeated until nothing is left is one pass, and the caller
 *   calls again.
 * - A process is signalled through a pidfd, after it was seen in the group, so a process with a
 *   reused pid is not hit.
 *
 * Ownership: a cgroup owns its path and fd. It lies in a directory whose descriptor it borrows.
 *
 * What this is not: a prison. Who may write the groups (root, and the server's own user) may leave
 * them.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cgroup-place.h"
#include "process-names.h"

struct cgroup {
    char *path; /* as /proc/PID/cgroup tells it */
    int parent; /* directory in which it lies; borrowed */
    int fd;     /* its own; -1: there is none */
};

#define CGROUP_NONE                                                                                \
    {                                                                                              \
        .path = NULL, .parent = -1, .fd = -1                                                       \
    }

/* Of a server. */
struct cgroups {
    struct cgroup_place place;
    int parent; /* the directory of the place */
    struct cgroup all;
    uint64_t n; /* how many have been made in it */
};

#define CGROUPS_NONE                                                                               \
    {                                                                                              \
        .place = CGROUP_PLACE_NONE, .parent = -1, .all = CGROUP_NONE                               \
    }

/*
 * Finds the place, and makes the server's group there. The name is the server's. The problem says
 * why there can be no groups.
 */
int cgroups_open(struct cgroups *ret, const char *name, struct problem *ret_problem);
/*
 * Tries what will be needed: a child process enters a group, is seen in it, and is killed with it.
 * Call it while nobody else waits for children of any kind.
 */
int cgroups_try(struct cgroups *groups, struct problem *ret_problem);
/* Removes the groups, if nothing is left in them. */
struct cgroups *cgroups_close(struct cgroups *groups);

/* Makes the group of a worker. ret->fd is -1 if it fails, or if the server has no groups. */
int cgroups_add(struct cgroups *groups, unsigned slot, struct cgroup *ret);

/* ---- one of them ----------------------------------------------------------------------------- */

/* Opens what cgroup_enter() needs: it is close-on-exec. */
int cgroup_open_door(const struct cgroup *group);
/* Puts the calling process into the group. Raw system calls only. */
int cgroup_enter(int door);

/* Whether all in it can be killed at once. */
bool cgroup_kills_at_once(const struct cgroup *group);
/* 1: processes live in it, or in groups below it; 0: none does. */
int cgroup_is_populated(const struct cgroup *group);
/*
 * Opens what becomes readable with POLLPRI when cgroup_is_populated() may have changed since
 * cgroup_changed() was last called.
 */
int cgroup_open_events(const struct cgroup *group);
int cgroup_changed(int events);

/*
 * Kills all processes in the group and below it: with cgroup.kill at once (Linux 5.14), else after
 * they were frozen, one by one. Returns 1 if some may be left: call it again; 0 if none is.
 */
int cgroup_kill(const struct cgroup *group);
/*
 * Sends a signal to each process but one, once, also to those that are forked meanwhile, and
 * continues those that are stopped. Returns how many live.
 */
ssize_t cgroup_signal(const struct cgroup *group, pid_t except, int signo);
/* Only counts them. names may be NULL. */
ssize_t cgroup_look(const struct cgroup *group, pid_t except, struct process_names *names);
/* Whether a process is in the group or below it: 1 or 0. -ESRCH: it has ended. */
int cgroup_has(const struct cgroup *group, pid_t pid);

/*
 * Removes the group and those that were made in it. -EBUSY: processes are left. Whatever is
 * returned, the struct is empty afterwards.
 */
int cgroup_remove(struct cgroup *group);
/* Only closes it. */
void cgroup_forget(struct cgroup *group);

/* ---- what a killed server has left ----------------------------------------------------------- */

/* Text that names the server's group, until the next boot. */
#define CGROUP_MARK_MAX (2 * PATH_MAX + 32)
int cgroups_mark(const struct cgroups *groups, char *ret, size_t size);
/*
 * Opens the group that a mark names, if it is still there. -ENOENT: it is not, or the mark names
 * something else. *ret_parent is what ret->parent borrows.
 */
int cgroup_open_marked(struct cgroup *ret, int *ret_parent, const char *mark);
