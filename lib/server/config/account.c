/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "parse.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOKUP_MAX (1u << 20) /* an entry that large is broken */

/* (uid_t)-1 means "unchanged" to the system calls. */
#define ID_MAX (UINT32_MAX - 1)

static int fail(int error, const char *why, const char **ret_why)
{
    if (ret_why)
        *ret_why = why;
    return error;
}

/* One of the four reentrant look-ups, by name or by number. -ENOENT: there is no such entry. */
static int lookup(const char *name, uint32_t id, bool group, void *entry, char **ret_buffer)
{
    char *buffer = NULL;
    void *found = NULL;
    int r = ERANGE;

    for (size_t size = 1024; r == ERANGE && size <= LOOKUP_MAX; size *= 2) {
        free(buffer);
        buffer = malloc(size);
        if (!buffer)
            return -ENOMEM;
        if (group)
            r = name ? getgrnam_r(name, entry, buffer, size, (struct group **)&found)
                     : getgrgid_r(id, entry, buffer, size, (struct group **)&found);
        else
            r = name ? getpwnam_r(name, entry, buffer, size, (struct passwd **)&found)
                     : getpwuid_r(id, entry, buffer, size, (struct passwd **)&found);
    }
    if (r == 0 && found) {
        *ret_buffer = buffer;
        return 0;
    }
    free(buffer);
    /* The manual page lists these as "no entry" of one name service or other. */
    return r == 0 || r == ENOENT || r == ESRCH || r == EBADF || r == EPERM ? -ENOENT : -r;
}

static int copy(const char *text, char **ret)
{
    *ret = text ? strdup(text) : NULL;
    return text && !*ret ? -ENOMEM : 0;
}

static int take_entry(struct account *a, const struct passwd *pw)
{
    int r;

    a->uid = pw->pw_uid;
    a->gid = pw->pw_gid;
    r = copy(pw->pw_name, &a->name);
    if (r == 0)
        r = copy(pw->pw_dir, &a->home);
    if (r == 0)
        r = copy(pw->pw_shell, &a->shell);
    return r;
}

/* Sets *ret_known if the user has an entry, and so a group of its own. */
static int resolve_user(const char *user, struct account *a, bool *ret_known, const char **ret_why)
{
    char *buffer = NULL;
    struct passwd pw;
    uint64_t id = geteuid();
    bool number = !user || parse_number(user, 0, ID_MAX, &id, NULL) == 0;
    int r;

    /* A name wins over a number, as in chown(1): a user may be called 1000. */
    r = user ? lookup(user, 0, false, &pw, &buffer) : -ENOENT;
    if (r == -ENOENT && number)
        r = lookup(NULL, (uint32_t)id, false, &pw, &buffer);
    *ret_known = r == 0;
    if (r == 0)
        r = take_entry(a, &pw);
    else if (r == -ENOENT && number)
        r = 0, a->uid = (uid_t)id;
    free(buffer);
    if (r == -ENOENT)
        return fail(r, "no such user; create it (adduser --system NAME), or name another one",
                    ret_why);
    return r < 0 ? fail(r, "the user database cannot be read; check /etc/nsswitch.conf", ret_why)
                 : 0;
}

static int resolve_group(const char *group, gid_t *ret, const char **ret_why)
{
    char *buffer = NULL;
    struct group gr;
    uint64_t id;
    int r = lookup(group, 0, true, &gr, &buffer);

    if (r == 0)
        *ret = gr.gr_gid;
    else if (r == -ENOENT && parse_number(group, 0, ID_MAX, &id, NULL) == 0)
        r = 0, *ret = (gid_t)id;
    free(buffer);
    if (r == -ENOENT)
        return fail(r, "no such group; create it (addgroup --system NAME), or name another one",
                    ret_why);
    return r < 0 ? fail(r, "the group database cannot be read; check /etc/nsswitch.conf", ret_why)
                 : 0;
}

static int groups_of_name(struct account *a)
{
    for (int n = 32, capacity = 0;;) {
        gid_t *groups = reallocarray(a->groups, (size_t)n, sizeof *groups);

        if (!groups)
            return -ENOMEM;
        a->groups = groups;
        capacity = n;
        if (getgrouplist(a->name, a->gid, a->groups, &n) >= 0) {
            a->n_groups = (size_t)n;
            return 0;
        }
        /* glibc gives the number that is needed; others leave it as it was. */
        if (n <= capacity)
            n = capacity * 2;
        if (n > 1 << 17)
            return -E2BIG;
    }
}

/* No other user was requested: the user of this process, and the group. */
static int groups_of_caller(struct account *a)
{
    int n = getgroups(0, NULL);

    if (n < 0)
        return -errno;
    a->groups = calloc((size_t)n + 1, sizeof *a->groups);
    if (!a->groups)
        return -ENOMEM;
    n = getgroups(n, a->groups);
    if (n < 0)
        return -errno;
    a->n_groups = (size_t)n;
    for (size_t i = 0; i < a->n_groups; i++)
        if (a->groups[i] == a->gid)
            return 0;
    a->groups[a->n_groups++] = a->gid;
    return 0;
}

static int groups_of_number(struct account *a)
{
    a->groups = malloc(sizeof *a->groups);
    if (!a->groups)
        return -ENOMEM;
    a->groups[0] = a->gid;
    a->n_groups = 1;
    return 0;
}

static int resolve(const char *user, const char *group, struct account *a, const char **ret_why)
{
    bool known;
    int r = resolve_user(user, a, &known, ret_why);

    if (r < 0)
        return r;
    if (!user)
        a->gid = getegid();
    if (group) {
        r = resolve_group(group, &a->gid, ret_why);
        if (r < 0)
            return r;
    } else if (user && !known) {
        return fail(-ENOENT,
                    "this number has no entry in the user database, so its group is not known; "
                    "name one with --group",
                    ret_why);
    }
    r = !user ? groups_of_caller(a) : known ? groups_of_name(a) : groups_of_number(a);
    return r < 0 ? fail(r, "its groups cannot be listed; check /etc/nsswitch.conf", ret_why) : 0;
}

int account_resolve(const char *user, const char *group, struct account *ret, const char **ret_why)
{
    struct account a = {0};
    int r = resolve(user, group, &a, ret_why);

    if (r < 0) {
        account_done(&a);
        return r;
    }
    *ret = a;
    return 0;
}

void account_done(struct account *a)
{
    if (!a)
        return;
    free(a->name);
    free(a->home);
    free(a->shell);
    free(a->groups);
    *a = (struct account){0};
}
