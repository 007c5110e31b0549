/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * snapshot: the options of a listening socket as it was opened or inherited, to be put back before
 * another worker gets it.
 *
 * Options belong to the socket, not to a process: what one worker sets stays for the next one. The
 * table has the options that can keep a successor from serving. Those of the kernel that the socket
 * does not have are passed over. Each belongs to one of three kinds:
 *
 * - ALARM: no server sets it on a socket that it listens on. A change is reported.
 * - TUNE: servers do set it, and their successors set it again. It is put back without a word.
 *   Buffers and the backlog are put back only if they have become smaller.
 * - SHARE: what a worker needs to read the socket (O_NONBLOCK, control messages). It is put back
 * only if no other worker has the socket.
 *
 * A difference that a new socket has as well is no change: the system's defaults are other ones by
 * now. Keys of TCP_MD5SIG (but see diag.h), IPsec policies and memberships of multicast groups
 * cannot be read, and are not seen here.
 *
 * It makes only system calls that do not block, and has no state.
 */

#include "config/address.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SNAPSHOT_OPTIONS 96
#define SNAPSHOT_NAMES   160

struct snapshot_value {
    uint8_t size; /* as the kernel said */
    bool known;
    uint8_t bytes[16]; /* the beginning of it */
};

struct snapshot {
    bool taken;
    int flags; /* of the open file */
    int backlog;
    struct snapshot_value values[SNAPSHOT_OPTIONS]; /* by row of the table */
};

/* A failure to read an option means that the socket does not have it. */
void snapshot_take(struct snapshot *s, int fd, const struct address *a);

struct snapshot_changes {
    unsigned n;                 /* put back, of all kinds */
    unsigned n_left;            /* could not be put back: the socket is spoiled */
    char names[SNAPSHOT_NAMES]; /* those of ALARM, and all that are left: "IP_TTL, SO_MARK" */
};

enum snapshot_scope {
    SNAPSHOT_LOOK,  /* while workers run: names what they should not have changed, and leaves it */
    SNAPSHOT_ALARM, /* for those that have the socket when another worker has ended */
    SNAPSHOT_MOST,  /* for a new worker, of a socket that others have, too */
    SNAPSHOT_ALL,   /* for a new worker alone */
};

/* Does nothing with one that was not taken. */
void snapshot_restore(const struct snapshot *s, int fd, const struct address *a,
                      enum snapshot_scope scope, struct snapshot_changes *ret);
