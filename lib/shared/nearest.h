/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Finds the word that a misspelt one probably stands for. */

#include <stdbool.h>
#include <stddef.h>

/* Longer words have no near ones. */
#define NEAREST_WORD_MAX 64

struct nearest {
    const char *word; /* n bytes; need not be terminated */
    size_t n;
    unsigned distance; /* upper limit for candidates; then the distance of the best one */
    const char *best;  /* borrowed from the caller that offered it; NULL: nothing is near */
};

/*
 * How many characters must be added, dropped or replaced; NEAREST_WORD_MAX if a word is longer than
 * that.
 */
unsigned edit_distance(const char *a, size_t n, const char *b);
/* Returns true if it is the best so far. */
bool nearest_offer(struct nearest *nearest, const char *candidate);
