/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How many processes the kernel's OOM killer has killed: in our control group (memory.events, or
 * memory.oom_control of version 1), or else on the machine (/proc/vmstat).
 *
 * A SIGKILL does not say who sent it. If the count has risen while a process ran, the OOM killer is
 * the likeliest sender. The kernel counts before it sends the signal.
 *
 * A plain value: nothing stays open. A count of 0 where the kernel does not tell.
 */

#include <limits.h>
#include <stdint.h>

struct oom_counter {
    char path[PATH_MAX]; /* of the file that counts; "": there is none */
    const char *limit;   /* name of the file beside it that holds the limit; NULL: none */
};

/* From the given files: /proc/self/cgroup, /sys/fs/cgroup and /proc/vmstat, except in tests. */
void oom_counter_init(struct oom_counter *counter, const char *proc_self_cgroup,
                      const char *cgroup_root, const char *proc_vmstat);
uint64_t oom_count(const struct oom_counter *counter);
/* The limit of the control group in bytes; UINT64_MAX: none, or not known. */
uint64_t oom_limit(const struct oom_counter *counter);
