/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "title.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "slurp.h"

#define FIELD_ARG_START 48 /* of /proc/PID/stat, counted from 1 */

/* Where the kernel put the strings of argv. False: it does not say. */
static bool find_arguments(char **ret_start, char **ret_end)
{
    char text[1024];
    uintmax_t start, end;

    if (read_text("/proc/self/stat", text, sizeof(text)) < 0)
        return false;
    const char *s = strrchr(text, ')'); /* the end of field 2 */
    for (int field = 2; s && field < FIELD_ARG_START; field++)
        s = strchr(s + 1, ' ');
    if (!s || sscanf(s, " %ju %ju", &start, &end) != 2)
        return false;
    *ret_start = (char *)(uintptr_t)start;
    *ret_end = (char *)(uintptr_t)end;
    return start != 0 && start < end;
}

void process_set_title(const char *title)
{
    char *start, *end;

    if (!find_arguments(&start, &end))
        return;
    size_t size = (size_t)(end - start), n = strlen(title);

    memset(start, 0, size);
    memcpy(start, title, n < size ? n : size - 1);
    /*
     * If the last byte is not zero, Linux 5.3 and later show one string, and not the zeros behind
     * it as well.
     */
    if (n + 1 < size)
        end[-1] = '.';
}
