/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "revision.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/access.h"
#include "config/capabilities.h"
#include "config/env-file.h"
#include "config/environment.h"
#include "config/program.h"
#include "strv.h"

extern char **environ;

/* ---- looking up ------------------------------------------------------------------------------ */

static int out_of_memory(struct problem *p)
{
    return problem_set(p, STATUS_OS, -ENOMEM, "out of memory");
}

static int find_directory(struct revision *rev, struct problem *p)
{
    const char *given = rev->config->chdir;
    struct stat st;

    if (!given)
        return 0;
    rev->directory = realpath(given, NULL);
    if (!rev->directory && errno == ENOMEM)
        return out_of_memory(p);
    if (!rev->directory)
        return problem_set(p, STATUS_CONFIG, -errno, "--chdir=%s: %s; name a directory that exists",
                           given, strerror(errno));
    if (stat(rev->directory, &st) < 0 || !S_ISDIR(st.st_mode))
        return problem_set(p, STATUS_CONFIG, -ENOTDIR, "--chdir=%s: is not a directory; name one",
                           given);
    return 0;
}

static int account_problem(struct problem *p, int r, const char *option, const char *text,
                           const char *why)
{
    if (r == -ENOMEM)
        return out_of_memory(p);
    return problem_set(p, r == -EINVAL ? STATUS_USAGE : STATUS_CONFIG, r, "--%s=%s: %s", option,
                       text, why);
}

/* The two are checked together: a number without a user entry is accepted if the group is named. */
static int find_account(struct revision *rev, struct problem *p)
{
    const struct server_config *c = rev->config;
    const char *why = "cannot be resolved", *unused;
    struct account root_group;

    if (!c->user && !c->group)
        return 0;
    int r = account_resolve(c->user, c->group, &rev->storage, &why);
    if (r >= 0) {
        rev->account = &rev->storage;
        return 0;
    }
    /* Whose fault is it? */
    if (!c->group || account_resolve(c->user, "0", &root_group, &unused) < 0)
        return account_problem(p, r, "user", c->user ? c->user : "", why);
    account_done(&root_group);
    return account_problem(p, r, "group", c->group, why);
}

static int read_environment(struct revision *rev, struct problem *p)
{
    const struct server_config *c = rev->config;
    size_t n = 0;
    int r = 0;

    for (size_t i = 0; i < c->n_env_files && r >= 0; i++)
        r = env_file_read(c->env_files[i], &rev->env, &n, p);
    for (size_t i = 0; i < c->n_env && r >= 0; i++)
        if ((r = strv_append(&rev->env, &n, c->env[i])) < 0)
            return out_of_memory(p);
    return r;
}

static const char *path_of(const struct revision *rev)
{
    return spawn_environment_lookup(environ, (const char *const *)rev->env, "PATH");
}

static int find_program(struct revision *rev, struct problem *p)
{
    struct stat st;

    int r =
        spawn_resolve_program(rev->config->argv[0], path_of(rev), rev->directory, &rev->program, p);
    if (r < 0)
        return r;
    rev->real_program = realpath(rev->program, NULL);
    if (!rev->real_program && errno == ENOMEM)
        return out_of_memory(p);
    if (!rev->real_program || stat(rev->real_program, &st) < 0)
        return problem_set(p, STATUS_CONFIG, -errno, "program %s: %s", rev->program,
                           strerror(errno));
    rev->device = st.st_dev;
    rev->inode = st.st_ino;
    return 0;
}

static int try_access(struct revision *rev, struct problem *p)
{
    return rev->account ? access_check(rev->account, rev->directory, rev->program, p) : 0;
}

/* By which root reaches files of others, or becomes another user. */
#define ROOT_CAPABILITIES                                                                          \
    (UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE |                                  \
     UINT64_C(1) << CAP_DAC_READ_SEARCH | UINT64_C(1) << CAP_FOWNER | UINT64_C(1) << CAP_FSETID |  \
     UINT64_C(1) << CAP_SETUID | UINT64_C(1) << CAP_LINUX_IMMUTABLE |                              \
     UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_SETFCAP)

/* A change to another user ends our capabilities. */
static bool is_root(const struct revision *rev)
{
    uid_t uid = revision_uid(rev);

    return uid == 0 || (uid == geteuid() && capabilities_held() & ROOT_CAPABILITIES);
}

static int make_sandbox(struct revision *rev, struct problem *p)
{
    const struct sandbox_program program = {rev->real_program, path_of(rev), rev->directory,
                                            is_root(rev), revision_uid(rev) == geteuid()};

    return worker_sandbox_open(&rev->sandbox, &rev->config->sandbox, &program, p);
}

int revision_new(struct revision **ret, const struct server_config *config, uint64_t generation,
                 struct problem *ret_problem)
{
    static int (*const steps[])(struct revision *, struct problem *) = {
        find_directory, find_account, read_environment, find_program, try_access, make_sandbox,
    };
    struct revision *rev = calloc(1, sizeof(*rev));

    if (!rev)
        return out_of_memory(ret_problem);
    *rev = (struct revision){.refs = 1, .config = config, .generation = generation};
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        int r = steps[i](rev, ret_problem);
        if (r < 0) {
            revision_unref(rev);
            return r;
        }
    }
    *ret = rev;
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct revision *revision_ref(struct revision *r)
{
    r->refs++;
    return r;
}

struct revision *revision_unref(struct revision *r)
{
    if (!r || --r->refs > 0)
        return NULL;
    worker_sandbox_close(&r->sandbox);
    if (r->account)
        account_done(r->account);
    strv_free(r->env);
    free(r->directory);
    free(r->real_program);
    free(r->program);
    free(r);
    return NULL;
}

/* ---- at each start --------------------------------------------------------------------------- */

static bool is_it(const struct revision *r, const struct stat *st)
{
    return st->st_dev == r->device && st->st_ino == r->inode;
}

const char *revision_program(const struct revision *r, bool *ret_replaced)
{
    struct stat st;

    *ret_replaced = false;
    if (stat(r->program, &st) == 0 && is_it(r, &st))
        return r->program;
    /* If it no longer exists, the start will report it. */
    *ret_replaced = stat(r->real_program, &st) == 0 && !is_it(r, &st);
    return r->real_program;
}

int revision_refresh(struct revision *r, struct problem *ret_problem)
{
    return worker_sandbox_update(&r->sandbox, &r->config->sandbox, ret_problem);
}

uid_t revision_uid(const struct revision *r)
{
    return r->account ? r->account->uid : geteuid();
}

gid_t revision_gid(const struct revision *r)
{
    return r->account ? r->account->gid : getegid();
}
