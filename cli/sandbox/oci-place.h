/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CLI_OCI_PLACE_H
#define CLI_OCI_PLACE_H

/*
 * JSON as text, for what libjansson does not do.
 *
 * Where something stands: it tells that of mistakes in the syntax only; what is found to be wrong later is looked up again, by its path.
 *
 * The text has been parsed without error. A path is a list of steps from the root: a key, or an index where the key is NULL; it is looked up as far as it leads.
 */

#include <stddef.h>

struct json_step {
    const char *key;
    size_t index;
};

/* Both from 1. */
void json_find_place(const char *text, const struct json_step *path, size_t n, unsigned *ret_line,
                     unsigned *ret_column);

/* libjansson has no numbers above 2^63. In this copy, which is the caller's, they are strings; each makes what follows on its line two columns
 * longer. NULL: out of memory. */
char *json_quote_large_numbers(const char *text, size_t length);

#endif
