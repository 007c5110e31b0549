/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Whether this process can become the workers' user, and whether that user may enter the directory
 * and execute the program. A short-lived child tries it, so that a mistake is reported in one line
 * at the start and not once per slot. The check is a courtesy: what counts is what happens when a
 * worker starts.
 */

#include "problem.h"

struct account;

/* directory may be NULL. */
int access_check(const struct account *account, const char *directory, const char *program,
                 struct problem *ret_problem);
