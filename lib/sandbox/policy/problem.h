/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fills in an ait_sandbox_problem: what was wrong, where, and what to do. Returns the error, so
 * that a caller can report and return in one line. The problem belongs to the caller and may be
 * NULL. If it is smaller than ours, only the members that it has are filled in. errno is preserved.
 */

#include <aiotools-sd/policy.h>

int problem_at(ait_sandbox_problem *p, int error, const char *file, unsigned line, unsigned column,
               const char *format, ...) __attribute__((format(printf, 6, 7)));
