/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The environment of one worker, built before the clone: the supervisor's own variables, then
 * --user's, then --env, then those of the worker contract (protocol 1). Later ones win.
 *
 * Invariants:
 * - The supervisor's own LISTEN_*, NOTIFY_SOCKET, WATCHDOG_* and AIOTOOLS_SD_* never reach a
 *   worker.
 * - LISTEN_PID and WATCHDOG_PID are fields of fixed width: the child writes its pid there without
 *   libc.
 * - AIOTOOLS_SD_INSTANCE is unique to each worker, and ends with our token. If we are a worker of
 *   another supervisor, that one's value stands before it ("outer.inner"), so both find their
 *   processes.
 *
 * Ownership: nothing in the parameters is kept. They may be freed when spawn_begin() has returned.
 *
 * What this is not: it does not parse --env or --env-file.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct account;

/* 32 hexadecimal digits and a zero. */
#define SPAWN_TOKEN_SIZE 33

struct spawn_environment_params {
    char *const *base;             /* the supervisor's environ; NULL: none */
    const char *const *settings;   /* NULL-terminated "NAME=VALUE" of --env; NULL: none */
    const struct account *account; /* sets HOME, USER, LOGNAME, SHELL; NULL: as in base */
    const char *const *fdnames;    /* n_sockets of them; a NULL entry stands for "unknown" */
    size_t n_sockets;              /* 0: no LISTEN_* at all */
    const char *notify_socket;     /* NULL: none; "@..." abstract */
    uint64_t watchdog_usec;        /* 0: none */
    const char *name;
    unsigned slot;
    unsigned workers;
    uint64_t generation;
};

struct spawn_environment {
    char **envp;
    char *listen_pid;   /* the place for digits, or NULL */
    char *watchdog_pid; /* the same */
    char token[SPAWN_TOKEN_SIZE];
};

/* -EINVAL for a setting without '='. */
int spawn_environment_new(const struct spawn_environment_params *params,
                          struct spawn_environment **ret);
struct spawn_environment *spawn_environment_free(struct spawn_environment *environment);

/*
 * The value that a worker would see, NULL if it has none: PATH for spawn_resolve_program(). Points
 * into the arguments.
 */
const char *spawn_environment_lookup(char *const *base, const char *const *settings,
                                     const char *name);
