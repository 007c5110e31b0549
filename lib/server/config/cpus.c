/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "parse.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "slurp.h"

/* Where the two hierarchies are mounted; with both, v2 is in "unified". */
static const struct hierarchy {
    const char *controller; /* "" is v2's own line */
    const char *mounts[3];
} hierarchies[] = {
    {"", {"", "/unified", NULL}},
    {"cpu", {"/cpu", "/cpu,cpuacct", NULL}},
};

static unsigned quota_to_cpus(long long quota, long long period)
{
    long long n;

    if (quota <= 0 || period <= 0)
        return UINT_MAX;
    n = quota / period + (quota % period != 0);
    return n < (long long)UINT_MAX ? (unsigned)n : UINT_MAX;
}

/* "200000 100000", or "max 100000" */
static unsigned quota_v2(const char *folder)
{
    char path[PATH_MAX + 32], text[64];
    long long quota, period;

    snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (read_text(path, text, sizeof text) < 0 || sscanf(text, "%lld %lld", &quota, &period) != 2)
        return UINT_MAX;
    return quota_to_cpus(quota, period);
}

static unsigned quota_v1(const char *folder)
{
    char path[PATH_MAX + 32], text[64];
    long long quota, period;

    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    if (read_text(path, text, sizeof text) < 0 || sscanf(text, "%lld", &quota) != 1)
        return UINT_MAX;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    if (read_text(path, text, sizeof text) < 0 || sscanf(text, "%lld", &period) != 1)
        return UINT_MAX;
    return quota_to_cpus(quota, period);
}

/*
 * The smallest quota of a group and its ancestors. A group that is not visible here has no effect
 * (a container shows its own group as the root, but the outer name in /proc): the search still ends
 * at the mount's root.
 */
static unsigned quota_upwards(const char *mount, const char *group, unsigned (*quota)(const char *))
{
    char folder[PATH_MAX];
    size_t base = strlen(mount);
    unsigned least = UINT_MAX;
    char *slash;

    if (snprintf(folder, sizeof folder, "%s%s", mount, group) >= (int)sizeof folder)
        return UINT_MAX;
    for (;;) {
        unsigned n = quota(folder);

        if (n < least)
            least = n;
        slash = strrchr(folder, '/');
        if (!slash || slash < folder + base)
            return least;
        *slash = 0;
    }
}

/* Whether `list`, "cpu,cpuacct" and ended by a colon, names the controller; v2's list is empty. */
static bool list_has(const char *list, const char *controller)
{
    size_t n = strlen(controller);

    if (n == 0)
        return *list == ':';
    for (;;) {
        if (strncmp(list, controller, n) == 0 && (list[n] == ',' || list[n] == ':'))
            return true;
        list += strcspn(list, ",:");
        if (*list != ',')
            return false;
        list++;
    }
}

static unsigned quota_of_line(const char *list, const char *group, const char *cgroup_root)
{
    char mount[PATH_MAX];
    unsigned least = UINT_MAX;

    for (size_t h = 0; h < sizeof hierarchies / sizeof *hierarchies; h++) {
        if (!list_has(list, hierarchies[h].controller))
            continue;
        for (const char *const *m = hierarchies[h].mounts; *m; m++) {
            unsigned n;

            if (snprintf(mount, sizeof mount, "%s%s", cgroup_root, *m) >= (int)sizeof mount)
                continue;
            n = quota_upwards(mount, group, h == 0 ? quota_v2 : quota_v1);
            if (n < least)
                least = n;
        }
    }
    return least;
}

unsigned cpu_quota(const char *proc_self_cgroup, const char *cgroup_root)
{
    char text[8192], *save = NULL;
    unsigned least = UINT_MAX;

    if (read_text(proc_self_cgroup, text, sizeof text) < 0)
        return UINT_MAX;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *list = strchr(line, ':');
        char *group = list ? strchr(list + 1, ':') : NULL;
        unsigned n;

        if (!group)
            continue;
        n = quota_of_line(list + 1, group + 1, cgroup_root);
        if (n < least)
            least = n;
    }
    return least;
}

static unsigned cpu_affinity(void)
{
    cpu_set_t sets[8]; /* 8192 CPUs, the most a kernel can be built for */
    int n;

    if (sched_getaffinity(0, sizeof sets, sets) < 0)
        return 1;
    n = CPU_COUNT_S(sizeof sets, sets);
    return n > 0 ? (unsigned)n : 1;
}

unsigned cpu_count(void)
{
    unsigned cpus = cpu_affinity(), quota = cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup");

    return quota < cpus ? quota : cpus;
}
