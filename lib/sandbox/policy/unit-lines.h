/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The lines of a unit file as systemd reads them.
 *
 * A line ends at a newline, at a carriage return, or at both. One whose first character is # or ;
 * is a comment, also between two lines that belong together. A line with an odd number of
 * backslashes at its end goes on in the next one; the last backslash becomes a space.
 *
 * The text must outlive the lines. What unit_lines_next() returns lives until the next call.
 *
 * What this is not: it knows neither sections nor keys.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct unit_lines {
    const char *text;
    const char *at;
    bool mark_seen;
    size_t n;
    char *line;
    uint32_t *origins; /* where in the text each character of the line stands */
};

/* -ENOMEM, or 0. The text is shorter than 4 GiB. */
int unit_lines_init(struct unit_lines *lines, const char *text);
void unit_lines_done(struct unit_lines *lines);

/* The next line without white space around it; false: there is none. It may be empty. */
bool unit_lines_next(struct unit_lines *lines, char **ret);
/* Line and column of a character of the last line, counted from 1. */
void unit_lines_place(const struct unit_lines *lines, const char *at, unsigned *ret_line,
                      unsigned *ret_column);

static inline bool unit_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
