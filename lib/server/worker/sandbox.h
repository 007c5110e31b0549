/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_CONFINEMENT_H
#define SERVER_CONFINEMENT_H

/*
 * confinement: from the options about the sandbox to the sandbox of the workers.
 *
 * A confinement_config is plain data that the command line fills, and owns what it points to. It is checked once, with the rest of the configuration.
 * confinement_update() then does all the work, before any worker is started: reads the policy, opens the paths, compiles and verifies.
 *
 * Modes:
 *   service  the policy of that name (or the file's), capabilities limited, and out of reach: other processes and abstract sockets;
 *   strict   the same, and files confined to the program, what it cannot do without (confinement_needs()), and the paths that are given;
 *   log      the same policy, but nothing is denied: the audit log tells what would be;
 *   none     nothing.
 *
 * With a path given, files are confined as in strict, whatever the mode.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aiotools-sd/sandbox.h>

#include "config/policy-file.h"
#include "config/problem.h"

enum sandbox_mode { SANDBOX_SERVICE, SANDBOX_STRICT, SANDBOX_LOG, SANDBOX_NONE };
/* "service", "strict", "log", "none"; NULL-terminated, by sandbox_mode */
extern const char *const sandbox_mode_words[];
/* "errno", "kill", "log", "explain"; by ait_sandbox_deny */
extern const char *const sandbox_deny_words[];

struct confinement_config {
    enum sandbox_mode mode;
    char *policy; /* a file, or NULL */
    bool deny_set;
    ait_sandbox_deny deny;
    char **read_only, **read_write; /* NULL-terminated; NULL: none */
    size_t n_read_only, n_read_write;
    bool connect_set; /* with n_ports 0: nowhere */
    uint16_t *ports;
    size_t n_ports;
    bool capabilities_set;
    uint64_t capabilities;       /* UINT64_MAX: all */
    policy_importer import_json; /* NULL: JSON is not read */
};

void confinement_config_done(struct confinement_config *c);

/* Values of --read-only, --read-write, --connect. Append a copy; -EINVAL with a clause as in parse.h. */
int confinement_add_path(char ***list, size_t *n, const char *text, const char **ret_why);
int confinement_add_port(struct confinement_config *c, const char *text, const char **ret_why);
/* "all", "none", "service", or names with or without "CAP_", in either case, separated by commas or spaces. */
int confinement_parse_capabilities(const char *text, uint64_t *ret, const char **ret_why);
/* "chown" for 0 and so on; NULL: no such capability is known. */
const char *confinement_capability_name(unsigned number);

/* Whether the options go together, and whether the paths exist. */
int confinement_check(const struct confinement_config *c, struct problem *ret_problem);

/* What the workers enter. Zero-initialised it is empty. */
struct confinement {
    ait_sandbox *sandbox; /* NULL: none */
    ait_policy *policy;   /* as it was read first; kept where a sandbox has to be made again */
    uint64_t identity;    /* of the files that are confined to; 0: they are not */
};

/* Makes the sandbox; called again before each start, it makes a new one where a path that files are confined to has become another file, such as the program
 * after an installation: Landlock knows files, not names. On failure all is as it was. */
int confinement_update(struct confinement *state, const struct confinement_config *c, const char *program,
                       struct problem *ret_problem);
/* Reads the policy's file anew, where there is one. On failure all is as it was. */
int confinement_reload(struct confinement *state, const struct confinement_config *c, const char *program,
                       struct problem *ret_problem);
void confinement_done(struct confinement *state);

/*
 * What a program cannot do without: itself, the interpreters that its first line names (along path, for env), the folders of libraries, what libc reads, and
 * the harmless devices. NULL-terminated lists in one allocation each, to be freed with strv_free(); those that do not exist are left out.
 */
int confinement_needs(const char *program, const char *path, char ***ret_read_only, char ***ret_read_write);

#endif
