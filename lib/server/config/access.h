/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_ACCESS_H
#define SERVER_ACCESS_H

/*
 * Whether the workers' user can be taken on, and may enter the directory and execute the program. Found out
 * by doing it in a short-lived child, so that a mistake is one line at the start instead of one for each
 * slot. Only a courtesy: what holds is what the start of a worker meets.
 */

#include "problem.h"

struct account;

/* directory may be NULL. */
int access_check(const struct account *account, const char *directory, const char *program,
                 struct problem *ret_problem);

#endif
