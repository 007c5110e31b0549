/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Writes a file of a command, whole or not at all.
 *
 * Output goes to a temporary file beside the target, which output_commit() renames. Until then the
 * target is unchanged. Symbolic links are followed. A target that is not a regular file
 * (/dev/stdout, a pipe) is written directly. Without a name, output goes to standard output.
 *
 * An output owns its stream and its temporary file. output_done() releases both in any case.
 */

#include <stdio.h>

#include "config/problem.h"

struct output {
    FILE *stream;
    char *target;     /* NULL: nothing is to be renamed */
    char *temporary;  /* NULL: there is none */
    const char *name; /* for messages; borrowed */
};

/* Checks, before the work is done, that there is a directory to write to. name may be NULL. */
int output_check(const char *name, struct problem *ret_problem);
int output_open(struct output *output, const char *name, struct problem *ret_problem);
int output_commit(struct output *output, struct problem *ret_problem);
void output_done(struct output *output);
