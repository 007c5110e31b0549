/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The seccomp filters of another process, read by ptrace(2), and their combined answers.
 *
 * The process is interrupted for some microseconds. It is never left stopped: if we die, the kernel
 * detaches us; a signal that arrives meanwhile is delivered; and a process that was already stopped
 * stays stopped.
 *
 * A struct filters owns its programs, newest first, as the kernel runs them.
 */

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct filter {
    struct sock_filter *program;
    size_t n;
};

struct filters {
    struct filter *list;
    size_t n;
};

/* Returns 0, or a negative errno and a clause that gives the reason. */
int filters_fetch(struct filters *ret, pid_t pid, const char **ret_why);
void filters_done(struct filters *filters);

/* The kernel's answer to a call with arguments of 0: a SECCOMP_RET_ value with its data. */
uint32_t filters_run(const struct filters *filters, uint32_t architecture, int number);
