/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sandbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "strv.h"

/* ---- making it ------------------------------------------------------------------------------------ */

static int policy_problem(const struct sandbox_options *c, const ait_sandbox_problem *sp, int error,
                          struct problem *p)
{
    const char *file = sp->file[0] ? sp->file : c->policy ? c->policy : "service";
    const char *message = sp->message[0] ? sp->message : strerror(-error);

    if (error == -ENOMEM)
        return problem_set(p, STATUS_OS, error, "--policy: out of memory");
    if (sp->line == 0)
        return problem_set(p, STATUS_CONFIG, error, "--policy=%s: %s", file, message);
    if (sp->column == 0)
        return problem_set(p, STATUS_CONFIG, error, "%s:%u: %s", file, sp->line, message);
    return problem_set(p, STATUS_CONFIG, error, "%s:%u:%u: %s", file, sp->line, sp->column, message);
}

static int load_policy(const struct sandbox_options *c, ait_policy **ret, struct problem *p)
{
    ait_sandbox_problem sp = AIT_SANDBOX_PROBLEM_INIT;
    int r = c->policy ? ait_policy_load(ret, c->policy, AIT_POLICY_FORMAT_AUTO, c->import_json, NULL, &sp)
                      : ait_policy_from_preset(ret, "service", &sp);

    return r < 0 ? policy_problem(c, &sp, r, p) : 0;
}

/* What is needed, then what was given: one list, its strings borrowed. */
static const char **join(char *const *a, char *const *b)
{
    size_t n = 0;

    for (char *const *p = a; p && *p; p++)
        n++;
    for (char *const *p = b; p && *p; p++)
        n++;
    const char **list = calloc(n + 1, sizeof(*list)), **at = list;
    if (!list)
        return NULL;
    for (; a && *a; a++)
        *at++ = *a;
    for (; b && *b; b++)
        *at++ = *b;
    return list;
}

struct paths {
    char **need_read_only, **need_read_write;
    const char **read_only, **read_write;
};

static void paths_done(struct paths *paths)
{
    strv_free(paths->need_read_only);
    strv_free(paths->need_read_write);
    free(paths->read_only);
    free(paths->read_write);
}

static int make_paths(const struct sandbox_options *c, const char *program, struct paths *paths)
{
    if (c->mode != SANDBOX_STRICT && c->n_read_only == 0 && c->n_read_write == 0)
        return 0;
    int r = sandbox_needs(program, getenv("PATH"), &paths->need_read_only, &paths->need_read_write);
    if (r < 0)
        return r;
    paths->read_only = join(paths->need_read_only, c->read_only);
    paths->read_write = join(paths->need_read_write, c->read_write);
    return paths->read_only && paths->read_write ? 0 : -ENOMEM;
}

static ait_sandbox_deny deny_of(const struct sandbox_options *c)
{
    if (c->mode == SANDBOX_LOG)
        return AIT_SANDBOX_DENY_LOG;
    return c->deny_set ? c->deny : AIT_SANDBOX_DENY_ERRNO;
}

static int make(const struct sandbox_options *c, ait_policy *policy, const struct paths *paths,
                ait_sandbox **ret, struct problem *p)
{
    static const uint16_t nowhere[1];
    ait_sandbox_problem sp = AIT_SANDBOX_PROBLEM_INIT;
    ait_sandbox_options o = {
        .size = sizeof(o),
        .policy = policy,
        .deny = deny_of(c),
        .read_only = paths->read_only,
        .read_write = paths->read_write,
        .capabilities = c->capabilities_set ? c->capabilities : AIT_SANDBOX_SERVICE_CAPABILITIES,
        .flags = AIT_SANDBOX_EXEC,
        .protect = getpid(),
    };

    if (c->connect_set) {
        o.connect_ports = c->n_ports > 0 ? c->ports : nowhere;
        o.n_connect_ports = c->n_ports;
    }
    if (c->mode != SANDBOX_LOG)
        o.flags |= AIT_SANDBOX_SCOPE;
    if (c->mode == SANDBOX_LOG || o.capabilities == UINT64_MAX)
        o.flags |= AIT_SANDBOX_KEEP_CAPABILITIES;
    int r = ait_sandbox_new(ret, &o, &sp);
    if (r >= 0)
        return 0;
    return problem_set(p, r == -ENOENT ? STATUS_CONFIG : STATUS_SANDBOX, r,
                       "--sandbox=%s: %s; no worker was started (--sandbox=none runs them without)",
                       sandbox_mode_words[c->mode], sp.message[0] ? sp.message : strerror(-r));
}

/* Which files the paths lead to now; 0: files are not confined. */
static uint64_t identity_of(const struct paths *paths)
{
    const char *const *const lists[] = {paths->read_only, paths->read_write};
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < 2; i++)
        for (const char *const *p = lists[i]; p && *p; p++) {
            struct stat st = {0};
            if (stat(*p, &st) < 0)
                st.st_ino = 0;
            hash = (hash ^ st.st_dev) * UINT64_C(1099511628211);
            hash = (hash ^ st.st_ino) * UINT64_C(1099511628211);
        }
    return paths->read_only ? hash : 0;
}

/* The sandbox of the workers that run stays as it is; they have entered it. */
static int renew(const struct sandbox_options *c, const struct paths *paths, struct worker_sandbox *state,
                 struct problem *p)
{
    uint64_t identity = identity_of(paths);
    ait_sandbox *sandbox;
    int r;

    if (state->sandbox && state->identity == identity)
        return 0;
    r = state->policy ? 0 : load_policy(c, &state->policy, p);
    if (r >= 0)
        r = make(c, state->policy, paths, &sandbox, p);
    if (r < 0)
        return r;
    ait_sandbox_unref(state->sandbox);
    state->sandbox = sandbox;
    state->identity = identity;
    /* Without paths there will be no other sandbox. */
    if (identity == 0)
        state->policy = ait_policy_unref(state->policy);
    return 0;
}

int worker_sandbox_update(struct worker_sandbox *state, const struct sandbox_options *c, const char *program,
                          struct problem *ret_problem)
{
    struct paths paths = {0};
    int r;

    if (c->mode == SANDBOX_NONE)
        return 0;
    r = make_paths(c, program, &paths);
    r = r < 0 ? problem_set(ret_problem, STATUS_OS, r, "--sandbox: %s", strerror(-r))
              : renew(c, &paths, state, ret_problem);
    paths_done(&paths);
    return r;
}

int worker_sandbox_reload(struct worker_sandbox *state, const struct sandbox_options *c, const char *program,
                          struct problem *ret_problem)
{
    struct worker_sandbox fresh = {0};
    int r;

    if (!c->policy)
        return 0;
    r = worker_sandbox_update(&fresh, c, program, ret_problem);
    if (r < 0)
        return r;
    worker_sandbox_done(state);
    *state = fresh;
    return 0;
}

void worker_sandbox_done(struct worker_sandbox *state)
{
    ait_sandbox_unref(state->sandbox);
    ait_policy_unref(state->policy);
    *state = (struct worker_sandbox){0};
}
