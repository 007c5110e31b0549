/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cgroup-place.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "slurp.h"

#define FILE_MAX ((size_t)16 << 20) /* hosts of containers have thousands of mounts */

static int fail(struct problem *p, int error, const char *text)
{
    return problem_set(p, STATUS_OS, error, "%s", text);
}

/* ---- our own group --------------------------------------------------------------------------- */

/* The line of version 2 is "0::/PATH". */
static int read_path(char **ret, const char *file)
{
    char *text, *line;
    size_t size;
    int r = slurp_path(file, 0, FILE_MAX, &text, &size);

    if (r < 0)
        return r;
    line = strncmp(text, "0::/", 4) == 0 ? text : strstr(text, "\n0::/");
    if (line) {
        line = strchr(line, '/');
        line[strcspn(line, "\n")] = '\0';
        *ret = strdup(strcmp(line, "/") == 0 ? "" : line);
        r = *ret ? 0 : -ENOMEM;
    } else {
        r = -ENOENT;
    }
    free(text);
    return r;
}

/* Spaces, tabs, newlines and backslashes of a path are \040 etc. */
static void decode(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++) {
        if (from[0] == '\\' && from[1] && from[2] && from[3]) {
            *to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 3;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
}

/* What is left of the path below the root of a mount; NULL: it is elsewhere. */
static const char *below(const char *path, const char *root)
{
    size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);

    if (strncmp(path, root, n) != 0 || (path[n] != '\0' && path[n] != '/'))
        return NULL;
    return path + n;
}

/* "ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS... - TYPE SOURCE OPTIONS" */
static bool split(char *line, char **ret_root, char **ret_point)
{
    char *type = strstr(line, " - "), *save = NULL, *word;

    if (!type || strncmp(type + 3, "cgroup2 ", 8) != 0)
        return false;
    word = strtok_r(line, " ", &save);
    for (unsigned i = 0; word && i < 3; i++)
        word = strtok_r(NULL, " ", &save);
    *ret_root = word;
    *ret_point = word ? strtok_r(NULL, " ", &save) : NULL;
    return *ret_point;
}

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* 1: the mount shows it; 0: it does not. */
static int look_below(struct cgroup_place *place, const char *root, const char *point)
{
    const char *rest = below(place->path, root);

    /* Out of our namespace: there is no name for it here. */
    if (!rest || strncmp(place->path, "/..", 3) == 0)
        return 0;
    if (asprintf(&place->directory, "%s%s", strcmp(point, "/") == 0 ? "" : point, rest) < 0) {
        place->directory = NULL;
        return -ENOMEM;
    }
    if (is_directory(place->directory))
        return 1;
    free(place->directory);
    place->directory = NULL;
    return 0;
}

static int find_directory(struct cgroup_place *place, const char *mountinfo)
{
    char *text, *save = NULL, *root, *point;
    size_t size;
    int r = slurp_path(mountinfo, 0, FILE_MAX, &text, &size), found = -ENOENT;

    if (r < 0)
        return r;
    for (char *line = strtok_r(text, "\n", &save); line && r == 0;
         line = strtok_r(NULL, "\n", &save)) {
        if (!split(line, &root, &point))
            continue;
        found = -EXDEV;
        decode(root);
        decode(point);
        r = look_below(place, root, point);
    }
    free(text);
    return r == 0 ? found : r < 0 ? r : 0;
}

int cgroup_place_find(struct cgroup_place *ret, const char *proc_self_cgroup,
                      const char *proc_self_mountinfo, struct problem *ret_problem)
{
    struct cgroup_place place = CGROUP_PLACE_NONE;
    int r = read_path(&place.path, proc_self_cgroup);

    if (r >= 0)
        r = find_directory(&place, proc_self_mountinfo);
    if (r >= 0) {
        *ret = place;
        return 0;
    }
    (void)cgroup_place_done(&place);
    if (r == -EXDEV)
        return fail(ret_problem, r,
                    "no mount of version 2 shows the group that we are in; mount /sys/fs/cgroup of "
                    "the same namespace");
    if (r == -ENOENT)
        return fail(ret_problem, r,
                    "version 2 is not mounted; mount -t cgroup2 none /sys/fs/cgroup");
    return fail(ret_problem, r, strerror(-r));
}

