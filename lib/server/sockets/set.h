/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * listen: all sockets that a server listens on, for all its workers.
 *
 * A set is a list of entries in the order in which workers see them. First come the inherited
 * sockets, as passed. Then come the --listen addresses that match no inherited one, in command-line
 * order. An entry is one socket for all workers, or a group of SO_REUSEPORT sockets (reuseport.h):
 * of TCP one for each worker, of UDP one for each slot. Every worker gets the same number of fds
 * with the same names.
 *
 * A seat is the place of one worker in all TCP groups: a number, and a listener at each address. A
 * worker that is started beside another one in its slot takes a seat of its own, so that each has
 * its own queue: the new one gets no connection before it is proved, and the old one none
 * afterwards. A worker that dies leaves its seat, with the connections that wait in it, to the next
 * one. UDP has no such queue: who takes a flow must read at once. So its sockets stay with the
 * slot.
 *
 * The set owns every fd in it. The fds are CLOEXEC and blocking, as systemd passes them: O_NONBLOCK
 * belongs to the open file that all workers share, so they may set it. The backlog is the system's
 * maximum. The set also owns the socket files that it made: closing unlinks those that are still
 * its own (device and inode), and only in the process that made them.
 *
 * It makes only system calls that do not block, and can be called from anywhere, by one thread at a
 * time. It logs nothing: failures are returned as a problem that names the option's text, the cause
 * and the remedy.
 *
 * To give up a seat without losing connections: steer it AWAY. Let its worker accept until
 * listen_set_pending() has been 0 for a moment, since a handshake in progress ends on the listener
 * that it began on, and is not counted. Stop the worker. Call listen_set_release_seat().
 * net.ipv4.tcp_migrate_req=1 (Linux 5.14) would move what is left instead, but for the whole
 * system, which is the administrator's decision.
 */

#include "inherit.h"
#include "config/problem.h"
#include "reuseport.h"

struct listen_options {
    const char *const *listen; /* texts of --listen, [NAME=]ADDRESS */
    size_t n_listen;
    enum listen_model model;
    unsigned n_slots; /* sockets for slots 0..n_slots-1 are opened, and for as many seats */
    struct inherited
        *inherited; /* may be NULL; its fds (not the stored ones) move into the set on success */
};

#define LISTEN_SLOTS_MAX 1024

enum listen_owner { LISTEN_OF_ALL, LISTEN_OF_SLOT, LISTEN_OF_WORKER };

struct listen_set;

/*
 * Opens everything or nothing: on failure all sockets are closed and unlinked again, and
 * `inherited` is untouched.
 */
int listen_set_open(struct listen_set **ret, const struct listen_options *options,
                    struct problem *ret_problem);
struct listen_set *listen_set_close(struct listen_set *s); /* returns NULL, takes NULL */

/* The sockets that a worker gets, and what they are. The strings live as long as the set. */
size_t listen_set_count(const struct listen_set *s);
const char *listen_set_name(const struct listen_set *s,
                            size_t i); /* "unknown" if it has no name, as in systemd */
const char *listen_set_address(const struct listen_set *s,
                               size_t i); /* text, with the port that was chosen */
enum listen_owner listen_set_owner(const struct listen_set *s, size_t i); /* of each socket */
const char *listen_set_fdnames(
    const struct listen_set *s); /* value of LISTEN_FDNAMES, the same for all workers */
unsigned listen_set_first_port(const struct listen_set *s); /* 0: none has a port */

/*
 * The fds of one worker, in order: listen_set_count() of them. They stay the set's: duplicate them,
 * do not close them. -ENOENT: the slot or the seat has none.
 */
int listen_set_fds(const struct listen_set *s, unsigned slot, unsigned seat, int *ret_fds);

/*
 * Slot numbers may have gaps. Adding is all or nothing, and does nothing for a slot that has its
 * sockets. For removing see above.
 */
int listen_set_add_slot(struct listen_set *s, unsigned slot, struct problem *ret_problem);
void listen_set_remove_slot(struct listen_set *s, unsigned slot);

