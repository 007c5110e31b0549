/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "unit-lines.h"

int unit_lines_init(struct unit_lines *lines, const char *text)
{
    size_t size = strlen(text) + 1;

    *lines = (struct unit_lines){.text = text, .at = text};
    lines->line = malloc(size);
    lines->origins = malloc(size * sizeof(*lines->origins));
    return lines->line && lines->origins ? 0 : -ENOMEM;
}

void unit_lines_done(struct unit_lines *lines)
{
    free(lines->line);
    free(lines->origins);
}

/* "\n", "\r", "\r\n" and "\n\r" end one line each. */
static const char *after_line(const char *end)
{
    if (!*end)
        return end;
    return end + (end[1] != *end && (end[1] == '\n' || end[1] == '\r') ? 2 : 1);
}

static bool is_comment(const char *p)
{
    p += strspn(p, " \t");
    return *p == '#' || *p == ';';
}

/* A mark of the order of bytes counts once, wherever the line stands. */
static const char *skip_mark(struct unit_lines *lines, const char *p)
{
    size_t n = lines->mark_seen ? 0 : text_mark(p, strlen(p));

    lines->mark_seen |= n > 0;
    return p + n;
}

static void append(struct unit_lines *lines, const char *p, const char *end)
{
    for (; p < end; p++) {
        lines->line[lines->n] = *p;
        lines->origins[lines->n++] = (uint32_t)(p - lines->text);
    }
    lines->origins[lines->n] = (uint32_t)(p - lines->text);
}

/* Whether the line goes on. */
static bool open_end(struct unit_lines *lines)
{
    size_t n = lines->n;

    while (n > 0 && lines->line[n - 1] == '\\')
        n--;
    if ((lines->n - n) % 2 == 0)
        return false;
    lines->line[lines->n - 1] = ' ';
    return true;
}

bool unit_lines_next(struct unit_lines *lines, char **ret)
{
    bool more = *lines->at;

    lines->n = 0;
    for (bool goes_on = true; goes_on && *lines->at;) {
        const char *p = lines->at, *end = p + strcspn(p, "\r\n");
        lines->at = after_line(end);
        if (is_comment(p))
            continue;
        append(lines, skip_mark(lines, p), end);
        goes_on = open_end(lines);
    }
    while (lines->n > 0 && unit_is_space(lines->line[lines->n - 1]))
        lines->n--;
    lines->line[lines->n] = 0;
    *ret = lines->line + strspn(lines->line, " \t");
    return more;
}

void unit_lines_place(const struct unit_lines *lines, const char *at, unsigned *ret_line,
                      unsigned *ret_column)
{
    const char *origin = lines->text + lines->origins[at - lines->line], *p = lines->text;
    unsigned line = 1;

    for (;; line++) {
        const char *next = after_line(p + strcspn(p, "\r\n"));
        if (next > origin || !*next)
            break;
        p = next;
    }
    *ret_line = line;
    *ret_column = (unsigned)(origin - p) + 1;
}
