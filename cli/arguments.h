/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

/*
 * Options as a table: one row gives names, value, parser and help text of an option. Parsing, --help,
 * bash completion and the test of the manual page are all made from the row; nothing about an option is
 * written down twice.
 *
 * A table ends with a row without name. It is constant, borrowed, and knows its target only by offsets.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "config/problem.h"

struct option_spec;

/*
 * Parses text (NULL for an option without value) into field. 0, or a negative errno and a clause as in
 * parse.h; OPTION_STOP: an option such as --help that ends the parsing.
 */
enum { OPTION_STOP = 1 };
typedef int (*option_parser)(const struct option_spec *spec, const char *text, void *field,
                             const char **ret_why);

/* What completion offers for a value */
enum option_kind { OPTION_WORD, OPTION_PATH, OPTION_PATH_DIR, OPTION_USER, OPTION_GROUP, OPTION_SIGNAL };

struct option_spec {
    const char *name;
    char letter;       /* 0: none */
    const char *value; /* the name of its value in the help; NULL: it takes none */
    option_parser parse;
    size_t offset; /* of the field in the target */
    const char *help;
    const char *const *words; /* what option_word() accepts, by index; NULL-terminated */
    enum option_kind kind;
    const char *section; /* begins a section of the help; NULL: goes on */
};

/* Offers for commands, too. */
struct command {
    const char *name;
    const char *arguments; /* in the usage line */
    const char *summary;
    const struct option_spec *options;
    int (*run)(const struct command *command, int argc, char **argv);
    const char *note;               /* the last line of its help; may be NULL */
    const struct command *commands; /* its own ones; NULL: it has none */
    const char *parent;             /* whose it is; NULL: nobody's */
    const char
        *offers; /* for words, as options of bash's compgen; NULL: they are a program and its arguments */
};

/*
 * Parses the options before the first word that is none. Returns 0 and the index of that word;
 * OPTION_STOP and the option in ret_stopped; or a negative errno with ret_problem.
 */
int options_parse(const struct option_spec *options, void *target, int argc, char **argv, int *ret_first,
                  const struct option_spec **ret_stopped, struct problem *ret_problem);

void options_print(const struct option_spec *options, FILE *file);

/* The index of the nearest of the words (a NULL-terminated list) to a misspelt one; -1: none is near. */
int options_nearest(const char *word, const char *const *words);

/* Parsers; each field's type is that of the struct it is in. */
int option_stop(const struct option_spec *spec, const char *text, void *field, const char **ret_why);
int option_word(const struct option_spec *spec, const char *text, void *field,
                const char **ret_why); /* an enum */
int option_string(const struct option_spec *spec, const char *text, void *field,
                  const char **ret_why); /* char * */

#endif
