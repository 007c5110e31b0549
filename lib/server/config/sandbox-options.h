/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The options about the workers' sandbox, as plain data. The command line fills a sandbox_options,
 * which owns what it points to; it is checked once, with the rest of the configuration.
 * worker/sandbox.h makes the sandbox.
 *
 * Modes:
 *   service  the policy of that name (or the file's), limited capabilities; other processes and
 *            abstract sockets are out of reach;
 *   strict   the same, and files are confined to the program, what it cannot do without, and the
 *            paths that are given;
 *   log      the same policy, but nothing is denied: the audit log tells what would be;
 *   none     nothing.
 *
 * With a path given, files are confined as in strict, whatever the mode.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aiotools-sd/sandbox.h>

#include "problem.h"

enum sandbox_mode { SANDBOX_SERVICE, SANDBOX_STRICT, SANDBOX_LOG, SANDBOX_NONE };
/* "service", "strict", "log", "none"; NULL-terminated, by sandbox_mode */
extern const char *const sandbox_mode_words[];
/* "errno", "kill", "log", "explain"; by ait_sandbox_deny */
extern const char *const sandbox_deny_words[];

struct sandbox_options {
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
    uint64_t capabilities;            /* UINT64_MAX: all */
    ait_policy_import_cb import_json; /* NULL: JSON is not read */
};

void sandbox_options_done(struct sandbox_options *c);

/*
 * Values of --read-only, --read-write, --connect. Append a copy; -EINVAL with a clause as in
 * parse.h.
 */
int sandbox_options_add_path(char ***list, size_t *n, const char *text, const char **ret_why);
int sandbox_options_add_port(struct sandbox_options *c, const char *text, const char **ret_why);
/* Checks the options against each other. */
int sandbox_options_check(const struct sandbox_options *c, struct problem *ret_problem);
