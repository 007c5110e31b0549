/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "env-file.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lease.h"
#include "slurp.h"
#include "strv.h"

/* ---- one line -------------------------------------------------------------------------------- */

struct reader {
    const char *at;
    unsigned line;
    char *out;        /* NAME=VALUE so far; as large as the text */
    size_t n, n_kept; /* n_kept: what trailing white space is not dropped from */
};

static void put(struct reader *r, char c, bool keep)
{
    r->out[r->n++] = c;
    if (keep)
        r->n_kept = r->n;
}

/* After a backslash: the next character, or nothing at the end of a line. */
static void escaped(struct reader *r)
{
    char c = *r->at;

    if (c == '\0')
        return;
    r->at++;
    if (c == '\n')
        r->line++;
    else
        put(r, c, true);
}

/* false: the quote has no end. */
static bool quoted(struct reader *r, char quote)
{
    while (*r->at && *r->at != quote) {
        char c = *r->at++;
        r->line += c == '\n';
        if (c == '\\' && quote == '"' && *r->at && strchr("\"\\`$\n", *r->at))
            escaped(r);
        else
            put(r, c, true);
    }
    if (!*r->at)
        return false;
    r->at++;
    return true;
}

/* NULL, or what is wrong. */
static const char *read_name(struct reader *r)
{
    while (isalnum((unsigned char)*r->at) || *r->at == '_')
        put(r, *r->at++, true);
    if (r->n == 0 || isdigit((unsigned char)r->out[0]))
        return "is not an assignment; write NAME=VALUE";
    r->at += strspn(r->at, " \t");
    if (*r->at != '=')
        return "is not an assignment; write NAME=VALUE";
    put(r, *r->at++, true);
    r->at += strspn(r->at, " \t");
    return NULL;
}

/*
 * Quotes count at the beginning, and directly after one another. Inside a word they are characters,
 * as in A={"b":1}.
 */
static const char *read_value(struct reader *r)
{
    bool in_word = false;

    while (*r->at && *r->at != '\n') {
        char c = *r->at++;
        bool white = c == ' ' || c == '\t' || c == '\r';

        if (!in_word && (c == '\'' || c == '"')) {
            if (!quoted(r, c))
                return "has a quote that is not closed; add the closing quote";
            continue;
        }
        in_word |= !white;
        if (c == '\\')
            escaped(r);
        else if (in_word)
            put(r, c, !white);
    }
    r->n = r->n_kept;
    r->out[r->n] = '\0';
    return NULL;
}

/* ---- all of them ----------------------------------------------------------------------------- */

int env_file_parse(const char *name, const char *text, char ***list, size_t *n,
                   struct problem *ret_problem)
{
    struct reader reader = {.at = text, .line = 1, .out = malloc(strlen(text) + 1)};
    int r = reader.out ? 0 : -ENOMEM;

    while (r >= 0 && *reader.at) {
        unsigned line = reader.line;
        const char *why;

        reader.at += strspn(reader.at, " \t\r");
        reader.n = reader.n_kept = 0;
        if (*reader.at == '#' || *reader.at == ';')
            reader.at += strcspn(reader.at, "\n");
        else if (*reader.at && *reader.at != '\n') {
            why = read_name(&reader);
            why = why ?: read_value(&reader);
            r = why ? problem_set(ret_problem, STATUS_CONFIG, -EBADMSG, "--env-file: %s:%u: %s",
                                  name, line, why)
                    : strv_append(list, n, reader.out);
        }
        if (r >= 0 && *reader.at == '\n') {
            reader.at++;
            reader.line++;
        }
    }
    free(reader.out);
    return r == -ENOMEM ? problem_set(ret_problem, STATUS_OS, r, "out of memory") : r;
}

int env_file_read(const char *path, char ***list, size_t *n, struct problem *ret_problem)
{
    char *text;
    size_t length;
    int r = slurp_path(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, ENV_FILE_MAX, &text,
                       &length);

    if (r == -EAGAIN)
        return lease_problem("--env-file=", path, ret_problem);
    if (r < 0)
        return problem_set(ret_problem, r == -ENOMEM ? STATUS_OS : STATUS_CONFIG, r,
                           "--env-file=%s: %s; name a file of lines NAME=VALUE", path,
                           strerror(-r));
    if (memchr(text, '\0', length))
        r = problem_set(ret_problem, STATUS_CONFIG, -EBADMSG,
                        "--env-file=%s: has a zero byte; name a text file of lines NAME=VALUE",
                        path);
    else
        r = env_file_parse(path, text, list, n, ret_problem);
    free(text);
    return r;
}
