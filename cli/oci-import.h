/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CLI_OCI_IMPORT_H
#define CLI_OCI_IMPORT_H

/*
 * Policies as container runtimes have them: the "seccomp" object of the OCI runtime specification, and docker's profiles, which add includes and excludes.
 *
 * Entries of one system call are alternatives. One without arguments decides for the call, whatever the others say, as in libseccomp, which the runtimes
 * use; where it contradicts one with arguments, that is refused. Comparisons of an argument of which the kernel reads 32 bits are made with 32 bits. Conditions of docker's
 * (capabilities, architecture, kernel) are decided for the process that reads: no capabilities, this architecture, this kernel.
 *
 * Nothing is kept; the policy is the caller's.
 */

#include <aiotools-sd/policy.h>

/* An ait_policy_import_cb; userdata is not used. Messages begin with the JSON pointer of what is wrong. */
int oci_import(ait_policy **ret, const char *name, const char *text, size_t length,
               ait_sandbox_problem *problem, void *userdata);

#endif
