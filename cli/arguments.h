/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Parses command lines by a table of options (config/options.h). */

#include <stdio.h>

#include "config/options.h"
#include "config/problem.h"

/*
 * Parses the options before the first word that is not an option. Returns 0 and the index of that
 * word; OPTION_STOP and the option in ret_stopped; or a negative errno with ret_problem.
 */
int options_parse(const struct option_spec *options, void *target, int argc, char **argv,
                  int *ret_first, const struct option_spec **ret_stopped,
                  struct problem *ret_problem);

void options_print(const struct option_spec *options, FILE *file);

/* The options of commands that only have --help. */
extern const struct option_spec help_options[];

/*
 * The index of the word in the NULL-terminated list that is nearest to a misspelt one; -1: none is
 * near.
 */
int options_nearest(const char *word, const char *const *words);
