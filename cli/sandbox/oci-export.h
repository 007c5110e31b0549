/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CLI_OCI_EXPORT_H
#define CLI_OCI_EXPORT_H

/*
 * Policies for container runtimes: the "seccomp" object of the OCI runtime specification. An entry with arguments says nothing of all others, which get
 * the default; a policy that answers them otherwise is refused. What is written is as strict as the policy.
 */

#include <stdio.h>

#include <aiotools-sd/policy.h>

/* -EOPNOTSUPP, with the call in problem: it looks at its arguments in a way that an entry cannot say. */
int oci_export(const ait_policy *policy, const char *name, FILE *out, ait_sandbox_problem *problem);

#endif
