/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy-file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "parse.h"
#include "slurp.h"

#define FILE_SIZE_MAX (1024 * 1024)
#define ERRNO_MAX     4095

static int fail(ait_sandbox_problem *p, int error, const char *path, unsigned line, const char *message)
{
    if (!p)
        return error;
    p->error = error;
    p->line = line;
    p->column = 0;
    (void)snprintf(p->file, sizeof(p->file), "%s", path);
    (void)snprintf(p->message, sizeof(p->message), "%s", message);
    return error;
}

/* ---- reading -------------------------------------------------------------------------------------- */

static const char *first_line(const char *text)
{
    for (;;) {
        text += strspn(text, " \t\r\n");
        if (*text != '#' && *text != ';')
            return text;
        text += strcspn(text, "\n");
    }
}

/* ---- systemd's -------------------------------------------------------------------------------------- */

static int errno_from_name(const char *name)
{
    uint64_t number;

    if (parse_number(name, 1, ERRNO_MAX, &number, NULL) >= 0)
        return (int)number;
    for (int e = 1; e <= ERRNO_MAX; e++) {
        const char *known = strerrorname_np(e);
        if (known && strcmp(known, name) == 0)
            return e;
    }
    return -EINVAL;
}

static void blank(char *from, const char *to)
{
    for (; from < to; from++)
        if (*from != '\n')
            *from = ' ';
}

struct unit {
    char *text;
    int error;
    int n_lists;
};

static char *after_key(char *line, const char *key)
{
    size_t n = strlen(key);

    if (strncmp(line, key, n) != 0)
        return NULL;
    line += n;
    line += strspn(line, " \t");
    return *line == '=' ? line + 1 : NULL;
}

/* An empty assignment takes back all lists before it, as in a unit file. */
static void take_list(struct unit *unit, char *line, char *value, char *end)
{
    blank(line, value);
    if (value + strspn(value, " \t\r") < end) {
        unit->n_lists++;
        return;
    }
    blank(unit->text, end);
    unit->n_lists = 0;
}

static int take_error(struct unit *unit, char *line, char *value, char *end)
{
    char name[32];
    int n = (int)(end - value);

    if (sscanf(value, "%31s", name) != 1 || n == 0)
        unit->error = 0;
    else
        unit->error = errno_from_name(name);
    blank(line, end);
    return unit->error < 0 ? -EINVAL : 0;
}

static bool is_assignment(const char *line, const char *end)
{
    const char *p = line;

    while (p < end && isalnum((unsigned char)*p))
        p++;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    return p < end && *p == '=';
}

static int take_line(struct unit *unit, char *line, char *end)
{
    char *start = line + strspn(line, " \t\r"), *value;

    if (start >= end)
        return 0;
    if ((value = after_key(start, "SystemCallFilter")))
        take_list(unit, line, value, end);
    else if ((value = after_key(start, "SystemCallErrorNumber")))
        return take_error(unit, line, value, end);
    else if (strchr("#;[", *start) || is_assignment(start, end))
        blank(line, end);
    else
        unit->n_lists++;
    return 0;
}

/* A comment is never continued: were the next line taken for a part of it, what that denies would be lost. Between continued lines it is skipped, as in
 * unit files. */
static void join_continued_lines(char *text)
{
    bool continued = false;

    for (char *line = text, *end; *line; line = *end ? end + 1 : end) {
        const char *start = line + strspn(line, " \t\r");
        end = line + strcspn(line, "\n");
        bool comment = start < end && strchr("#;", *start);
        if (comment)
            blank(line, end);
        else
            continued = end > line && end[-1] == '\\';
        if (continued && !comment)
            end[-1] = ' ';
        if (continued && *end)
            *end = ' ';
    }
}

int policy_file_strip_unit(char *text, int *ret_error, unsigned *ret_line)
{
    struct unit unit = {.text = text};
    unsigned number = 1;

    join_continued_lines(text);
    for (char *line = text; *line; number++) {
        char *end = line + strcspn(line, "\n");
        if (take_line(&unit, line, end) < 0) {
            *ret_line = number;
            return -EINVAL;
        }
        line = *end ? end + 1 : end;
    }
    *ret_error = unit.error;
    return unit.n_lists;
}

/* Whether it looks like a list at all: what is our own language without its first line does not. */
static bool first_list(const char *text)
{
    const char *first = first_line(text);

    return strchr("@~", *first) != NULL;
}

static int load_systemd(ait_policy **ret, const char *path, char *text, ait_sandbox_problem *problem)
{
    unsigned line = 0;
    int error, r = policy_file_strip_unit(text, &error, &line);

    if (r < 0)
        return fail(problem, r, path, line, "SystemCallErrorNumber= is no errno; write a name such as EPERM");
    if (r == 0)
        return fail(problem, -EINVAL, path, 0,
                    "this is no policy; begin it with the line \"policy 1\", or write lists as for "
                    "SystemCallFilter=");
    r = ait_policy_from_systemd(ret, path, text, error, problem);
    if (r == -EINVAL && problem && !first_list(text)) {
        size_t n = strlen(problem->message);
        (void)snprintf(problem->message + n, sizeof(problem->message) - n,
                       " (a policy in our own language begins with the line \"policy 1\")");
    }
    return r;
}

/* ---- the file --------------------------------------------------------------------------------------- */

/* A pipe, such as the shell's <(...), can be read once. */
static bool is_regular(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int load(ait_policy **ret, const char *path, char *text, size_t length, policy_importer import,
                ait_sandbox_problem *problem)
{
    const char *first = first_line(text);

    if (strlen(text) != length)
        return fail(problem, -EINVAL, path, 0, "there is a zero byte in it; a policy is text");
    if (strncmp(first, "policy", 6) == 0 && strchr(" \t\r\n", first[6]))
        return is_regular(path) ? ait_policy_from_file(ret, path, problem)
                                : ait_policy_from_text(ret, path, text, length, problem);
    if (*first != '{')
        return load_systemd(ret, path, text, problem);
    if (!import)
        return fail(problem, -EOPNOTSUPP, path, 0, "JSON cannot be read here; write the policy as text");
    return import(ret, path, text, length, problem);
}

int policy_file_load(ait_policy **ret, const char *path, policy_importer import, ait_sandbox_problem *problem)
{
    char *text = NULL;
    size_t length = 0;
    /* A pipe is read as it comes, but nobody is waited for for long: signals do not end us here. */
    int r = slurp_path(path, O_NOCTTY | O_NONBLOCK, FILE_SIZE_MAX, &text, &length);

    if (r == -EFBIG)
        return fail(problem, -E2BIG, path, 0, "it is larger than 1 MiB, which no policy needs to be");
    if (r == -ENOENT && !strchr(path, '/') && ait_policy_from_preset(ret, path, NULL) >= 0) {
        *ret = ait_policy_unref(*ret);
        return fail(
            problem, r, path, 0,
            "there is no such file; a preset is named by --sandbox, or by a line \"include\" in a file");
    }
    if (r < 0)
        return fail(problem, r, path, 0, strerror(-r));
    r = load(ret, path, text, length, import, problem);
    free(text);
    return r;
}
