/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The names of some processes, for one line of the log: "nginx[12], cat[13] and 4 more".
 *
 * The first PROCESS_NAMES_SHOWN are named, the others are counted. A plain value without pointers.
 * A name is what the process calls itself: unprintable characters are replaced.
 */

#include <sys/types.h>

#define PROCESS_NAMES_SHOWN 5
/* A name has at most 15 characters, a pid at most 10. */
#define PROCESS_NAMES_MAX   176

struct process_names {
    unsigned n;
    char text[PROCESS_NAMES_MAX];
};

void process_names_add(struct process_names *names, pid_t pid);
/* Completes the text. */
const char *process_names_text(struct process_names *names);
