/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "find-program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

int program_may_execute(const char *path)
{
    int r = faccessat(AT_FDCWD, path, X_OK, AT_EACCESS);

    if (r < 0 && errno == EPERM && geteuid() == getuid() && getegid() == getgid())
        r = access(path, X_OK);
    return r < 0 ? -errno : 0;
}

int program_check(const char *path)
{
    struct stat st;
    struct statvfs fs;

    if (stat(path, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    int r = program_may_execute(path);
    if (r < 0)
        return r;
    if (statvfs(path, &fs) == 0 && fs.f_flag & ST_NOEXEC)
        return -EPERM;
    return 0;
}

static char *candidate_in(const char *directory, size_t n, const char *base, const char *name)
{
    bool below = base && (n == 0 || directory[0] != '/');
    char *path;

    if (asprintf(&path, "%s%s%.*s%s%s", below ? base : "", below ? "/" : "", (int)n, directory,
                 n > 0 ? "/" : "", name) < 0)
        return NULL;
    return path;
}

int program_search(const char *name, const char *path, const char *base, char **ret,
                   char **ret_refused)
{
    char *refused = NULL;
    int error = -ENOENT;

    for (const char *directory = path;; directory++) {
        size_t n = strcspn(directory, ":");
        char *candidate = candidate_in(directory, n, base, name);
        int r = candidate ? program_check(candidate) : -ENOMEM;

        if (r == 0)
            *ret = candidate;
        if (r == 0 || r == -ENOMEM) {
            free(refused);
            return r;
        }
        if (r != -ENOENT && r != -ENOTDIR && !refused) {
            refused = candidate;
            error = r;
        } else {
            free(candidate);
        }
        directory += n;
        if (*directory == '\0')
            break;
    }
    if (ret_refused && refused)
        *ret_refused = refused;
    else
        free(refused);
    return error;
}
