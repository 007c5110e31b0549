/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which file a program is: looked up before anything is started, for the errors of exec are told too late and by too few words. */

#include <stddef.h>

/*
 * 0, or why exec would refuse this file itself, with our effective user: -EISDIR, -EINVAL where it is no regular file, -EPERM where it lies on a
 * file system mounted noexec, or an error of stat(2) or access(2). Says nothing of an interpreter.
 */
int program_check(const char *path);

/*
 * As execvp(3) looks for a name without a slash: the first file in the directories of path that program_check() lets through, in new memory. An empty or
 * a relative directory is taken below base (NULL: where we are, and the result is relative, too).
 *
 * -ENOENT: there is no file of this name. Another error is that of the first file that was refused, whose name ret_refused (may be NULL) receives. -ENOMEM.
 */
int program_search(const char *name, const char *path, const char *base, char **ret, char **ret_refused);
