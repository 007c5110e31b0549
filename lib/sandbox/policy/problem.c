/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "options.h"
#include "problem.h"

int problem_at(ait_sandbox_problem *p, int error, const char *file, unsigned line, unsigned column,
               const char *format, ...)
{
    ait_sandbox_problem full = {.error = error, .line = line, .column = column};
    int saved = errno;
    va_list arguments;

    if (!p)
        return error;
    (void)snprintf(full.file, sizeof(full.file), "%s", file ? file : "");
    va_start(arguments, format);
    (void)vsnprintf(full.message, sizeof(full.message), format, arguments);
    va_end(arguments);
    /* A text that does not fit a smaller struct is truncated. */
    if (options_fill(p, &full, sizeof(full)) >= 0 &&
        p->size > offsetof(ait_sandbox_problem, file) && p->size < sizeof(full))
        ((char *)p)[p->size - 1] = '\0';
    errno = saved;
    return error;
}
