/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Names, numbers and groups of system calls.
 *
 * libseccomp resolves the calls that it knows. Calls newer than its version 2.5.4 have their
 * numbers here (from 424 on, numbers are the same on every architecture). The tables are constant.
 * The index by number is made once, allocates nothing and never changes. Lists of names are strings
 * with a NUL after each name and an empty name at the end.
 *
 * What this is not: it knows no policy.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aiotools-sd/policy.h>

/* The newest call of Linux 6.18. Newer ones are answered with ENOSYS, so that libc falls back. */
#define SYSCALL_NEWEST 469

struct syscall_group {
    const char *name;
    const char *text;
    const char *members;
};

extern const struct syscall_group syscall_groups[];
extern const size_t syscall_n_groups;
extern const char syscall_known[];

const struct syscall_group *syscall_group_find(const char *name);

/*
 * Calls fn for each system call of this architecture in the group, including those of groups inside
 * it.
 */
int syscall_group_expand(const char *group, int (*fn)(int number, void *userdata), void *userdata);

/* The known call, or group if name begins with '@', whose name is most similar; NULL: none is. */
const char *syscall_nearest(const char *name);

/* The bits of an argument that the kernel reads; all 64 if nothing else is known. */
uint64_t syscall_argument_mask(int number, unsigned arg);
