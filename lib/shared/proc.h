/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Information in /proc about one process. It is out of date as soon as it was read. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Whose processes /proc shows. One of another pid namespace has other processes by our numbers. */
enum proc_view { PROC_OURS, PROC_ABSENT, PROC_FOREIGN };
enum proc_view proc_view(void);

struct proc_stat {
    char state; /* as in ps(1): 'Z' is a zombie */
    pid_t parent, group, session;
    uint64_t cpu;   /* clock ticks that it has used */
    uint64_t start; /* clock ticks since boot: with the pid, the identity */
};

/* -ESRCH: it does not exist, not even as a zombie. */
int proc_read_stat(pid_t pid, struct proc_stat *ret);

#define PROC_COMM_MAX 16

/* The name of the process, as in ps -o comm. -ESRCH as above. */
int proc_read_comm(pid_t pid, char ret[static PROC_COMM_MAX]);

/* The text of /proc/PID/status, in new memory. -ESRCH as above. */
int proc_read_status(pid_t pid, char **ret);
/* The value of one line, truncated if it does not fit. False: there is no such line. */
bool proc_status_value(const char *status, const char *name, char *ret, size_t size);
