/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address-guess.h"
#include "capabilities.h"
#include "config.h"
#include "parse.h"
#include "strv.h"
#include "sandbox-options.h"

/* ---- for any table --------------------------------------------------------------------------- */

int option_stop(const struct option_spec *spec, const char *text, void *field, const char **ret_why)
{
    return OPTION_STOP;
}

int option_flag(const struct option_spec *spec, const char *text, void *field, const char **ret_why)
{
    *(bool *)field = true;
    return 0;
}

int option_word(const struct option_spec *spec, const char *text, void *field, const char **ret_why)
{
    static char why[160]; /* a clause made at run time; one process parses one command line */
    int n = 0;

    for (int i = 0; spec->words[i]; i++)
        if (strcmp(text, spec->words[i]) == 0) {
            memcpy(field, &i, sizeof(i));
            return 0;
        }
    for (int i = 0; spec->words[i]; i++)
        n += snprintf(why + n, sizeof(why) - (size_t)n, "%s%s",
                      i == 0               ? "is unknown; write "
                      : spec->words[i + 1] ? ", "
                                           : " or ",
                      spec->words[i]);
    *ret_why = why;
    return -EINVAL;
}

int option_string(const struct option_spec *spec, const char *text, void *field,
                  const char **ret_why)
{
    char *copy;

    if (!*text) {
        *ret_why = "is empty; leave the option out or give it a value";
        return -EINVAL;
    }
    copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    free(*(char **)field);
    *(char **)field = copy;
    return 0;
}

/* ---- values of a server ---------------------------------------------------------------------- */

static int take_workers(const struct option_spec *spec, const char *text, void *field,
                        const char **ret_why)
{
    return parse_workers(text, field, ret_why);
}

static int take_time(const struct option_spec *spec, const char *text, void *field,
                     const char **ret_why)
{
    return parse_time(text, field, ret_why);
}

/* 0 means infinity, as for TimeoutStartSec= and TimeoutStopSec= in systemd. */
static int take_timeout(const struct option_spec *spec, const char *text, void *field,
                        const char **ret_why)
{
    uint64_t usec;
    int r = parse_time(text, &usec, ret_why);

    if (r >= 0)
        *(uint64_t *)field = usec == 0 ? PARSE_INFINITY : usec;
    return r;
}

static int take_time_range(const struct option_spec *spec, const char *text, void *field,
                           const char **ret_why)
{
    return parse_time_range(text, field, ret_why);
}

static int take_rate(const struct option_spec *spec, const char *text, void *field,
                     const char **ret_why)
{
    return parse_rate(text, field, ret_why);
}

static int take_amount(const struct option_spec *spec, const char *text, void *field,
                       const char **ret_why)
{
    return parse_amount(text, field, ret_why);
}

static int take_signal(const struct option_spec *spec, const char *text, void *field,
                       const char **ret_why)
{
    return parse_signal(text, field, ret_why);
}

static int take_umask(const struct option_spec *spec, const char *text, void *field,
                      const char **ret_why)
{
    char *end;
    size_t n = strspn(text, "01234567");
    unsigned long value = strtoul(text, &end, 8);

    if (n == 0 || n > 4 || text[n] || value > 0777) {
        *ret_why = "is not a file mode; write three octal digits such as 027";
        return -EINVAL;
    }
    *(int *)field = (int)value;
    return 0;
}

static int take_name(const struct option_spec *spec, const char *text, void *field,
                     const char **ret_why)
{
    struct server_config *config = field;

    if (!server_config_name_valid(text)) {
        *ret_why = "is not a valid name; write up to 64 letters, digits, '-', '_' and '.', not "
                   "beginning with '.'";
        return -EINVAL;
    }
    config->name_set = true;
    return option_string(spec, text, &config->name, ret_why);
}

static int take_listen(const struct option_spec *spec, const char *text, void *field,
                       const char **ret_why)
{
    static char why[2 * ADDRESS_TEXT_MAX + 160]; /* as in option_word() */
    char guess[ADDRESS_TEXT_MAX];
    int r = server_config_add_listen(field, text, ret_why);
    size_t n = strcspn(text, "=/:@[") + 1; /* of NAME=, if there is one */
    const char *address = n <= strlen(text) && text[n - 1] == '=' ? text + n : text;

    if (r != -EINVAL || !address_guess(address, guess))
        return r;
    (void)snprintf(why, sizeof(why), "%.*s; did you mean --listen=%.*s%s?",
                   (int)strcspn(*ret_why, ";"), *ret_why, (int)(address - text), text, guess);
    *ret_why = why;
    return r;
}

static int take_env(const struct option_spec *spec, const char *text, void *field,
                    const char **ret_why)
{
    return server_config_add_env(field, text, ret_why);
}

static int take_env_file(const struct option_spec *spec, const char *text, void *field,
                         const char **ret_why)
{
    struct server_config *config = field;

    if (*text)
        return strv_append(&config->env_files, &config->n_env_files, text);
    *ret_why = "is empty; name a file of lines NAME=VALUE";
    return -EINVAL;
}

