/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "limits.h"

/* Where a limit is the cause, only that can help, whatever would help otherwise. */
static void name_limit(struct problem *p, int error)
{
    char remedy[LIMITS_REMEDY_MAX];
    const char *why = strerror(error), *found = strstr(p->text, why);
    size_t n = found ? (size_t)(found - p->text) + strlen(why) : strcspn(p->text, ";(");

    if (limits_remedy(error, remedy))
        (void)snprintf(p->text + n, sizeof p->text - n, "; %s", remedy);
}

int problem_set(struct problem *p, int status, int error, const char *format, ...)
{
    va_list ap;

    if (!p)
        return error;

    p->status = status;
    p->final = false;
    va_start(ap, format);
    vsnprintf(p->text, sizeof p->text, format, ap);
    va_end(ap);
    name_limit(p, -error);

    for (char *c = p->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return error;
}

bool problem_is_refusal(int error)
{
    return error == -EPERM || error == -ENOSYS || error == -EACCES;
}

int problem_set_refused(struct problem *p, int error, const char *call, const char *what)
{
    (void)problem_set(p, STATUS_OS, error, "%s: " PROBLEM_REFUSED, what, call, strerror(-error));
    if (p)
        p->final = true;
    return error;
}
