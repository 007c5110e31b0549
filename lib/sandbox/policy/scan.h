/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Splits one line of a policy into tokens, and parses values: numbers, constants, and several
 * joined by '|'.
 *
 * The text is borrowed and need not end with a NUL. A scan stands at a token (kind, text, length,
 * column). scan_next() moves to the next one and stays at SCAN_END.
 *
 * What this is not: it knows neither rules nor system calls.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCAN_LINE_MAX 4096

enum scan_kind {
    SCAN_END, /* of the line, or a comment */
    SCAN_WORD,
    SCAN_GROUP, /* '@' and a word with hyphens */
    SCAN_NUMBER,
    SCAN_STRING, /* without its quotes */
    SCAN_SYMBOL, /* an operator, a parenthesis, a colon */
    SCAN_WRONG,  /* an invalid character, or a string that is not closed */
};

struct scan {
    const char *line;
    const char *end;
    const char *next;
    enum scan_kind kind;
    const char *text;
    size_t n;
    unsigned column;
};

void scan_begin(struct scan *scan, const char *line, size_t n);
void scan_next(struct scan *scan);
bool scan_is(const struct scan *scan, enum scan_kind kind, const char *text);
/* The rest up to white space, for paths, as one token. */
void scan_path(struct scan *scan);

/* A value, and whether it was written as a negative number (and may lose the sign's upper half). */
struct scan_value {
    uint64_t value;
    bool negative;
};

/*
 * Returns NULL, and the scan stands behind the value; or the error message, and the scan stands at
 * the error.
 */
const char *scan_read_value(struct scan *scan, struct scan_value *ret);

/* Constants of the kernel's interfaces (constants.c). */
struct policy_constant {
    const char *name;
    int64_t value;
};
extern const struct policy_constant policy_constants[];
extern const size_t policy_n_constants;
const struct policy_constant *policy_constant_find(const char *name, size_t n);
const char *policy_constant_nearest(const char *name, size_t n);
