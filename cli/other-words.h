/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What other servers, service managers and container engines call the things that are options here.
 * A table, used only for what is said about an unknown option: none of these words is accepted.
 */

#include <stddef.h>

#include "config/options.h"

struct other_words {
    const char *words;  /* separated by blanks; a word of one character is a letter */
    const char *option; /* the name of ours; NULL: there is none */
    const char *advice; /* then: what to do instead */
};

/* Ends with a row without words. */
extern const struct other_words other_words[];

/*
 * The row of a word of n bytes, case and dashes aside, whose option is in the given table; NULL:
 * none.
 */
const struct other_words *other_words_find(const char *word, size_t n,
                                           const struct option_spec *options);
