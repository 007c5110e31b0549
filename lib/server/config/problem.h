/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * problem: the error message for a start that fails.
 *
 * One line that names the option, the cause and the remedy, and the exit status that goes with it.
 * A function that takes a `struct problem *` fills it exactly when it fails, and also returns a
 * negative errno. NULL is allowed. The caller owns the struct, which needs no allocation, and
 * decides where the text goes. Nothing here prints or exits.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    STATUS_USAGE = 64,       /* the command line does not parse */
    STATUS_UNAVAILABLE = 69, /* gave up; no such server */
    STATUS_OS = 71,          /* the system refused */
    STATUS_SANDBOX = 77,     /* the sandbox could not be applied */
    STATUS_CONFIG = 78,      /* what is named is absent, or the configuration is wrong */
};

struct problem {
    int status;     /* exit status, one of the above */
    bool final;     /* trying again cannot help: an outer sandbox refuses a call */
    char text[768]; /* one line, no newline, control characters replaced */
};

/*
 * Fills `p` (may be NULL) and returns `error`, a negative errno, so that `return problem_set(...)`
 * reads well. If the error is that of a limit of this process, the remedy of the text is replaced
 * by the limit's (limits.h).
 */
int problem_set(struct problem *p, int status, int error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * Whether an outer sandbox refuses a call in this way, or a kernel that does not have it: an errno
 * that the call itself does not return where we use it.
 */
bool problem_is_refusal(int error);

/*
 * "WHAT: CALL(2) is refused (...) by an outer sandbox, or the kernel is too old; ...", STATUS_OS
 * and final. Returns `error`.
 */
int problem_set_refused(struct problem *p, int error, const char *call, const char *what);
/* The part of that behind "WHAT: ", for messages that have more to say. */
#define PROBLEM_REFUSED                                                                            \
    "%s(2) is refused (%s) by an outer sandbox, or the kernel is too old; allow the call in the "  \
    "container's seccomp profile or the unit's SystemCallFilter="
