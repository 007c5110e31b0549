/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dropins.h"
#include "systemd.h"

/* systemd.unit(5), the first one first. */
static const char *const system_folders[] = {
    "/etc/systemd/system.control",   "/run/systemd/system.control",  "/run/systemd/transient",
    "/run/systemd/generator.early",  "/etc/systemd/system",          "/etc/systemd/system.attached",
    "/run/systemd/system",           "/run/systemd/system.attached", "/run/systemd/generator",
    "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",      "/lib/systemd/system",
    "/run/systemd/generator.late",
};

#define N_FOLDERS (sizeof(system_folders) / sizeof(system_folders[0]))

struct search {
    const char *root; /* of the system whose folders are looked at */
    int root_length;
    const char *own; /* the only folder; NULL: those of the system */
    const char *type;
    struct dropin *found;
};

struct dropin *dropins_free(struct dropin *dropins)
{
    while (dropins) {
        struct dropin *next = dropins->next;
        free(dropins);
        dropins = next;
    }
    return NULL;
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool is_conf(const char *name)
{
    size_t n = strlen(name);

    return *name != '.' && n > 5 && !strcmp(name + n - 5, ".conf");
}

/* In its place, unless one of this name is there. */
static int add_file(struct search *s, const char *folder, const char *base)
{
    struct dropin **at = &s->found;
    size_t size = strlen(folder) + strlen(base) + 2;

    while (*at && strcmp((*at)->base, base) < 0)
        at = &(*at)->next;
    if (*at && !strcmp((*at)->base, base))
        return 0;
    struct dropin *dropin = malloc(sizeof(*dropin) + size);
    if (!dropin)
        return -ENOMEM;
    (void)snprintf(dropin->path, size, "%s/%s", folder, base);
    dropin->base = dropin->path + strlen(folder) + 1;
    dropin->next = *at;
    *at = dropin;
    return 0;
}

/* systemd, which may read everything, would know what is in a folder that cannot be read. */
static int add_folder(struct search *s, const char *folder)
{
    DIR *dir = opendir(folder);
    int e = dir || errno == ENOENT || errno == ENOTDIR ? 0 : -errno;

    for (struct dirent *entry; e >= 0 && dir && (entry = readdir(dir));)
        e = is_conf(entry->d_name) ? add_file(s, folder, entry->d_name) : 0;
    if (dir)
        (void)closedir(dir);
    return e;
}

static int add_everywhere(struct search *s, size_t folder, const char *name)
{
    char path[PATH_MAX];
    int n = s->own ? snprintf(path, sizeof(path), "%s/%s.d", s->own, name)
                   : snprintf(path, sizeof(path), "%.*s%s/%s.d", s->root_length, s->root,
                              system_folders[folder], name);

    return (size_t)n < sizeof(path) ? add_folder(s, path) : 0;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* What stands before the last dash that is not the last character, with this dash. 0: nothing. */
static size_t shorter_prefix(const char *prefix, size_t n)
{
    if (n > 0 && prefix[n - 1] == '-')
        n--;
    while (n > 0 && prefix[n - 1] != '-')
        n--;
    return n > 1 ? n : 0;
}

/* The folders of a name, then those of the names that it includes, each more general. */
static int add_names(struct search *s, size_t folder,
                     const char *name) /* NOLINT(misc-no-recursion) */
{
    const char *dot = strrchr(name, '.'), *sign = strchr(name, '@');
    bool is_instance = sign && sign < dot && sign + 1 < dot;
    size_t length = (size_t)((sign && sign < dot ? sign : dot) - name);
    char other[NAME_MAX + 1];
    int e = add_everywhere(s, folder, name);

    if (e >= 0 && is_instance) {
        (void)snprintf(other, sizeof(other), "%.*s@%s", (int)length, name, dot);
        e = add_names(s, folder, other);
    }
    length = shorter_prefix(name, length);
    if (e < 0 || length == 0)
        return e;
    (void)snprintf(other, sizeof(other), "%.*s%s", (int)length, name, is_instance ? sign : dot);
    return add_names(s, folder, other);
}

static int add_all(struct search *s, const char *name)
{
    size_t n = s->own ? 1 : N_FOLDERS;
    int e = 0;

    for (size_t i = 0; i < n && e >= 0 && strlen(name) <= NAME_MAX; i++)
        e = add_names(s, i, name);
    return e;
}

/* ---- a unit ---------------------------------------------------------------------------------- */

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static void look_for_system(struct search *s, const char *folder)
{
    size_t n = strlen(folder);

    s->own = folder;
    for (size_t i = 0; i < N_FOLDERS; i++) {
        size_t m = strlen(system_folders[i]);
        if (n < m || strcmp(folder + n - m, system_folders[i]) != 0)
            continue;
        s->own = NULL;
        s->root = folder;
        s->root_length = (int)(n - m);
        return;
    }
}

/* The name of the unit that the file is a link to; "": it is none, or a link to the template. */
static void name_behind(const char *unit, char ret[static PATH_MAX])
{
    char path[PATH_MAX];
    const char *type = unit_type(unit), *other;

    *ret = 0;
    if (!realpath(unit, path))
        return;
    other = unit_type(path);
    if (strchr(base_of(path), '@') || !other || strcmp(type, other) != 0 ||
        !strcmp(base_of(path), base_of(unit)))
        return;
    (void)snprintf(ret, PATH_MAX, "%s", base_of(path));
}

static int search(struct search *s, const char *unit)
{
    char behind[PATH_MAX];
    int e = 0;

    name_behind(unit, behind);
    if (*behind)
        e = add_all(s, behind);
    if (e >= 0)
        e = add_all(s, base_of(unit));
    for (size_t i = 0; i < (s->own ? 1 : N_FOLDERS) && e >= 0; i++)
        e = add_everywhere(s, i, s->type);
    return e;
}

int dropins_find(const char *unit, struct dropin **ret)
{
    const char *base = base_of(unit);
    struct search s = {.type = unit_type(unit)};
    char named[PATH_MAX], folder[PATH_MAX];

    if (!s.type)
        return 0;
    if ((size_t)snprintf(named, sizeof(named), "%.*s.", (int)(base - unit), unit) >= sizeof(named))
        return -ENAMETOOLONG;
    if (!realpath(named, folder))
        return -errno;
    look_for_system(&s, folder);
    int e = search(&s, unit);
    if (e < 0) {
        (void)dropins_free(s.found);
        return e;
    }
    *ret = s.found;
    return 0;
}
