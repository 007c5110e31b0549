/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lists of strings: NULL-terminated, each string and the list allocated. NULL is the empty list. */

#include <stddef.h>

/* Appends a copy. -ENOMEM: the list is unchanged. */
int strv_append(char ***list, size_t *n, const char *text);
/* Takes NULL, returns NULL. */
char **strv_free(char **list);
