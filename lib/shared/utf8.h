/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* UTF-8, as table 3-7 of the Unicode standard has it: no overlong forms, no surrogates, nothing above U+10FFFF. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length of the character that the n bytes at p begin with, and its code point. 0: they begin with none. */
size_t utf8_character(const char *p, size_t n, uint32_t *ret);

/* What terminals, and some readers of lines, obey: control characters, and the separators of lines and paragraphs. */
static inline bool utf8_is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029;
}
