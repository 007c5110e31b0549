/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sandbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/lease.h"
#include "strv.h"

/* ---- making it ------------------------------------------------------------------------------- */

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
    return problem_set(p, STATUS_CONFIG, error, "%s:%u:%u: %s", file, sp->line, sp->column,
                       message);
}

static int load_policy(const struct sandbox_options *c, ait_policy **ret, struct problem *p)
{
    ait_sandbox_problem sp = AIT_SANDBOX_PROBLEM_INIT;
    int r = c->policy
                ? ait_policy_load(ret, c->policy, AIT_POLICY_FORMAT_AUTO, c->import_json, NULL, &sp)
                : ait_policy_from_preset(ret, "service", &sp);

    return r < 0 ? policy_problem(c, &sp, r, p) : 0;
}

/* The needed paths, then the given ones, in one list with borrowed strings. */
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
    const char **read_only, **read_write;
};

static void paths_done(struct paths *paths)
{
    free(paths->read_only);
    free(paths->read_write);
}

static int make_paths(const struct worker_sandbox *s, struct paths *paths)
{
    if (!s->need_read_only)
        return 0;
    paths->read_only = join(s->need_read_only, s->read_only);
    paths->read_write = join(s->need_read_write, s->read_write);
    return paths->read_only && paths->read_write ? 0 : -ENOMEM;
}

static ait_sandbox_deny deny_of(const struct sandbox_options *c)
{
    if (c->mode == SANDBOX_LOG)
        return AIT_SANDBOX_DENY_LOG;
    return c->deny_set ? c->deny : AIT_SANDBOX_DENY_ERRNO;
}

/* A lack of resources says nothing about the sandbox: a later start may succeed. */
static int status_of(int error)
{
    switch (error) {
    case -ENOENT:
        return STATUS_CONFIG;
    case -ENOMEM:
    case -EMFILE:
    case -ENFILE:
    case -EAGAIN:
        return STATUS_OS;
    default:
        return STATUS_SANDBOX;
    }
}

static int make(const struct worker_sandbox *s, const struct sandbox_options *c,
                const struct paths *paths, ait_sandbox **ret, struct problem *p)
{
    static const uint16_t nowhere[1];
    ait_sandbox_problem sp = AIT_SANDBOX_PROBLEM_INIT;
    ait_sandbox_options o = {
        .size = sizeof(o),
        .policy = s->policy,
        .deny = deny_of(c),
        .read_only = paths->read_only,
        .read_write = paths->read_write,
        .capabilities = c->capabilities_set ? c->capabilities : AIT_SANDBOX_SERVICE_CAPABILITIES,
        .flags = AIT_SANDBOX_EXEC | AIT_SANDBOX_PROTECT_PARENT, /* the guardian */
        .protect = getpid(),
    };

    if (c->connect_set) {
        o.connect_ports = c->n_ports > 0 ? c->ports : nowhere;
        o.n_connect_ports = c->n_ports;
    }
    if (paths->read_only)
        o.flags |= s->root ? AIT_SANDBOX_ROOT : s->own_user ? AIT_SANDBOX_OWN_USER : 0U;
    if (c->mode != SANDBOX_LOG)
        o.flags |= AIT_SANDBOX_SCOPE;
    if (c->mode == SANDBOX_LOG || o.capabilities == UINT64_MAX)
        o.flags |= AIT_SANDBOX_KEEP_CAPABILITIES;
    int r = ait_sandbox_new(ret, &o, &sp);
    if (r >= 0)
        return 0;
    return problem_set(
        p, status_of(r), r,
        "--sandbox=%s: %s; no worker was started (--sandbox=none runs workers without a sandbox)",
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
static int renew(struct worker_sandbox *s, const struct sandbox_options *o,
                 const struct paths *paths, struct problem *p)
{
    uint64_t identity = identity_of(paths);
    ait_sandbox *sandbox;

    if (s->sandbox && s->identity == identity)
        return 0;
    int r = make(s, o, paths, &sandbox, p);
    if (r < 0)
        return r;
    ait_sandbox_unref(s->sandbox);
    s->sandbox = sandbox;
    s->identity = identity;
    return 0;
}

int worker_sandbox_update(struct worker_sandbox *s, const struct sandbox_options *o,
                          struct problem *ret_problem)
{
    struct paths paths = {0};

    /* Without paths there will be no other sandbox. */
    if (o->mode == SANDBOX_NONE || (s->sandbox && s->identity == 0))
        return 0;
    int r = make_paths(s, &paths);
    r = r < 0 ? problem_set(ret_problem, STATUS_OS, r, "--sandbox: %s", strerror(-r))
              : renew(s, o, &paths, ret_problem);
    paths_done(&paths);
    return r;
}

static int find_paths(const char *option, char *const *given, char ***ret, struct problem *p)
{
    size_t n = 0;

    for (; given && *given; given++) {
        char *path = realpath(*given, NULL);
        int r = path ? strv_append(ret, &n, path) : -errno;
        free(path);
        if (r < 0)
            return problem_set(p, r == -ENOMEM ? STATUS_OS : STATUS_CONFIG, r,
                               "--%s=%s: %s; name a path that exists", option, *given,
                               strerror(-r));
    }
    return 0;
}

/* ---- what a worker may write ----------------------------------------------------------------- */

static bool is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);

    return strncmp(path, folder, n) == 0 && path[n] == '/';
}

