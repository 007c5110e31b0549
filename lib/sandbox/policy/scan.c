/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scan.h"

#define NESTED_MAX 8

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_word(char c)
{
    return is_letter(c) || is_digit(c);
}

static bool is_group(char c)
{
    return is_word(c) || c == '-';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void take(struct scan *scan, enum scan_kind kind, const char *p, size_t n)
{
    scan->kind = kind;
    scan->text = p;
    scan->n = n;
    scan->column = (unsigned)(p - scan->line) + 1;
    scan->next = p + n;
}

static void take_while(struct scan *scan, enum scan_kind kind, const char *p, bool (*belongs)(char))
{
    const char *q = p + 1;

    while (q < scan->end && belongs(*q))
        q++;
    take(scan, kind, p, (size_t)(q - p));
}

static void take_string(struct scan *scan, const char *p)
{
    const char *q = memchr(p + 1, '"', (size_t)(scan->end - p - 1));

    if (!q) {
        take(scan, SCAN_WRONG, p, 1);
        return;
    }
    take(scan, SCAN_STRING, p + 1, (size_t)(q - p - 1));
    scan->column--;
    scan->next = q + 1;
}

static void take_symbol(struct scan *scan, const char *p)
{
    static const char *const symbols[] = {"&&", "==", "!=", "<=", ">=", "||", "&", "<",
                                          ">",  "|",  "(",  ")",  ":",  "!",  "-", "="};

    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        size_t n = strlen(symbols[i]);
        if ((size_t)(scan->end - p) >= n && !memcmp(p, symbols[i], n)) {
            take(scan, SCAN_SYMBOL, p, n);
            return;
        }
    }
    take(scan, SCAN_WRONG, p, 1);
}

void scan_next(struct scan *scan)
{
    const char *p = scan->next;

    while (p < scan->end && is_space(*p))
        p++;
    if (p == scan->end || *p == '#') {
        take(scan, SCAN_END, p, 0);
        return;
    }
    if (is_letter(*p))
        take_while(scan, SCAN_WORD, p, is_word);
    else if (is_digit(*p))
        take_while(scan, SCAN_NUMBER, p, is_word);
    else if (*p == '@')
        take_while(scan, SCAN_GROUP, p, is_group);
    else if (*p == '"')
        take_string(scan, p);
    else
        take_symbol(scan, p);
}

void scan_begin(struct scan *scan, const char *line, size_t n)
{
    scan->line = scan->next = line;
    scan->end = line + n;
    scan_next(scan);
}

bool scan_is(const struct scan *scan, enum scan_kind kind, const char *text)
{
    return scan->kind == kind && scan->n == strlen(text) && !memcmp(scan->text, text, scan->n);
}

void scan_path(struct scan *scan)
{
    const char *p = scan->text;

    while (p < scan->end && !is_space(*p))
        p++;
    take(scan, SCAN_WORD, scan->text, (size_t)(p - scan->text));
}

/* ---- values ---------------------------------------------------------------------------------- */

static const char *read_number(struct scan *scan, uint64_t *ret)
{
    char buffer[32], *end;

    if (scan->n >= sizeof(buffer))
        return "a number that does not fit into 64 bits";
    memcpy(buffer, scan->text, scan->n);
    buffer[scan->n] = 0;
    errno = 0;
    unsigned long long value = strtoull(buffer, &end, 0);
    if (*end)
        return "not a number: write it decimal, as 0x... or as 0... (octal)";
    if (errno == ERANGE)
        return "a number that does not fit into 64 bits";
    *ret = value;
    return NULL;
}

static const char *read_negative(struct scan *scan, struct scan_value *ret)
{
    uint64_t value = 0;

    scan_next(scan);
    if (scan->kind != SCAN_NUMBER)
        return "a number is expected after '-'";
    const char *wrong = read_number(scan, &value);
    if (wrong)
        return wrong;
    if (value > (uint64_t)INT64_MAX + 1)
        return "a number that does not fit into 64 bits";
    ret->value = -value;
    ret->negative = value != 0;
    return NULL;
}

static const char *read_values(struct scan *scan, struct scan_value *ret, unsigned depth);

static const char *read_nested(struct scan *scan, struct scan_value *ret,
                               unsigned depth) /* NOLINT(misc-no-recursion) */
{
    if (depth == NESTED_MAX)
        return "too many parentheses";
    scan_next(scan);
    const char *wrong = read_values(scan, ret, depth + 1);
    if (wrong)
        return wrong;
    return scan_is(scan, SCAN_SYMBOL, ")") ? NULL : "')' is expected";
}

static const char *read_one(struct scan *scan, struct scan_value *ret,
                            unsigned depth) /* NOLINT(misc-no-recursion) */
{
    const char *wrong = NULL;

    *ret = (struct scan_value){0};
    if (scan->kind == SCAN_NUMBER)
        wrong = read_number(scan, &ret->value);
    else if (scan_is(scan, SCAN_SYMBOL, "-"))
        wrong = read_negative(scan, ret);
    else if (scan_is(scan, SCAN_SYMBOL, "("))
        wrong = read_nested(scan, ret, depth);
    else if (scan->kind == SCAN_WORD) {
        const struct policy_constant *constant = policy_constant_find(scan->text, scan->n);
        if (!constant)
            return "unknown constant";
        ret->value = (uint64_t)constant->value;
        ret->negative = constant->value < 0;
    } else
        return "a number or a constant is expected";
    if (!wrong)
        scan_next(scan);
    return wrong;
}

static const char *read_values(struct scan *scan, struct scan_value *ret,
                               unsigned depth) /* NOLINT(misc-no-recursion) */
{
    const char *wrong = read_one(scan, ret, depth);

    while (!wrong && scan_is(scan, SCAN_SYMBOL, "|")) {
        struct scan_value more;
        scan_next(scan);
        wrong = read_one(scan, &more, depth);
        if (wrong)
            break;
        ret->value |= more.value;
        ret->negative |= more.negative;
    }
    return wrong;
}

const char *scan_read_value(struct scan *scan, struct scan_value *ret)
{
    return read_values(scan, ret, 0);
}