struct cgroup_place *cgroup_place_done(struct cgroup_place *place)
{
    if (!place)
        return NULL;
    free(place->path);
    free(place->directory);
    *place = (struct cgroup_place)CGROUP_PLACE_NONE;
    return NULL;
}

/* ---- whose it is ----------------------------------------------------------------------------- */

bool cgroup_place_has_systemd(void)
{
    /* As sd_booted(3). */
    return is_directory("/run/systemd/system");
}

enum kind { KIND_NONE, KIND_SERVICE, KIND_SCOPE, KIND_OTHER };

static bool ends_with(const char *text, size_t n, const char *suffix)
{
    size_t m = strlen(suffix);

    return n > m && memcmp(text + n - m, suffix, m) == 0;
}

static enum kind kind_of(const char *name, size_t n)
{
    static const char *const others[] = {".slice", ".socket", ".mount", ".swap"};

    if (ends_with(name, n, ".service"))
        return KIND_SERVICE;
    if (ends_with(name, n, ".scope"))
        return KIND_SCOPE;
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        if (ends_with(name, n, others[i]))
            return KIND_OTHER;
    return KIND_NONE;
}

/* The innermost unit on the path. Its name ends before *ret_rest. */
static enum kind find_unit(const char *path, const char **ret_name, const char **ret_rest)
{
    for (const char *end = path + strlen(path); end > path;) {
        const char *slash = end - 1;

        while (slash > path && *slash != '/')
            slash--;
        enum kind kind = kind_of(slash + 1, (size_t)(end - slash - 1));
        if (kind != KIND_NONE) {
            *ret_name = slash + 1;
            *ret_rest = end;
            return kind;
        }
        end = slash;
    }
    return KIND_NONE;
}

static bool has_mark(const char *directory, const char *name)
{
    char value[2];

    return getxattr(directory, name, value, sizeof(value)) == 1 && value[0] == '1';
}

/*
 * systemd marks the group of a unit with Delegate=. The mark that others than root can read is
 * there since systemd 251. Before, the user of the service has got the directory, which is no sign
 * below a user's own systemd: that user has all of them.
 */
static bool is_delegated(const char *directory, const char *path)
{
    struct stat st;

    if (has_mark(directory, "trusted.delegate") || has_mark(directory, "user.delegate"))
        return true;
    return geteuid() != 0 && !strstr(path, "/user@") && stat(directory, &st) == 0 &&
           st.st_uid == geteuid();
}

int cgroup_place_check(const struct cgroup_place *place, bool has_systemd,
                       struct problem *ret_problem)
{
    const char *name = "", *rest = "";
    char directory[PATH_MAX];
    enum kind kind;
    int n;

    if (!has_systemd)
        return 0;
    kind = find_unit(place->path, &name, &rest);
    if (kind == KIND_SCOPE)
        return 0;
    if (kind != KIND_SERVICE)
        return problem_set(ret_problem, STATUS_OS, -EPERM,
                           "the group %s is systemd's own; start the server as a service with "
                           "Delegate=yes, or by systemd-run --scope",
                           *place->path ? place->path : "/");
    n = (int)(strlen(place->directory) - strlen(rest));
    /* A mount that begins below the unit does not show the mark. */
    if (n <= 0 || snprintf(directory, sizeof(directory), "%.*s", n, place->directory) >=
                      (int)sizeof(directory))
        directory[0] = '\0';
    if (is_delegated(directory, place->path))
        return 0;
    return problem_set(ret_problem, STATUS_OS, -EPERM,
                       "%.*s may make no groups; set Delegate=yes in its unit", (int)(rest - name),
                       name);
}