/*
 * Takes the free seat with the lowest number and opens its listeners, all or none. It is AWAY,
 * except for those that were opened with the set. Returns the number. -EMFILE and the like: a
 * worker can do without, if it shares the seat of another one.
 */
int listen_set_take_seat(struct listen_set *s, struct problem *ret_problem);
/* Closes its listeners. For how to lose no connection see above. */
void listen_set_release_seat(struct listen_set *s, unsigned seat);
/* Whether some socket is such. Without one of each worker, a seat is only a number. */
bool listen_set_has(const struct listen_set *s, enum listen_owner owner);

/*
 * Say where new connections go, and where new flows. The set remembers it, and applies it again
 * when its sockets change. Cheap: one setsockopt per address, if it is news. At first all are WAIT.
 * They try all addresses and return the first error.
 */
int listen_set_steer_seat(struct listen_set *s, unsigned seat, enum steer to);
int listen_set_steer_slot(struct listen_set *s, unsigned slot, enum steer to);
/* Whether all new connections go to other seats, as it was steered. */
bool listen_set_is_avoided(const struct listen_set *s, unsigned seat);

/*
 * The number of connections that were not accepted yet on the seat's listeners, all addresses
 * together. Shared ones do not count.
 */
ssize_t listen_set_pending(const struct listen_set *s, unsigned seat);
/* The same; full if one of its queues is. */
int listen_set_queue(const struct listen_set *s, unsigned seat, struct listener_queue *ret);
/* Of a shared socket. -EOPNOTSUPP: it is not shared, does not listen, or the kernel does not tell.
 */
int listen_set_shared_queue(const struct listen_set *s, size_t i, struct listener_queue *ret);

/*
 * Before a worker starts, of each socket that it gets: that it is as it was opened, or passed. A
 * listener that was shut down or connected listens again, a socket file that was removed is made
 * again, and options that a worker has changed are put back (snapshot.h); if they cannot be, there
 * is another socket under the same fd number. With `shares` another worker has the socket as well:
 * then some options stay. Returns how much was repaired, mostly 0. The problem tells what somebody
 * should know; otherwise it is untouched.
 */
int listen_set_check(struct listen_set *s, size_t i, unsigned slot, unsigned seat, bool shares,
                     struct problem *ret_problem);
/*
 * After a worker of the slot has ended, for those that have the socket as well: what it may have
 * done to it since it was handed out, except options that servers set. As above.
 */
int listen_set_check_rest(struct listen_set *s, size_t i, unsigned slot,
                          struct problem *ret_problem);

/* Becomes readable when a listener was shut down, and not by traffic; then call listen_set_mend().
 */
int listen_set_watch_fd(const struct listen_set *s);
/*
 * Finds the next dead listener and repairs it, unless it belongs to a seat that is AWAY: that is
 * repaired when it is steered. Begin with a zeroed cursor. Returns 1 if one was repaired, its error
 * if that failed, and 0 at the end.
 */
struct listen_cursor {
    size_t entry;    /* where it was found */
    unsigned member; /* its seat or slot; 0 for a shared one */
    bool renewed;    /* a shared one is another socket, which workers that run do not have */
    unsigned next;
};
int listen_set_mend(struct listen_set *s, struct listen_cursor *c, struct problem *ret_problem);

/*
 * For looks from time to time, as nothing reports it: puts back the programs that choose a socket
 * of a group; and whether a worker has changed options of a shared one that servers leave alone.
 * These stay until a worker starts.
 */
void listen_set_steer_again(struct listen_set *s);
bool listen_set_is_spoiled(const struct listen_set *s, size_t i, char *ret_names, size_t size);

/* The path of a socket whose file the set made; NULL: it has none. */
const char *listen_set_path(const struct listen_set *s, size_t i);
/* Whether a file of this name, in whatever directory, may be one of these, or its second name. */
bool listen_set_owns_file(const struct listen_set *s, const char *name);
/*
 * The same for this path alone, while workers run. 1: it was made again, as the problem says. An
 * error also if something else is in its place.
 */
int listen_set_check_path(struct listen_set *s, size_t i, struct problem *ret_problem);
