/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nearest.h"

#include <string.h>

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    a = a < b ? a : b;
    return a < c ? a : c;
}

unsigned edit_distance(const char *a, size_t n, const char *b)
{
    unsigned row[NEAREST_WORD_MAX];
    size_t m = strlen(b);

    if (n >= NEAREST_WORD_MAX || m >= NEAREST_WORD_MAX)
        return NEAREST_WORD_MAX;
    for (size_t k = 0; k <= m; k++)
        row[k] = (unsigned)k;
    for (size_t i = 0; i < n; i++) {
        unsigned diagonal = row[0]++;

        for (size_t k = 1; k <= m; k++) {
            unsigned above = row[k];

            row[k] = least(above + 1, row[k - 1] + 1, diagonal + (a[i] != b[k - 1]));
            diagonal = above;
        }
    }
    return row[m];
}

bool nearest_offer(struct nearest *nearest, const char *candidate)
{
    unsigned distance = edit_distance(nearest->word, nearest->n, candidate);

    if (distance >= nearest->distance)
        return false;
    nearest->distance = distance;
    nearest->best = candidate;
    return true;
}
