/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The program that the command line names, found and checked before anything is started.
 *
 * Every refusal is one line with cause and remedy (status 78). What only the worker's user may not
 * do shows at exec, and the start reports it (worker/spawn.h). The caller must free the path.
 */

#include "problem.h"

/*
 * program: a name without a slash is looked up in path (a value of PATH; NULL: the system's
 * default), anything else is taken relative to working_directory (NULL: ours). Tells apart: absent,
 * a directory, not executable, on a noexec mount, a script or ELF file whose interpreter is absent.
 */
int spawn_resolve_program(const char *program, const char *path, const char *working_directory,
                          char **ret_path, struct problem *ret_problem);
