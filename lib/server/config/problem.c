/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "problem.h"

#include <stdarg.h>
#include <stdio.h>

int problem_set(struct problem *p, int status, int error, const char *format, ...)
{
    va_list ap;

    if (!p)
        return error;

    p->status = status;
    va_start(ap, format);
    vsnprintf(p->text, sizeof p->text, format, ap);
    va_end(ap);

    for (char *c = p->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return error;
}
