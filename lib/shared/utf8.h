/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * UTF-8 as in table 3-7 of the Unicode standard: no overlong forms, no surrogates, nothing above
 * U+10FFFF.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The length and code point of the character at the start of the n bytes at p. Returns 0 if they
 * start with none.
 */
size_t utf8_character(const char *p, size_t n, uint32_t *ret);

/*
 * Characters that terminals and some line readers act on: control characters, and separators of
 * lines and paragraphs.
 */
static inline bool utf8_is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029;
}