/*
 * The folder in which a worker may write, and which has the path in it; NULL: none. To write
 * everywhere is to reach everything already.
 */
static const char *writable_above(const struct worker_sandbox *s, const char *path)
{
    char *real = realpath(path, NULL);
    char **at = s->read_write;

    while (at && *at && !(is_below(path, *at) || (real && is_below(real, *at))))
        at++;
    free(real);
    return at ? *at : NULL;
}

/* Drops what is writable already, lest a worker replace it by a link. */
static int drop_writable(const struct worker_sandbox *s, char ***list)
{
    char **kept = calloc(1, sizeof(*kept));
    size_t n = 0;
    int r = kept ? 0 : -ENOMEM;

    for (char **at = *list; at && *at && r >= 0; at++)
        if (!writable_above(s, *at))
            r = strv_append(&kept, &n, *at);
    if (r < 0) {
        strv_free(kept);
        return r;
    }
    strv_free(*list);
    *list = kept;
    return 0;
}

static int refuse_writable(const struct worker_sandbox *s, const char *path, const char *what,
                           const char *remedy, struct problem *p)
{
    const char *folder = writable_above(s, path);

    return folder ? problem_set(p, STATUS_CONFIG, -EPERM,
                                "%s%s lies in --read-write=%s: a worker could replace it, and so "
                                "decide what the next one may reach; %s",
                                what, path, folder, remedy)
                  : 0;
}

static int find_needs(struct worker_sandbox *s, const struct sandbox_options *o,
                      const struct sandbox_program *program, struct problem *p)
{
    size_t n_programs;
    int r;

    if (o->mode != SANDBOX_STRICT && o->n_read_only == 0 && o->n_read_write == 0)
        return 0;
    r = sandbox_needs(program, &s->need_read_only, &n_programs, &s->need_read_write);
    if (r == -EAGAIN)
        return lease_problem("program, or interpreter of ", program->file, p);
    if (r < 0)
        return problem_set(p, STATUS_OS, r, "--sandbox: %s", strerror(-r));
    for (size_t i = 0; i < n_programs && r >= 0; i++)
        r = refuse_writable(s, s->need_read_only[i], i == 0 ? "program " : "interpreter ",
                            "keep programs elsewhere, or let workers write a folder of data only",
                            p);
    for (char **at = s->read_only; at && *at && r >= 0; at++)
        r = refuse_writable(s, *at, "--read-only=", "leave it out, or move it", p);
    if (r < 0)
        return r;
    r = drop_writable(s, &s->need_read_only);
    if (r >= 0)
        r = drop_writable(s, &s->read_write);
    return r < 0 ? problem_set(p, STATUS_OS, r, "--sandbox: %s", strerror(-r)) : 0;
}

int worker_sandbox_open(struct worker_sandbox *ret, const struct sandbox_options *o,
                        const struct sandbox_program *program, struct problem *ret_problem)
{
    struct worker_sandbox s = {.root = program->root, .own_user = program->own_user};
    int r;

    if (o->mode == SANDBOX_NONE) {
        *ret = s;
        return 0;
    }
    r = find_paths("read-only", o->read_only, &s.read_only, ret_problem);
    if (r >= 0)
        r = find_paths("read-write", o->read_write, &s.read_write, ret_problem);
    if (r >= 0)
        r = find_needs(&s, o, program, ret_problem);
    if (r >= 0)
        r = load_policy(o, &s.policy, ret_problem);
    if (r >= 0)
        r = worker_sandbox_update(&s, o, ret_problem);
    if (r < 0) {
        worker_sandbox_close(&s);
        return r;
    }
    if (s.identity == 0)
        s.policy = ait_policy_unref(s.policy);
    *ret = s;
    return 0;
}

void worker_sandbox_close(struct worker_sandbox *s)
{
    ait_sandbox_unref(s->sandbox);
    ait_policy_unref(s->policy);
    strv_free(s->read_only);
    strv_free(s->read_write);
    strv_free(s->need_read_only);
    strv_free(s->need_read_write);
    *s = (struct worker_sandbox){0};
}
