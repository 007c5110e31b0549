/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "oom.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "slurp.h"

/* Where the hierarchies are mounted; with both, version 2 is in "unified". */
static const struct hierarchy {
    const char *controller; /* "" is the line of version 2 */
    const char *mount, *file, *limit;
} hierarchies[] = {
    {"", "", "memory.events", "memory.max"},
    {"", "/unified", "memory.events", "memory.max"},
    {"memory", "/memory", "memory.oom_control", "memory.limit_in_bytes"},
};

static bool read_count(const char *path, uint64_t *ret)
{
    /* /proc/vmstat has some hundred lines. */
    char text[16384];

    if (read_text(path, text, sizeof(text)) < 0)
        return false;
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (sscanf(line, "oom_kill %" SCNu64, ret) == 1)
            return true;
    return false;
}

/* The line of /proc/self/cgroup is "N:CONTROLLER,...:/GROUP". */
static bool is_line_of(const char *line, const char *controller)
{
    const char *list = strchr(line, ':'), *end = list ? strchr(list + 1, ':') : NULL;
    size_t n = strlen(controller);

    if (!end)
        return false;
    if (n == 0)
        return end == list + 1;
    for (list++; list < end; list += strcspn(list, ",:") + 1)
        if (strcspn(list, ",:") == n && memcmp(list, controller, n) == 0)
            return true;
    return false;
}

static bool try_path(struct oom_counter *c, const struct hierarchy *h, const char *root,
                     const char *group)
{
    uint64_t n;

    c->limit = h->limit;
    return snprintf(c->path, sizeof(c->path), "%s%s%s/%s", root, h->mount, group, h->file) <
               (int)sizeof(c->path) &&
           read_count(c->path, &n);
}

static bool try_line(struct oom_counter *c, const char *line, const char *root)
{
    const char *group = strrchr(line, ':') + 1;

    if (strcmp(group, "/") == 0)
        group = "";
    for (size_t i = 0; i < sizeof(hierarchies) / sizeof(*hierarchies); i++)
        /* A container sees its own group as the root, perhaps under its outer name. */
        if (is_line_of(line, hierarchies[i].controller) &&
            (try_path(c, &hierarchies[i], root, group) || try_path(c, &hierarchies[i], root, "")))
            return true;
    return false;
}

void oom_counter_init(struct oom_counter *counter, const char *proc_self_cgroup,
                      const char *cgroup_root, const char *proc_vmstat)
{
    char text[8192], *save = NULL;
    uint64_t n;

    if (read_text(proc_self_cgroup, text, sizeof(text)) >= 0)
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
            if (strchr(line, ':') && try_line(counter, line, cgroup_root))
                return;
    counter->limit = NULL;
    if (!read_count(proc_vmstat, &n))
        proc_vmstat = "";
    (void)snprintf(counter->path, sizeof(counter->path), "%s", proc_vmstat);
}

uint64_t oom_count(const struct oom_counter *counter)
{
    uint64_t n;

    return counter->path[0] && read_count(counter->path, &n) ? n : 0;
}

uint64_t oom_limit(const struct oom_counter *counter)
{
    char path[PATH_MAX + 32], text[64];
    const char *slash = strrchr(counter->path, '/');
    uint64_t n;

    if (!counter->limit || !slash)
        return UINT64_MAX;
    (void)snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - counter->path), counter->path,
                   counter->limit);
    /* Version 1 writes a number near 2^63 for "none". */
    if (read_text(path, text, sizeof(text)) < 0 || sscanf(text, "%" SCNu64, &n) != 1 ||
        n >= UINT64_C(1) << 62)
        return UINT64_MAX;
    return n;
}
