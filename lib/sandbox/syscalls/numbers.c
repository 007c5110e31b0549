/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <pthread.h>
#include <seccomp.h>
#include <string.h>

#include "nearest.h"
#include "syscalls.h"

/* Calls that libseccomp 2.5.4 does not know. */
static const struct {
    const char *name;
    int number;
} newer[] = {
#ifdef __x86_64__
    {"uretprobe", 335},
    {"uprobe", 336},
#endif
    {"set_mempolicy_home_node", 450},
    {"cachestat", 451},
    {"fchmodat2", 452},
    {"map_shadow_stack", 453},
    {"futex_wake", 454},
    {"futex_wait", 455},
    {"futex_requeue", 456},
    {"statmount", 457},
    {"listmount", 458},
    {"lsm_get_self_attr", 459},
    {"lsm_set_self_attr", 460},
    {"lsm_list_modules", 461},
    {"mseal", 462},
    {"setxattrat", 463},
    {"getxattrat", 464},
    {"listxattrat", 465},
    {"removexattrat", 466},
    {"open_tree_attr", 467},
    {"file_getattr", 468},
    {"file_setattr", 469},
};

static const char *names[SYSCALL_NEWEST + 1];
static pthread_once_t names_once = PTHREAD_ONCE_INIT;

static bool is_known(const char *name)
{
    for (const char *p = syscall_known; *p; p += strlen(p) + 1)
        if (!strcmp(p, name))
            return true;
    return false;
}

AIT_PUBLIC int ait_syscall_from_name(const char *name)
{
    if (!name)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(newer) / sizeof(newer[0]); i++)
        if (!strcmp(newer[i].name, name))
            return newer[i].number;
    int number = seccomp_syscall_resolve_name(name);
    if (number >= 0)
        return number <= SYSCALL_NEWEST ? number : -ENOENT;
    return number != __NR_SCMP_ERROR || is_known(name) ? -EOPNOTSUPP : -ENOENT;
}

static void index_names(void)
{
    for (const char *p = syscall_known; *p; p += strlen(p) + 1) {
        int number = ait_syscall_from_name(p);
        if (number >= 0)
            names[number] = p;
    }
}

AIT_PUBLIC const char *ait_syscall_name(int number)
{
    (void)pthread_once(&names_once, index_names);
    return number >= 0 && number <= SYSCALL_NEWEST ? names[number] : NULL;
}

AIT_PUBLIC int ait_syscall_newest(void)
{
    return SYSCALL_NEWEST;
}

/* ---- groups ---------------------------------------------------------------------------------- */

const struct syscall_group *syscall_group_find(const char *name)
{
    for (size_t i = 0; i < syscall_n_groups; i++)
        if (!strcmp(syscall_groups[i].name, name))
            return &syscall_groups[i];
    return NULL;
}

AIT_PUBLIC const char *ait_syscall_group_name(size_t index)
{
    return index < syscall_n_groups ? syscall_groups[index].name : NULL;
}

AIT_PUBLIC const char *ait_syscall_group_text(const char *group)
{
    const struct syscall_group *g = group ? syscall_group_find(group) : NULL;

    return g ? g->text : NULL;
}

AIT_PUBLIC int ait_syscall_group_foreach(const char *group, ait_syscall_group_cb cb, void *userdata)
{
    if (!group || !cb)
        return -EINVAL;
    const struct syscall_group *g = syscall_group_find(group);
    if (!g)
        return -ENOENT;
    for (const char *p = g->members; *p; p += strlen(p) + 1) {
        int r = cb(p, userdata);
        if (r != 0)
            return r;
    }
    return 0;
}

/* The table nests groups at most twice. */
int syscall_group_expand(const char *group, int (*fn)(int number, void *userdata),
                         void *userdata) /* NOLINT(misc-no-recursion) */
{
    const struct syscall_group *g = syscall_group_find(group);

    if (!g)
        return -ENOENT;
    for (const char *p = g->members; *p; p += strlen(p) + 1) {
        int number = *p == '@' ? 0 : ait_syscall_from_name(p);
        if (number < 0)
            continue;
        int r = *p == '@' ? syscall_group_expand(p, fn, userdata) : fn(number, userdata);
        if (r != 0)
            return r;
    }
    return 0;
}

/* ---- suggestions ----------------------------------------------------------------------------- */

const char *syscall_nearest(const char *name)
{
    size_t n = strlen(name);
    struct nearest nearest = {.word = name, .n = n, .distance = 2 + (unsigned)n / 5};

    if (*name == '@')
        for (size_t i = 0; i < syscall_n_groups; i++)
            (void)nearest_offer(&nearest, syscall_groups[i].name);
    else
        for (int i = 0; i <= SYSCALL_NEWEST; i++)
            if (ait_syscall_name(i))
                (void)nearest_offer(&nearest, ait_syscall_name(i));
    return nearest.best;
}
