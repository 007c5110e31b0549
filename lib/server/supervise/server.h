/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

/*
 * The main job: runs a program as several supervised workers, from a finished configuration to an exit status.
 *
 * Blocks until the server has ended; must be called from the main thread of a process that has no loop yet. Whatever it made (processes,
 * sockets, files) is gone when it returns. Failures before the first worker are printed to stderr, one line each; from then
 * on everything goes through the log.
 */

#include "config/config.h"

/* The exit status as in the manual page. Completes config's name. */
int server_run(struct server_config *config);

#endif