static int take_run_to_completion(const struct option_spec *spec, const char *text, void *field,
                                  const char **ret_why)
{
    *(enum restart_mode *)field = RESTART_NO;
    return 0;
}

static int take_read_only(const struct option_spec *spec, const char *text, void *field,
                          const char **ret_why)
{
    struct sandbox_options *c = field;

    return sandbox_options_add_path(&c->read_only, &c->n_read_only, text, ret_why);
}

static int take_read_write(const struct option_spec *spec, const char *text, void *field,
                           const char **ret_why)
{
    struct sandbox_options *c = field;

    return sandbox_options_add_path(&c->read_write, &c->n_read_write, text, ret_why);
}

static int take_connect(const struct option_spec *spec, const char *text, void *field,
                        const char **ret_why)
{
    return sandbox_options_add_port(field, text, ret_why);
}

static int take_capabilities(const struct option_spec *spec, const char *text, void *field,
                             const char **ret_why)
{
    struct sandbox_options *c = field;

    c->capabilities_set = true;
    return parse_capabilities(text, &c->capabilities, ret_why);
}

static int take_deny(const struct option_spec *spec, const char *text, void *field,
                     const char **ret_why)
{
    struct sandbox_options *c = field;
    int i, r = option_word(spec, text, &i, ret_why);

    if (r < 0)
        return r;
    c->deny_set = true;
    c->deny = (ait_sandbox_deny)i;
    return 0;
}

static const char *const ready_words[] = {"auto", "notify", "exec", "fd:", "delay:", NULL};

static int take_ready(const struct option_spec *spec, const char *text, void *field,
                      const char **ret_why)
{
    static const enum ready_mode modes[] = {READY_AUTO, READY_NOTIFY, READY_EXEC, READY_FD,
                                            READY_DELAY};
    struct server_config *config = field;
    uint64_t number;
    int r = 0;

    for (size_t i = 0; ready_words[i]; i++) {
        size_t n = strlen(ready_words[i]);
        bool has_value = ready_words[i][n - 1] == ':';

        if (has_value ? strncmp(text, ready_words[i], n) != 0 : strcmp(text, ready_words[i]) != 0)
            continue;
        if (modes[i] == READY_DELAY)
            r = parse_time(text + n, &config->ready_delay, ret_why);
        else if (modes[i] == READY_FD) {
            r = parse_number(text + n, 3, 1023, &number, NULL);
            *ret_why = "is not a valid descriptor; write fd:N, with N from 3 to 1023 and above the "
                       "passed sockets";
            config->ready_fd = r < 0 ? config->ready_fd : (int)number;
        }
        config->ready = r < 0 ? config->ready : modes[i];
        return r;
    }
    *ret_why = "is unknown; write auto, notify, exec, fd:N or delay:TIME";
    return -EINVAL;
}

/* ---- the table ------------------------------------------------------------------------------- */

static const char *const listeners_words[] = {
    [LISTEN_DEFAULT] = "auto", [LISTEN_SLOT] = "slot", [LISTEN_SHARED] = "shared", NULL};
static const char *const restart_words[] = {
    [RESTART_ALWAYS] = "always", [RESTART_ON_FAILURE] = "on-failure", [RESTART_NO] = "no", NULL};
static const char *const control_group_words[] = {
    [CONTROL_GROUP_AUTO] = "auto", [CONTROL_GROUP_YES] = "yes", [CONTROL_GROUP_NO] = "no", NULL};
static const char *const log_words[] = {
    [LOG_PREFIX] = "prefix", [LOG_PLAIN] = "plain", [LOG_JSON] = "json", NULL};

#define FIELD(member) offsetof(struct server_config, member)

