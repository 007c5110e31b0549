/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sandbox-options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "parse.h"
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

void sandbox_options_done(struct sandbox_options *c)
{
    free(c->policy);
    strv_free(c->read_only);
    strv_free(c->read_write);
    free(c->ports);
    *c = (struct sandbox_options){0};
}

/* ---- values ---------------------------------------------------------------------------------- */

int sandbox_options_add_path(char ***list, size_t *n, const char *text, const char **ret_why)
{
    if (*text)
        return strv_append(list, n, text);
    *ret_why = "is empty; name a file or a directory";
    return -EINVAL;
}

int sandbox_options_add_port(struct sandbox_options *c, const char *text, const char **ret_why)
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

/* ---- checks ---------------------------------------------------------------------------------- */

static const char *first_option(const struct sandbox_options *c)
{
    if (c->n_read_only > 0)
        return "read-only";
    if (c->n_read_write > 0)
        return "read-write";
    if (c->connect_set)
        return "connect";
    return c->capabilities_set ? "capabilities" : NULL;
}

static int check_mode(const struct sandbox_options *c, struct problem *p)
{
    const char *option = first_option(c);

    if (c->mode != SANDBOX_NONE && c->mode != SANDBOX_LOG)
        return 0;
    if (c->mode == SANDBOX_NONE && (c->policy || c->deny_set))
        option = c->policy ? "policy" : "deny";
    if (option)
        return problem_set(p, STATUS_USAGE, -EINVAL,
                           "--%s: --sandbox=%s %s; leave one of the two out", option,
                           sandbox_mode_words[c->mode],
                           c->mode == SANDBOX_NONE ? "limits nothing"
                                                   : "only logs, and this option always denies");
    if (c->mode == SANDBOX_LOG && c->deny_set && c->deny != AIT_SANDBOX_DENY_LOG)
        return problem_set(
            p, STATUS_USAGE, -EINVAL,
            "--deny=%s: --sandbox=log denies nothing; write --sandbox=service, or leave --deny out",
            sandbox_deny_words[c->deny]);
    return 0;
}

int sandbox_options_check(const struct sandbox_options *c, struct problem *ret_problem)
{
    return check_mode(c, ret_problem);
}
