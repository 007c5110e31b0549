/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Makes the program with libseccomp, which leaks memory. It is for a process that ends soon.
 *
 * libseccomp gets a placeholder errno for each answer, which is replaced in the finished code: it
 * does not accept SCMP_ACT_NOTIFY as the default, and asks the running kernel which actions exist.
 */

#include "verify.h"

#define PROGRAM_FAILURE_MAX 256

/*
 * Writes the finished program to fd; scratch holds parts of it. Both are empty files. failure
 * receives the error message.
 */
int program_write(const struct filter_terms *terms, int fd, int scratch,
                  char failure[PROGRAM_FAILURE_MAX]);

/* The program for intended ENOSYS answers, made without libseccomp. *ret belongs to the caller. */
int program_quiet(const struct filter_terms *terms, struct sock_filter **ret, size_t *ret_n);

/* -E2BIG, with a message in failure: the policy is too large to be given to libseccomp. */
int program_is_bounded(const ait_policy *policy, char failure[PROGRAM_FAILURE_MAX]);
