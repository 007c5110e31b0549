/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CLI_SANDBOX_COMMANDS_H
#define CLI_SANDBOX_COMMANDS_H

/*
 * What the sub-commands of `aiotools-sd sandbox` share: their words, and policies by name.
 *
 * A policy is named by a preset or by a file; a preset's name is never taken for a file (write ./service). Functions that return a status have
 * said on stderr what was wrong.
 */

#include <stdbool.h>

#include <aiotools-sd/sandbox.h>

#include "command.h"

/* The languages of --from, by ait_policy_format. */
extern const char *const sandbox_from_words[];

extern const struct option_spec sandbox_help_options[]; /* --help alone */

/*
 * Options and words in any order; words after "--" are words. Returns the number of words, which are moved to the front of argv (argv[0] is the
 * first of them), or -1 and the exit status: of --help, or of a mistake.
 */
int sandbox_words(const struct command *command, void *target, int argc, char **argv, int *ret_status);
/* The same where there has to be exactly one word, which is a what. */
const char *sandbox_one_word(const struct command *command, void *target, int argc, char **argv,
                             const char *what, int *ret_status);

bool sandbox_is_preset(const char *name);
/* -errno, with the place in problem. */
int sandbox_load(ait_policy **ret, const char *name, ait_policy_format from, ait_sandbox_problem *problem);
/* "file:line:column: message" as compilers have it. */
void sandbox_print_problem(FILE *file, const ait_sandbox_problem *problem);
/* The same after the command's name; returns the exit status for a policy that cannot be read. */
int sandbox_report(const ait_sandbox_problem *problem);

extern const struct option_spec show_options[], check_options[], export_options[], learn_options[],
    explain_options[];
int groups_main(const struct command *command, int argc, char **argv);
int show_main(const struct command *command, int argc, char **argv);
int check_main(const struct command *command, int argc, char **argv);
int export_main(const struct command *command, int argc, char **argv);
int learn_main(const struct command *command, int argc, char **argv);
int explain_main(const struct command *command, int argc, char **argv);

#endif
