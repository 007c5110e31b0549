/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The server: runs a program as several supervised workers, from a finished configuration to an
 * exit status.
 *
 * Blocks until the server has ended. Call it from the main thread of a process that has no loop
 * yet. Everything that it made (processes, sockets, files) is gone when it returns. Failures before
 * the first worker are printed to stderr, one line each; later ones go to the log.
 */

#include "config/config.h"

/* Returns the exit status that the manual page documents. Completes config's name. */
int server_run(struct server_config *config);
