/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

/*
 * The commands of aiotools-sd, one file each. A command returns the exit status. main() takes the first
 * word to find it, and hands it everything from that word on.
 */

#include "arguments.h"

extern const struct option_spec global_options[];
extern const struct command commands[]; /* ends with a row without name */

/* The row of that name; NULL: none. */
const struct command *find_command(const struct command *table, const char *name);
/* Says that there is none, and what may have been meant; returns the exit status. */
int unknown_command(const struct command *table, const char *word);

/* One line on stderr; returns the problem's exit status. */
int report(const struct problem *problem);

/* The end of what a command prints on stdout. It is its whole purpose, so a full disk is an error;
 * returns the exit status. */
int print_done(void);

/* The help of a command on stdout, and its exit status. */
int print_command_help(const struct command *command);

/* run */
extern const struct option_spec run_options[];
int run_main(const struct command *command, int argc, char **argv);

/* sandbox */
extern const struct option_spec sandbox_help_options[];
extern const struct command sandbox_commands[];
int sandbox_main(const struct command *command, int argc, char **argv);

/* doctor */
extern const struct option_spec doctor_options[];
int doctor_main(const struct command *command, int argc, char **argv);

#endif
