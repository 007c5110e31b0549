/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The internals of set.h, for its own files: plan.c decides which sockets there will be, set.c
 * opens and closes them, seats.c adds and removes them while the server runs, and says who gets
 * what comes, repair.c puts right what workers and others have done to them, remedies.c words the
 * errors.
 */

#include "set.h"
#include "snapshot.h"
#include "socket.h"

struct listen_entry {
    char *option;           /* text of --listen; NULL for an inherited one that none matched */
    char *name;             /* "unknown" if it has no name */
    char *text;             /* the address, once it is open */
    struct address address; /* of a shared entry; otherwise it is in the group */
    enum listen_owner owner;
    bool listens; /* shared: it was listening (or is a datagram socket of ours), so it can be found
                     dead */
    struct inherited_fd *source; /* while opening: where the fd comes from; NULL: we open it */
    bool inherited;              /* its fd came from outside */
    int fd;                      /* shared, else -1 */
    struct listener_file file;   /* of a path that we made */
    struct reuseport group;      /* unless it is shared */
    struct snapshot snapshot;    /* of a socket of it, as it was opened or passed */
    bool given;                  /* shared: a worker has had it */
};

struct listen_set {
    struct listen_entry *entries;
    size_t n_entries;
    char *fdnames;
    int watch;                            /* an epoll of the shared listeners and of the groups' */
    uint8_t slots[LISTEN_SLOTS_MAX];      /* enum steer */
    uint8_t seats[REUSEPORT_MEMBERS_MAX]; /* likewise */
    bool taken[REUSEPORT_MEMBERS_MAX];    /* by seat */
    bool given[REUSEPORT_MEMBERS_MAX];    /* by seat: a worker has had it */
};

static inline const struct address *listen_entry_address(const struct listen_entry *e)
{
    return e->owner == LISTEN_OF_ALL ? &e->address : &e->group.address;
}

/* Reports from now on that a shared listener was shut down. */
int listen_watch(struct listen_set *s, const struct listen_entry *e);

/* Fills the entries (nothing is opened). Half-filled on failure: for listen_set_close(). */
int listen_plan(struct listen_set *s, const struct listen_options *o, struct problem *ret_problem);

/* Applies again where new connections go, or new flows. */
int listen_steer_entry(struct listen_set *s, struct listen_entry *e);

/* "--listen=TEXT: cause (remedy)" for a failure to open an entry. Returns `error`. */
int listen_describe(const struct listen_entry *e, int error, struct problem *ret_problem);
