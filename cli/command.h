/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A command or subcommand of aiotools-sd as a row of a table, and what commands share. A command
 * gets the arguments from its own name on, and returns the exit status.
 */

#include "arguments.h"

struct command {
    const char *name;
    const char *arguments; /* in the usage line */
    const char *summary;
    const struct option_spec *options;
    int (*run)(const struct command *command, int argc, char **argv);
    const char *note; /* the last line of its help; may be NULL */
    const struct command *const
        *commands;      /* its subcommands, ending with NULL; NULL: it has none */
    const char *parent; /* the command that it belongs to; NULL: none */
    const char *offers; /* for words, as options of bash's compgen; NULL: they are a program and its
                           arguments */
};

/* The command of that name; NULL: there is none. */
const struct command *find_command(const struct command *const *table, const char *name);
/* Reports that there is no such command, and suggests a similar one. Returns the exit status. */
int unknown_command(const struct command *const *table, const char *word);

/*
 * Parses options and words in any order; everything after "--" is a word. Returns the number of
 * words, which are moved to the front of argv (argv[0] is the first one). Returns -1 and the exit
 * status after --help or an error.
 */
int command_words(const struct command *command, void *target, int argc, char **argv,
                  int *ret_status);
/* The same for commands that take exactly one word; what describes it in error messages. */
const char *command_one_word(const struct command *command, void *target, int argc, char **argv,
                             const char *what, int *ret_status);

/* Prints one line to stderr. Returns the problem's exit status. */
int report(const struct problem *problem);

/*
 * Ends the output on stdout, and checks it: output is the purpose of these commands, so a full disk
 * is an error. Returns the exit status.
 */
int print_done(void);

/* Prints the help of a command to stdout. Returns the exit status. */
int print_command_help(const struct command *command);
/* Prints one line per command. */
void print_commands(const struct command *const *table);
