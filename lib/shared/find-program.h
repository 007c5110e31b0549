/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Finds the file of a program before anything is started: errors of exec come too late and say too
 * little.
 */

#include <stddef.h>

/*
 * Whether our effective user may execute the file, or enter the directory; 0, or a negative errno.
 * faccessat2(2) never says EPERM: that is an outer sandbox which does not know the call, while libc
 * falls back only at ENOSYS. Where the effective user is the real one, the older call says the
 * same.
 */
int program_may_execute(const char *path);

/*
 * Returns 0, or why exec would refuse this file itself, with our effective user: -EISDIR, -EINVAL
 * if it is not a regular file, -EPERM if it lies on a file system mounted noexec, or an error of
 * stat(2) or access(2). Does not check interpreters.
 */
int program_check(const char *path);

/*
 * Searches for a name without a slash like execvp(3): returns, in new memory, the first file in the
 * directories of path that program_check() accepts. An empty or relative directory is relative to
 * base (NULL: the working directory, and the result is relative, too).
 *
 * -ENOENT: there is no file of this name. -ENOMEM. Another error is that of the first file that was
 * refused, whose name ret_refused (may be NULL) receives.
 */
int program_search(const char *name, const char *path, const char *base, char **ret,
                   char **ret_refused);
