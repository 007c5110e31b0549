/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A task that looks at the queues of the listening sockets: connections wait, and nobody accepts
 * them. A worker may be stopped or hang, or a shell script may have started a server that opens a
 * port of its own. The log says so, the slot is avoided while others can serve, and it is counted.
 *
 * One look every 5 seconds while nothing waits; one getsockopt(2) a worker and address. More often
 * while something waits (acceptance.h).
 */

/* userdata: struct scheduler. Ends with its scope. */
int queues_watch(void *userdata);