const struct option_spec server_options[] = {
    {"workers", 'n', "N|auto", take_workers, FIELD(workers),
     "number of workers (auto: the CPUs this process may use)", .section = "Workers and sockets"},
    {"listen", 'l', "[NAME=]ADDRESS", take_listen, 0,
     "listen here; may be repeated: 8080, 127.0.0.1:8080, [::1]:8080,\n"
     "/run/x.sock, @abstract, udp:HOST:PORT, seqpacket:/path"},
    {"listeners", 0, "auto|slot|shared", option_word, FIELD(listeners),
     "one listening socket per worker (UDP: per slot), or one for all\n"
     "(auto: slot for TCP and UDP that are opened here, else shared)",
     listeners_words},
    {"non-blocking", 0, NULL, option_flag, FIELD(non_blocking),
     "set O_NONBLOCK on the sockets, as NonBlocking= does in systemd,\n"
     "for servers that need it but do not set it (nginx)"},
    {"name", 0, "NAME", take_name, 0, "name of this server (default: program name and first port)"},

    {"ready", 0, "auto|notify|exec|fd:N|delay:TIME", take_ready, 0,
     "when a worker is ready: on READY=1 (sd_notify), on exec, on a\n"
     "newline from fd N, or after TIME (auto: READY=1, or 5s after the\n"
     "start if no worker has ever sent it)",
     ready_words, .section = "Start and stop"},
    {"start-timeout", 0, "TIME", take_timeout, FIELD(start_timeout),
     "kill a worker that is not ready in time (30s)"},
    {"settle", 0, "TIME", take_time, FIELD(settle),
     "a new worker must stay alive for so long after it is ready before\n"
     "the one that it replaces is stopped (2s; 0: none)"},
    {"stop-timeout", 0, "TIME", take_timeout, FIELD(stop_timeout),
     "kill a worker that does not stop in time (30s)"},
    {"stop-signal", 0, "SIGNAL", take_signal, FIELD(stop_signal),
     "signal that asks a worker to stop (TERM)", .kind = OPTION_SIGNAL},
    {"drain", 0, "TIME", take_time, FIELD(drain),
     "signal a worker to stop only when it has had no new connection for\n"
     "this long (500ms)"},
    {"max-surge", 0, "N|N%", take_amount, FIELD(max_surge),
     "extra workers that may run during a reload (1)"},
    {"max-unavailable", 0, "N|N%", take_amount, FIELD(max_unavailable),
     "workers that may be missing during a reload (0)"},
    {"control-group", 0, "auto|yes|no", option_word, FIELD(control_group),
     "put each worker into a control group of its own, which nothing that\n"
     "it starts outlives (auto: where one can be had)",
     control_group_words},

    {"restart", 0, "always|on-failure|no", option_word, FIELD(restart),
     "when to replace a worker that has ended (always)", restart_words, .section = "Failures"},
    {"run-to-completion", 0, NULL, take_run_to_completion, FIELD(restart),
     "same as --restart=no: end when all workers have ended"},
    {"backoff", 0, "BASE..CAP", take_time_range, FIELD(backoff),
     "delay before a failed worker is replaced, growing with each\n"
     "failure in a row (100ms..30s)"},
    {"stable", 0, "TIME", take_time, FIELD(stable),
     "replace a worker at once if it was ready for this long (10s)"},
    {"give-up", 0, "N/TIME", take_rate, FIELD(give_up),
     "give up a slot after this many unplanned exits (20/5min)"},

    {"env", 0, "NAME=VALUE", take_env, 0, "set a variable for the workers; may be repeated",
     .section = "Environment of the workers"},
    {"env-file", 0, "FILE", take_env_file, 0,
     "set the variables in this file, as EnvironmentFile= does in\n"
     "systemd; may be repeated; --env overrides them",
     .kind = OPTION_PATH},
    {"chdir", 0, "DIRECTORY", option_string, FIELD(chdir), "working directory",
     .kind = OPTION_PATH_DIR},
    {"user", 0, "USER[:GROUP]", option_string, FIELD(user),
     "run as this user, by name or number, and as this group", .kind = OPTION_USER},
    {"group", 0, "GROUP", option_string, FIELD(group), "run as this group, by name or number",
     .kind = OPTION_GROUP},
    {"umask", 0, "MODE", take_umask, FIELD(umask), "file mode creation mask, octal"},

    {"sandbox", 0, "service|strict|log|none", option_word, FIELD(sandbox.mode),
     "service denies what no network service needs; strict also confines\n"
     "files to the program and its libraries; log only logs what service\n"
     "denies; none sets no limits (service)",
     sandbox_mode_words, .section = "Sandbox of the workers"},
    {"policy", 0, "FILE", option_string, FIELD(sandbox.policy),
     "use this policy of system calls: in our own language, as lists for\n"
     "SystemCallFilter=, or as JSON of container runtimes",
     .kind = OPTION_PATH},
    {"deny", 0, "errno|kill|log|explain", take_deny, FIELD(sandbox),
     "a call that the policy denies fails, kills the worker, is only\n"
     "logged for audit, or fails and is explained in our log (errno)",
     sandbox_deny_words},
    {"read-only", 0, "PATH", take_read_only, FIELD(sandbox),
     "confine files; this one, or all below it, can be read and executed,\n"
     "as can the program and its libraries; may be repeated",
     .kind = OPTION_PATH},
    {"read-write", 0, "PATH", take_read_write, FIELD(sandbox),
     "confine files; this one, or all below it, can be read and written;\n"
     "may be repeated",
     .kind = OPTION_PATH},
    {"connect", 0, "PORT|none", take_connect, FIELD(sandbox),
     "connect to this TCP port only, or to none; may be repeated"},
    {"capabilities", 0, "LIST|service|all|none", take_capabilities, FIELD(sandbox),
     "capabilities that workers keep if they have them, such as\n"
     "net_bind_service,chown (service)"},

    {"log", 0, "prefix|plain|json", option_word, FIELD(log),
     "format of the workers' output: tagged with slot and pid, unchanged,\n"
     "or one JSON object per line (prefix)",
     log_words, .section = "Output"},
    {"help", 'h', NULL, option_stop, 0, "show this help"},
    {0},
};
