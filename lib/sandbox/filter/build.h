/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Makes the program, with libseccomp, whose memory is not given back in full: for a process that ends soon.
 *
 * libseccomp is told an errno of our own for each answer, which is put right in the finished code: it takes no SCMP_ACT_NOTIFY as
 * default, and asks the kernel that it runs on which actions there are.
 */

#include "verify.h"

#define PROGRAM_FAILURE_MAX 256

/* Writes the finished program to fd, with scratch as a place for parts of it; both are files, and empty. A failure is told in failure. */
int program_write(const struct filter_terms *terms, int fd, int scratch, char failure[PROGRAM_FAILURE_MAX]);

/* The program for designed ENOSYS; without libseccomp. *ret is the caller's. */
int program_quiet(const struct filter_terms *terms, struct sock_filter **ret, size_t *ret_n);

/* -E2BIG, told in failure: what libseccomp should not even see. */
int program_is_bounded(const ait_policy *policy, char failure[PROGRAM_FAILURE_MAX]);
