/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The configuration of `aiotools-sd run` as plain data. The command line fills it in (options.h),
 * server_config_finish() checks it once, and it is constant from then on. server_run() and
 * everything below it only read it.
 *
 * Names of things on the system (program, directory, files, users) are stored as they were typed.
 * Each revision (worker/revision.h) looks them up, at the start and again at each reload.
 *
 * A server_config owns every pointer in it (server_config_done()). Nothing here opens a socket,
 * starts a process or reads a file. Times are microseconds; PARSE_INFINITY means no limit.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "address.h"
#include "parse.h"
#include "problem.h"
#include "sandbox-options.h"

enum ready_mode {
    READY_AUTO,   /* READY=1; otherwise alive for ready_auto_usec, unless some worker has ever sent
                     READY=1 */
    READY_NOTIFY, /* READY=1 */
    READY_EXEC,   /* the exec has succeeded */
    READY_FD,     /* a newline on a pipe that the worker finds at ready_fd, as in s6 */
    READY_DELAY,  /* alive for ready_delay */
};

enum restart_mode { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NO };

enum control_group_mode { CONTROL_GROUP_AUTO, CONTROL_GROUP_YES, CONTROL_GROUP_NO };

enum log_format { LOG_PREFIX, LOG_PLAIN, LOG_JSON };

struct server_config {
    /* what runs */
    char **argv; /* NULL-terminated; argv[0] is the program */
    char **env;  /* NULL-terminated "NAME=VALUE", n_env of them; each overrides the inherited one */
    size_t n_env;
    char **env_files; /* NULL-terminated; each overrides the ones before it, env overrides all */
    size_t n_env_files;
    char *chdir;        /* or NULL */
    char *user, *group; /* or NULL */
    int umask;          /* -1: inherited */
    struct sandbox_options sandbox;

    /* where, and under which name */
    char *name; /* never NULL after server_config_finish() */
    bool
        name_set; /* given by the user; otherwise server_config_name_sockets() makes a better one */
    char **listen; /* NULL-terminated, n_listen texts "[NAME=]ADDRESS"; each one parses */
    size_t n_listen;
    enum listen_model listeners;
    bool non_blocking; /* O_NONBLOCK on what workers get */

    /* workers, and how they begin and end */
    unsigned workers; /* 1 to PARSE_WORKERS_MAX */
    enum ready_mode ready;
    int ready_fd;         /* READY_FD only */
    uint64_t ready_delay; /* READY_DELAY only */
    uint64_t ready_auto_usec;
    uint64_t start_timeout, stop_timeout;
    int stop_signal;
    uint64_t
        settle; /* after it has become ready, a worker must stay alive for so long to be proved */
    uint64_t drain; /* between the last connection of a worker and its stop signal */

    /* failures */
    enum restart_mode restart;
    struct time_range backoff;
    uint64_t stable;
    struct rate give_up;

    /*
     * planned replacements: amount_of(max_surge, workers, true), amount_of(max_unavailable,
     * workers, false)
     */
    struct amount max_surge, max_unavailable;

    enum control_group_mode control_group;

    enum log_format log;
};

/* Sets the defaults that the manual page documents. */
void server_config_init(struct server_config *config);
/* Also accepts a half-filled configuration. */
void server_config_done(struct server_config *config);

/* Appends a copy. -EINVAL with a clause as in parse.h. */
int server_config_add_listen(struct server_config *config, const char *text, const char **ret_why);
int server_config_add_env(struct server_config *config, const char *assignment,
                          const char **ret_why);

/* Letters, digits, '-', '_' and '.', not beginning with '.': names become part of file names. */
#define SERVER_NAME_MAX 64
bool server_config_name_valid(const char *name);

/* argv: program and arguments, copied. */
int server_config_set_argv(struct server_config *config, char *const *argv);

/* Checks the options against each other. */
int server_config_finish(struct server_config *config, struct problem *ret_problem);

/*
 * If no name was given: sets the program's base name plus the first port, once the sockets are
 * known. Without a port (0) the pid is used.
 */
int server_config_name_sockets(struct server_config *config, unsigned first_port);
