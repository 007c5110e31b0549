/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

/*
 * A command of aiotools-sd, or of one of its commands: a row of a table, and what commands have in common. A command gets everything from its
 * own name on, and returns the exit status.
 */

#include "arguments.h"

struct command {
    const char *name;
    const char *arguments; /* in the usage line */
    const char *summary;
    const struct option_spec *options;
    int (*run)(const struct command *command, int argc, char **argv);
    const char *note;                      /* the last line of its help; may be NULL */
    const struct command *const *commands; /* its own ones, up to a NULL; NULL: it has none */
    const char *parent;                    /* whose it is; NULL: nobody's */
    const char
        *offers; /* for words, as options of bash's compgen; NULL: they are a program and its arguments */
};

/* The one of that name; NULL: none. */
const struct command *find_command(const struct command *const *table, const char *name);
/* Says that there is none, and what may have been meant; returns the exit status. */
int unknown_command(const struct command *const *table, const char *word);

/*
 * Options and words in any order; words after "--" are words. Returns the number of words, which are moved to the front of argv (argv[0] is the
 * first of them), or -1 and the exit status: of --help, or of a mistake.
 */
int command_words(const struct command *command, void *target, int argc, char **argv, int *ret_status);
/* The same where there has to be exactly one word, which is a what. */
const char *command_one_word(const struct command *command, void *target, int argc, char **argv,
                             const char *what, int *ret_status);

/* One line on stderr; returns the problem's exit status. */
int report(const struct problem *problem);

/* The end of what a command prints on stdout. It is its whole purpose, so a full disk is an error;
 * returns the exit status. */
int print_done(void);

/* The help of a command on stdout, and its exit status. */
int print_command_help(const struct command *command);
/* A line a command. */
void print_commands(const struct command *const *table);

#endif
