/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The control groups of a server, from its start to its end (process/cgroup.h), and what a server
 * that was killed together with its guardian has left in its own.
 *
 * The server's group is named in its runtime directory (rundir_leave()). Whoever holds the locks of
 * that directory knows that the server before it is dead, and its guardian as well: what is in the
 * group that it finds there is to end.
 */

#include "config/config.h"
#include "log/log.h"
#include "process/cgroup.h"
#include "process/guardian.h"
#include "predecessor.h"
#include "rundir.h"

/*
 * What the server before this one has left holds an address: ends it, before the sockets are opened
 * again. False: there is nothing that could be ended. Names the server.
 */
bool groups_end_former(struct server_config *config, struct predecessor *predecessor);

/* The same before a worker starts, whatever was taken; what was found is said in the log. */
void groups_end_left(const struct rundir *rundir, struct predecessor *predecessor, struct log *log);

/*
 * Makes the server's group, as --control-group says. ret->all.fd is -1 if there is none, which is a
 * failure with --control-group=yes only.
 */
int groups_open(struct cgroups *ret, const struct server_config *config,
                const struct rundir *rundir, struct guardian *guardian,
                struct problem *ret_problem);
/* Each worker has removed its own group: ends what could not be ended before. */
void groups_close(struct cgroups *groups);
