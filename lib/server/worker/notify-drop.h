/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Takes datagrams with descriptors off a socket, without ever holding these: whoever closes a
 * descriptor last may wait for as long as the one who has passed it likes (a socket with SO_LINGER,
 * a file of a file system that he serves). So a child receives them, and ends. The caller goes on
 * when the child has them, and does not wait for its end.
 *
 * SO_PASSRIGHTS (Linux 6.16) is no replacement: senders of BARRIER=1, such as systemd-notify, would
 * get an error.
 *
 * The number of children whose end takes so long is limited.
 */

#include <stdbool.h>

#define NOTIFY_DROPS_MAX   4 /* that may hang before nothing is taken any more */
#define NOTIFY_DROPS_SPARE 4 /* for the end */

/* Zero-initialised, it is empty. */
struct notify_drops {
    int pidfds[NOTIFY_DROPS_MAX + NOTIFY_DROPS_SPARE];
    unsigned n;
};

/*
 * Takes the first datagram, or as many as it can (all: the socket is about to be closed). Returns 0
 * if at least one is gone. -EBUSY: too many children hang. Otherwise there could be none.
 */
int notify_drop(struct notify_drops *d, int socket, bool all);
void notify_drops_done(struct notify_drops *d); /* what hangs ends some day, without us */
