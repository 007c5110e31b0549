/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/parse.h"
#include "strv.h"

const char *const sandbox_mode_words[] = {[SANDBOX_SERVICE] = "service",
                                          [SANDBOX_STRICT] = "strict",
                                          [SANDBOX_LOG] = "log",
                                          [SANDBOX_NONE] = "none",
                                          NULL};
const char *const sandbox_deny_words[] = {[AIT_SANDBOX_DENY_ERRNO] = "errno",
                                          [AIT_SANDBOX_DENY_KILL] = "kill",
                                          [AIT_SANDBOX_DENY_LOG] = "log",
                                          [AIT_SANDBOX_DENY_EXPLAIN] = "explain",
                                          NULL};

void confinement_config_done(struct confinement_config *c)
{
    free(c->policy);
    strv_free(c->read_only);
    strv_free(c->read_write);
    free(c->ports);
    *c = (struct confinement_config){0};
}

/* ---- values --------------------------------------------------------------------------------------- */

int confinement_add_path(char ***list, size_t *n, const char *text, const char **ret_why)
{
    if (*text)
        return strv_append(list, n, text);
    *ret_why = "is empty; name a file or a directory";
    return -EINVAL;
}

int confinement_add_port(struct confinement_config *c, const char *text, const char **ret_why)
{
    bool none = strcmp(text, "none") == 0;
    uint64_t port = 0;

    if (!none && parse_number(text, 1, UINT16_MAX, &port, NULL) < 0) {
        *ret_why = "is not a port; write a number from 1 to 65535, or none";
        return -EINVAL;
    }
    if (c->connect_set && (none || c->n_ports == 0)) {
        *ret_why = "contradicts the one before it; write ports, or none";
        return -EINVAL;
    }
    if (!none) {
        uint16_t *grown = reallocarray(c->ports, c->n_ports + 1, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        c->ports = grown;
        grown[c->n_ports++] = (uint16_t)port;
    }
    c->connect_set = true;
    return 0;
}

/* By number: linux/capability.h */
static const char *const capability_names[] = {
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
};

const char *confinement_capability_name(unsigned number)
{
    return number < sizeof(capability_names) / sizeof(capability_names[0]) ? capability_names[number] : NULL;
}

static int capability_from_name(const char *name, size_t n)
{
    if (n > 4 && strncasecmp(name, "cap_", 4) == 0) {
        name += 4;
        n -= 4;
    }
    for (size_t i = 0; i < sizeof(capability_names) / sizeof(capability_names[0]); i++)
        if (strlen(capability_names[i]) == n && strncasecmp(capability_names[i], name, n) == 0)
            return (int)i;
    return -EINVAL;
}

static int parse_capability_names(const char *text, uint64_t *ret)
{
    uint64_t set = 0;

    for (;;) {
        text += strspn(text, ", ");
        size_t n = strcspn(text, ", ");
        if (n == 0)
            break;
        int number = capability_from_name(text, n);
        if (number < 0)
            return number;
        set |= UINT64_C(1) << number;
        text += n;
    }
    if (set == 0)
        return -EINVAL;
    *ret = set;
    return 0;
}

int confinement_parse_capabilities(const char *text, uint64_t *ret, const char **ret_why)
{
    int r = 0;

    if (strcmp(text, "all") == 0)
        *ret = UINT64_MAX;
    else if (strcmp(text, "none") == 0)
        *ret = 0;
    else if (strcmp(text, "service") == 0)
        *ret = AIT_SANDBOX_SERVICE_CAPABILITIES;
    else
        r = parse_capability_names(text, ret);
    if (r < 0)
        *ret_why = "is not a list of capabilities; write names such as net_bind_service,chown, or all, none "
                   "or service";
    return r;
}

/* ---- checks --------------------------------------------------------------------------------------- */

static const char *first_option(const struct confinement_config *c)
{
    if (c->n_read_only > 0)
        return "read-only";
    if (c->n_read_write > 0)
        return "read-write";
    if (c->connect_set)
        return "connect";
    return c->capabilities_set ? "capabilities" : NULL;
}

static int check_mode(const struct confinement_config *c, struct problem *p)
{
    const char *option = first_option(c);

    if (c->mode != SANDBOX_NONE && c->mode != SANDBOX_LOG)
        return 0;
    if (c->mode == SANDBOX_NONE && (c->policy || c->deny_set))
        option = c->policy ? "policy" : "deny";
    if (option)
        return problem_set(p, STATUS_USAGE, -EINVAL, "--%s: --sandbox=%s %s; leave one of the two out",
                           option, sandbox_mode_words[c->mode],
                           c->mode == SANDBOX_NONE ? "limits nothing"
                                                   : "only tells, and this cannot be only told");
    if (c->mode == SANDBOX_LOG && c->deny_set && c->deny != AIT_SANDBOX_DENY_LOG)
        return problem_set(
            p, STATUS_USAGE, -EINVAL,
            "--deny=%s: --sandbox=log denies nothing; take --sandbox=service, or leave --deny out",
            sandbox_deny_words[c->deny]);
    return 0;
}

static int check_paths(const char *option, char *const *paths, struct problem *p)
{
    for (; paths && *paths; paths++) {
        int fd = open(*paths, O_PATH | O_CLOEXEC);
        if (fd < 0)
            return problem_set(p, STATUS_CONFIG, -errno, "--%s=%s: %s; name a path that exists", option,
                               *paths, strerror(errno));
        (void)close(fd);
    }
    return 0;
}

int confinement_check(const struct confinement_config *c, struct problem *ret_problem)
{
    int r = check_mode(c, ret_problem);

    if (r >= 0)
        r = check_paths("read-only", c->read_only, ret_problem);
    if (r >= 0)
        r = check_paths("read-write", c->read_write, ret_problem);
    return r;
}

/* ---- making it ------------------------------------------------------------------------------------ */

static int policy_problem(const struct confinement_config *c, const ait_sandbox_problem *sp, int error,
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

static int load_policy(const struct confinement_config *c, ait_policy **ret, struct problem *p)
{
    ait_sandbox_problem sp = AIT_SANDBOX_PROBLEM_INIT;
    int r = c->policy ? policy_file_load(ret, c->policy, c->import_json, &sp)
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

static int make_paths(const struct confinement_config *c, const char *program, struct paths *paths)
{
    if (c->mode != SANDBOX_STRICT && c->n_read_only == 0 && c->n_read_write == 0)
        return 0;
    int r = confinement_needs(program, getenv("PATH"), &paths->need_read_only, &paths->need_read_write);
    if (r < 0)
        return r;
    paths->read_only = join(paths->need_read_only, c->read_only);
    paths->read_write = join(paths->need_read_write, c->read_write);
    return paths->read_only && paths->read_write ? 0 : -ENOMEM;
}

static ait_sandbox_deny deny_of(const struct confinement_config *c)
{
    if (c->mode == SANDBOX_LOG)
        return AIT_SANDBOX_DENY_LOG;
    return c->deny_set ? c->deny : AIT_SANDBOX_DENY_ERRNO;
}

static int make(const struct confinement_config *c, ait_policy *policy, const struct paths *paths,
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
static int renew(const struct confinement_config *c, const struct paths *paths, struct confinement *state,
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

int confinement_update(struct confinement *state, const struct confinement_config *c, const char *program,
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

int confinement_reload(struct confinement *state, const struct confinement_config *c, const char *program,
                       struct problem *ret_problem)
{
    struct confinement fresh = {0};
    int r;

    if (!c->policy)
        return 0;
    r = confinement_update(&fresh, c, program, ret_problem);
    if (r < 0)
        return r;
    confinement_done(state);
    *state = fresh;
    return 0;
}

void confinement_done(struct confinement *state)
{
    ait_sandbox_unref(state->sandbox);
    ait_policy_unref(state->policy);
    *state = (struct confinement){0};
}
