/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A task that looks after the listening sockets while the server runs: one that a worker has shut
 * down listens again at once, and the log says who did it. A worker that is stopping may do so to
 * its own.
 *
 * The task sleeps while nothing happens to a listener; traffic does not wake it.
 */

/* userdata: struct workers. Ends with its scope. */
int listeners_watch(void *userdata);
