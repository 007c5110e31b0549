/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "strv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

char **strv_free(char **list)
{
    for (char **p = list; p && *p; p++)
        free(*p);
    free(list);
    return NULL;
}

int strv_append(char ***list, size_t *n, const char *text)
{
    char **grown = reallocarray(*list, *n + 2, sizeof(char *));

    if (!grown)
        return -ENOMEM;
    *list = grown;
    grown[*n] = strdup(text);
    if (!grown[*n])
        return -ENOMEM;
    grown[++*n] = NULL;
    return 0;
}
