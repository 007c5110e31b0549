/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Writes policies for container runtimes: the "seccomp" object of the OCI runtime specification.
 * Arguments that no entry matches get the default. A policy that answers them otherwise is refused.
 * The output is as strict as the policy.
 */

#include <stdio.h>

#include <aiotools-sd/policy.h>

/*
 * -EOPNOTSUPP: a call's rules on arguments cannot be expressed by entries; problem names the call.
 */
int oci_export(const ait_policy *policy, const char *name, FILE *out, ait_sandbox_problem *problem);
