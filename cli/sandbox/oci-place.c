/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "oci-place.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define JSON_DIGITS_MAX 18 /* of what surely fits into 63 bits */

static const char *skip_space(const char *p)
{
    return p + strspn(p, " \t\r\n");
}

static const char *skip_string(const char *p)
{
    for (p++; *p && *p != '"'; p++)
        if (*p == '\\' && p[1])
            p++;
    return *p ? p + 1 : p;
}

/* Strings may hold brackets, nothing else may. */
static const char *skip_value(const char *p)
{
    unsigned depth = 0;

    p = skip_space(p);
    do {
        if (*p == '"') {
            p = skip_string(p);
            continue;
        }
        if (*p == '{' || *p == '[')
            depth++;
        else if ((*p == '}' || *p == ']') && depth > 0)
            depth--;
        else if (depth == 0) /* a number or a word */
            return p + strcspn(p, ",]} \t\r\n");
        p += *p != '\0';
    } while (*p && depth > 0);
    return p;
}

static bool is_key(const char *p, const char *key)
{
    size_t n = strlen(key);

    return strncmp(p + 1, key, n) == 0 && p[1 + n] == '"';
}

/* The value of the step in what begins at p; NULL: it has none. */
static const char *enter(const char *p, const struct json_step *step)
{
    if (*p != (step->key ? '{' : '['))
        return NULL;
    p = skip_space(p + 1);
    for (size_t i = 0; *p && *p != '}' && *p != ']'; i++) {
        bool found = step->key ? is_key(p, step->key) : i == step->index;

        if (step->key)
            p = skip_space(skip_space(skip_string(p)) + 1); /* the key and its colon */
        if (found)
            return p;
        p = skip_space(skip_value(p));
        if (*p == ',')
            p = skip_space(p + 1);
    }
    return NULL;
}

void json_find_place(const char *text, const struct json_step *path, size_t n, unsigned *ret_line,
                     unsigned *ret_column)
{
    const char *at = skip_space(text), *line = text;

    for (size_t i = 0; i < n; i++) {
        const char *next = enter(at, &path[i]);

        if (!next)
            break;
        at = next;
    }
    *ret_line = 1;
    for (const char *p = text; p < at; p++)
        if (*p == '\n') {
            ++*ret_line;
            line = p + 1;
        }
    *ret_column = (unsigned)(at - line) + 1;
}

char *json_quote_large_numbers(const char *text, size_t length)
{
    char *copy = malloc(2 * length + 1), *to = copy; /* a number is longer than its quotes */
    bool in_string = false;

    if (!copy)
        return NULL;
    for (const char *p = text, *end = text + length; p < end;) {
        size_t digits = in_string ? 0 : strspn(p, "0123456789");
        bool large = digits > JSON_DIGITS_MAX && !strchr(".eE", p[digits]) && (p == text || p[-1] != '-');

        if (*p == '"')
            in_string = !in_string;
        else if (in_string && *p == '\\' && p + 1 < end)
            *to++ = *p++;
        if (large)
            *to++ = '"';
        size_t n = digits > 0 ? digits : 1;
        to = mempcpy(to, p, n);
        p += n;
        if (large)
            *to++ = '"';
    }
    *to = '\0';
    return copy;
}
