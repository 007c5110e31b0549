/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

/*
 * Where a command writes a file: whole, or not at all.
 *
 * What is written goes to a temporary file beside the target, and takes its name in output_commit(). Until then the target is what it was. A symbolic link
 * is followed; a target that is no regular file (/dev/stdout, a pipe) is written directly, and without a name it is standard output.
 *
 * An output owns its stream and its temporary file: output_done() ends both, whatever happened.
 */

#include <stdio.h>

#include "config/problem.h"

struct output {
    FILE *stream;
    char *target;     /* NULL: not to be renamed */
    char *temporary;  /* NULL: there is none */
    const char *name; /* for messages; borrowed */
};

/* Whether there is a folder to write to, before the work is done; name may be NULL. */
int output_check(const char *name, struct problem *ret_problem);
int output_open(struct output *output, const char *name, struct problem *ret_problem);
int output_commit(struct output *output, struct problem *ret_problem);
void output_done(struct output *output);

#endif
