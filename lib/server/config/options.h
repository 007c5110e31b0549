/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Options as a table: one row gives the name, value, parser and help text of an option. Code that
 * parses options, prints help or offers completions works from the row; nothing about an option is
 * written down twice.
 *
 * A table ends with a row without a name. It is constant and borrowed, and knows its target only by
 * offsets.
 *
 * What this is not: it does not know where texts come from.
 */

#include <stddef.h>

struct option_spec;

/*
 * Parses text (NULL for an option without a value) into the field. Returns 0, or a negative errno
 * and a clause as in parse.h. OPTION_STOP: the option, such as --help, ends the parsing.
 */
enum { OPTION_STOP = 1 };
typedef int (*option_parser)(const struct option_spec *spec, const char *text, void *field,
                             const char **ret_why);

/* What completion offers for a value */
enum option_kind {
    OPTION_WORD,
    OPTION_PATH,
    OPTION_PATH_DIR,
    OPTION_USER,
    OPTION_GROUP,
    OPTION_SIGNAL
};

struct option_spec {
    const char *name;
    char letter;       /* 0: none */
    const char *value; /* the name of its value in the help; NULL: it takes none */
    option_parser parse;
    size_t offset; /* of the field in the target */
    const char *help;
    const char *const *words; /* what option_word() accepts, by index; NULL-terminated */
    enum option_kind kind;
    const char *section; /* starts a section of the help; NULL: continues the current one */
};

/* Those of a server; the target is a struct server_config. */
extern const struct option_spec server_options[];

/* Parsers; each field's type is that of the struct it is in. */
int option_stop(const struct option_spec *spec, const char *text, void *field,
                const char **ret_why);
int option_flag(const struct option_spec *spec, const char *text, void *field,
                const char **ret_why); /* a bool, which becomes true */
int option_word(const struct option_spec *spec, const char *text, void *field,
                const char **ret_why); /* an enum */
int option_string(const struct option_spec *spec, const char *text, void *field,
                  const char **ret_why); /* char * */
