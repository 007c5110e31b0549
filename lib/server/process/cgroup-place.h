/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where control groups of our own may be made: the group of version 2 that we are in.
 *
 * Groups belong to one manager each. Where systemd is that manager, a service may make groups below
 * its own only if its unit says so (Delegate=). A scope is what somebody else has made for its own
 * processes, such as a container or a login, and slices are systemd's. Where there is no systemd,
 * whoever may write a group may use it.
 *
 * What this is not: a promise. Whether groups can really be made, and entered, is found out by
 * making one (cgroup.h).
 */

#include <stdbool.h>

#include "config/problem.h"

struct cgroup_place {
    char *path;      /* as /proc/PID/cgroup tells it; "" for the root */
    char *directory; /* the same in the file system */
};

#define CGROUP_PLACE_NONE                                                                          \
    {                                                                                              \
        .path = NULL, .directory = NULL                                                            \
    }

/*
 * The files are /proc/self/cgroup and /proc/self/mountinfo. -ENOENT: version 2 is not there, or not
 * mounted. -EXDEV: no mount shows our group. -ENOMEM.
 */
int cgroup_place_find(struct cgroup_place *ret, const char *proc_self_cgroup,
                      const char *proc_self_mountinfo, struct problem *ret_problem);
struct cgroup_place *cgroup_place_done(struct cgroup_place *place);

/* Whether it is ours to make groups there: 0, or -EPERM. has_systemd: systemd manages groups. */
int cgroup_place_check(const struct cgroup_place *place, bool has_systemd,
                       struct problem *ret_problem);

/* Whether systemd runs this system, or this container. */
bool cgroup_place_has_systemd(void);
