/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "family.h"

#include <errno.h>

int family_init(struct family *ret, struct cgroups *groups, unsigned slot)
{
    *ret = (struct family)FAMILY_INIT;
    if (!groups)
        return 0;
    ret->groups = groups;
    return cgroups_add(groups, slot, &ret->group);
}

bool family_settle(struct family *family)
{
    if (!family_has_group(family))
        return true;
    if (cgroup_has(&family->group, family->tree.pid) != 0)
        return true;
    (void)cgroup_remove(&family->group);
    return false;
}

int family_done(struct family *family)
{
    return cgroup_remove(&family->group);
}

ssize_t family_kill(const struct family *family, guardian_known_fn is_known, void *userdata)
{
    if (family_has_group(family) && cgroup_kill(&family->group) > 0) {
        ssize_t n = cgroup_look(&family->group, 0, NULL);
        return n > 0 ? n : 1;
    }
    return guardian_tree_kill(&family->tree, is_known, userdata);
}

ssize_t family_signal(const struct family *family, guardian_known_fn is_known, void *userdata,
                      int signo)
{
    ssize_t n =
        family_has_group(family) ? cgroup_signal(&family->group, family->tree.pid, signo) : 0;

    return n > 0 ? n : guardian_tree_signal(&family->tree, is_known, userdata, signo);
}

ssize_t family_look(const struct family *family, guardian_known_fn is_known, void *userdata,
                    struct process_names *names)
{
    ssize_t n = family_has_group(family) ? cgroup_look(&family->group, family->tree.pid, names) : 0;

    return n > 0 ? n : guardian_tree_look(&family->tree, is_known, userdata, names);
}

int family_has(const struct family *family, pid_t pid, guardian_known_fn is_known, void *userdata)
{
    if (family_has_group(family)) {
        int r = cgroup_has(&family->group, pid);
        if (r > 0 || r == -ESRCH)
            return r;
        /* Another worker's. */
        if (family->groups && cgroup_has(&family->groups->all, pid) > 0)
            return 0;
    }
    return guardian_tree_has(&family->tree, pid, is_known, userdata);
}
