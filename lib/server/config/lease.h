/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who makes others wait at a file: the owner of a file may take a lease on it (fcntl(2),
 * F_SETLEASE), and an open or exec by anybody else then blocks until it is given up, or for as long
 * as /proc/sys/fs/lease-break-time says.
 */

#include <stdbool.h>

#include "problem.h"

#define LEASE_HOLDER_MAX 64

/* "process 4711 (name)". False: nobody holds one, or it cannot be found out. Needs a deep stack. */
bool lease_holder(const char *path, char ret[static LEASE_HOLDER_MAX]);

/* After an open() with O_NONBLOCK that was told to come again (-EAGAIN). what: "program ". */
int lease_problem(const char *what, const char *path, struct problem *ret_problem);
