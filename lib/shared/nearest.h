/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The word that was probably meant by a misspelt one. */

#include <stdbool.h>
#include <stddef.h>

/* Longer ones are near nothing. */
#define NEAREST_WORD_MAX 64

struct nearest {
    const char *word; /* n bytes, and no terminator need follow */
    size_t n;
    unsigned distance; /* below which a candidate has to be; then that of the best */
    const char *best;  /* borrowed from whoever offered it; NULL: nothing was near */
};

/* How many characters have to be added, dropped or replaced; NEAREST_WORD_MAX where a word is longer than that. */
unsigned edit_distance(const char *a, size_t n, const char *b);
/* Whether it is the best so far. */
bool nearest_offer(struct nearest *nearest, const char *candidate);
