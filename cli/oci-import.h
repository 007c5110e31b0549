/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reads policies of container runtimes: the "seccomp" object of the OCI runtime specification, and
 * docker's profiles, which add includes and excludes.
 *
 * A profile means what runc, crun and libseccomp make of it: entries of one system call are
 * alternatives, those with the default's action are left out, and the first without arguments
 * decides for the call, whatever the others say. What they pass over silently becomes a note of the
 * policy. Arguments of which the kernel reads 32 bits are compared as 32 bits. docker's conditions
 * (capabilities, architecture, kernel) are evaluated for the reading process: no capabilities, this
 * architecture, this kernel.
 *
 * No state is kept. The policy belongs to the caller.
 */

#include <aiotools-sd/policy.h>

/*
 * An ait_policy_import_cb; userdata is not used. Messages begin with the JSON pointer of what is
 * wrong.
 */
int oci_import(ait_policy **ret, const char *name, const char *text, size_t length,
               ait_sandbox_problem *problem, void *userdata);
