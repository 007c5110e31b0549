/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "problem.h"

int problem_at(ait_sandbox_problem *p, int error, const char *file, unsigned line, unsigned column,
               const char *format, ...)
{
    int saved = errno;
    va_list arguments;

    if (!p || p->size < sizeof(*p))
        return error;
    p->error = error;
    p->line = line;
    p->column = column;
    (void)snprintf(p->file, sizeof(p->file), "%s", file ? file : "");
    va_start(arguments, format);
    (void)vsnprintf(p->message, sizeof(p->message), format, arguments);
    va_end(arguments);
    errno = saved;
    return error;
}
