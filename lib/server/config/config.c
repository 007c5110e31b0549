/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "strv.h"

#define SEC ((uint64_t)1000000)

void server_config_init(struct server_config *config)
{
    *config = (struct server_config){
        .umask = -1,
        .listeners = LISTEN_DEFAULT,
        .workers = cpu_count(),
        .ready = READY_AUTO,
        .ready_auto_usec = 5 * SEC,
        .start_timeout = 30 * SEC,
        .settle = 2 * SEC,
        .stop_timeout = 30 * SEC,
        .stop_signal = SIGTERM,
        .drain = SEC / 2,
        .restart = RESTART_ALWAYS,
        .backoff = {.base_usec = SEC / 10, .cap_usec = 30 * SEC},
        .stable = 10 * SEC,
        .give_up = {.count = 20, .usec = 5 * 60 * SEC},
        .max_surge = {.value = 1},
        .max_unavailable = {.value = 0},
        .log = LOG_PREFIX,
    };
}

void server_config_done(struct server_config *config)
{
    strv_free(config->argv);
    strv_free(config->env);
    strv_free(config->env_files);
    free(config->chdir);
    sandbox_options_done(&config->sandbox);
    free(config->user);
    free(config->group);
    free(config->name);
    strv_free(config->listen);
    *config = (struct server_config){.umask = -1};
}

int server_config_add_listen(struct server_config *config, const char *text, const char **ret_why)
{
    char name[ADDRESS_NAME_MAX + 1];
    struct address address;
    int r = address_parse_named(text, name, &address, ret_why);

    return r < 0 ? r : strv_append(&config->listen, &config->n_listen, text);
}

int server_config_add_env(struct server_config *config, const char *assignment,
                          const char **ret_why)
{
    const char *equals = strchr(assignment, '=');

    if (!equals || equals == assignment) {
        if (ret_why)
            *ret_why = "is not an assignment; write NAME=VALUE";
        return -EINVAL;
    }
    return strv_append(&config->env, &config->n_env, assignment);
}

int server_config_set_argv(struct server_config *config, char *const *argv)
{
    char **list = NULL;
    size_t n = 0;

    for (; *argv; argv++) {
        int r = strv_append(&list, &n, *argv);
        if (r < 0) {
            strv_free(list);
            return r;
        }
    }
    strv_free(config->argv);
    config->argv = list;
    return 0;
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

bool server_config_name_valid(const char *name)
{
    size_t n = strlen(name);

    if (n == 0 || n > SERVER_NAME_MAX || name[0] == '.')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!name_char(name[i]))
            return false;
    return true;
}

int server_config_name_sockets(struct server_config *config, unsigned first_port)
{
    char name[SERVER_NAME_MAX + 1];
    const char *slash = strrchr(config->argv[0], '/');
    const char *base = slash ? slash + 1 : config->argv[0];

    /* A pid in it is that of the first process, and stays. */
    if (config->name_set || (config->name && first_port == 0))
        return 0;
    unsigned suffix = first_port ? first_port : (unsigned)getpid();
    snprintf(name, sizeof(name), "%.*s-%u", SERVER_NAME_MAX - 12, base, suffix);
    for (char *p = name; *p; p++)
        if (!name_char(*p) || (p == name && *p == '.'))
            *p = '_';

    char *copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    free(config->name);
    config->name = copy;
    return 0;
}

/* ---- checks ---------------------------------------------------------------------------------- */

static int out_of_memory(struct problem *p)
{
    return problem_set(p, STATUS_OS, -ENOMEM, "out of memory");
}

static int check_replacement(struct server_config *c, struct problem *p)
{
    if (c->max_surge.value == 0 && c->max_unavailable.value == 0)
        return problem_set(p, STATUS_USAGE, -EINVAL,
                           "--max-surge=0 and --max-unavailable=0 leave no way to replace a "
                           "worker; set one of them to 1 or more");
    if (amount_of(c->max_surge, c->workers, true) == 0 &&
        amount_of(c->max_unavailable, c->workers, false) == 0)
        return problem_set(
            p, STATUS_USAGE, -EINVAL,
            "--max-unavailable=%u%% of %u workers rounds down to 0, and --max-surge is 0, so no "
            "worker could be replaced; set one of them to 1 worker or more",
            c->max_unavailable.value, c->workers);
    return 0;
}

static int check_ready(struct server_config *c, struct problem *p)
{
    int lowest = 3 + (int)c->n_listen;

    if (c->ready == READY_FD && c->ready_fd < lowest)
        return problem_set(p, STATUS_USAGE, -EINVAL,
                           "--ready=fd:%d: descriptors below %d are standard streams and sockets; "
                           "write %d or above",
                           c->ready_fd, lowest, lowest);
    if (c->ready == READY_DELAY && c->ready_delay == PARSE_INFINITY)
        return problem_set(
            p, STATUS_USAGE, -EINVAL,
            "--ready=delay:infinity: no worker would become ready; write a time such as delay:2s");
    if (c->ready == READY_DELAY && c->start_timeout <= c->ready_delay)
        return problem_set(p, STATUS_USAGE, -EINVAL,
                           "--ready=delay is not shorter than --start-timeout, so no worker would "
                           "become ready; raise --start-timeout");
    if (c->ready == READY_AUTO && c->start_timeout <= c->ready_auto_usec)
        c->ready_auto_usec = c->start_timeout / 2;
    if (c->settle == PARSE_INFINITY)
        return problem_set(p, STATUS_USAGE, -EINVAL,
                           "--settle=infinity: no reload would ever end; write a time such as 2s, "
                           "or 0 to trust workers as soon as they are ready");
    if (c->drain == PARSE_INFINITY)
        return problem_set(p, STATUS_USAGE, -EINVAL,
                           "--drain=infinity: no worker would ever be stopped; write a time such "
                           "as 500ms, or 0 to signal them as soon as nothing waits");
    return 0;
}

/* --user=USER:GROUP, as in chown(1). No name has a colon in it. */
static int check_account(struct server_config *c, struct problem *p)
{
    char *colon = c->user ? strchr(c->user, ':') : NULL;

    if (!colon)
        return 0;
    if (colon == c->user || !colon[1] || strchr(colon + 1, ':'))
        return problem_set(p, STATUS_USAGE, -EINVAL,
                           "--user=%s: is not USER or USER:GROUP; write --user=USER --group=GROUP",
                           c->user);
    if (c->group)
        return problem_set(p, STATUS_USAGE, -EINVAL,
                           "--user=%s and --group=%s both name a group; leave one of them out",
                           c->user, c->group);
    c->group = strdup(colon + 1);
    *colon = '\0';
    return c->group ? 0 : out_of_memory(p);
}

static int check_program(struct server_config *c, struct problem *p)
{
    if (c->argv && c->argv[0])
        return 0;
    return problem_set(
        p, STATUS_USAGE, -EINVAL,
        "run: no program is given; write aiotools-sd run [OPTION...] -- PROGRAM [ARG...]");
}

static int check_sandbox(struct server_config *c, struct problem *p)
{
    return sandbox_options_check(&c->sandbox, p);
}

int server_config_finish(struct server_config *config, struct problem *ret_problem)
{
    static int (*const steps[])(struct server_config *, struct problem *) = {
        check_replacement, check_ready, check_account, check_sandbox, check_program,
    };

    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        int r = steps[i](config, ret_problem);
        if (r < 0)
            return r;
    }
    if (!config->name && server_config_name_sockets(config, 0) < 0)
        return out_of_memory(ret_problem);
    return 0;
}
