/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_LISTEN_H
#define SERVER_LISTEN_H

/*
 * listen: all sockets that a server listens on, for all its slots.
 *
 * A set is a list of entries in the order workers see them: the inherited sockets first, as given, then the --listen
 * addresses that no inherited one matches, in command-line order. An entry is shared (one socket, every worker gets it)
 * or has one SO_REUSEPORT socket a slot (reuseport.h). Every slot gets the same number of fds with the same names.
 *
 * The set owns every fd in it: CLOEXEC, blocking (as systemd passes them: O_NONBLOCK belongs to the open file that all
 * workers share, so it is theirs to set), backlog the system's maximum. It owns the socket files that it made, too:
 * closing unlinks those that are still its own (device and inode), and only in the process that made them.
 *
 * Only system calls that do not block; callable from anywhere, one thread at a time. Says nothing to anybody: failures
 * come back as a problem that names the option text, the cause and the remedy. It does not watch the sockets.
 *
 * Taking a slot away without losing connections: steer it AWAY; let its worker go on accepting until
 * listen_set_pending() is 0 and has been so for a moment (a handshake under way ends on the listener it began on, and
 * is not counted); stop the worker; listen_set_remove_slot(). net.ipv4.tcp_migrate_req=1 (Linux 5.14) would move what
 * is left instead, for the whole system: that is the administrator's choice.
 */

#include "inherit.h"
#include "config/problem.h"
#include "reuseport.h"

struct listen_options {
    const char *const *listen; /* texts of --listen, [NAME=]ADDRESS */
    size_t n_listen;
    enum listen_model model;
    unsigned n_slots;            /* sockets for slots 0..n_slots-1 are opened */
    struct inherited *inherited; /* may be NULL; its fds (not the stored ones) move into the set on success */
};

struct listen_set;

/* Opens everything, or nothing: on failure all is closed and unlinked again, `inherited` untouched. */
int listen_set_open(struct listen_set **ret, const struct listen_options *options,
                    struct problem *ret_problem);
struct listen_set *listen_set_close(struct listen_set *s); /* returns NULL, takes NULL */

/* Sockets a worker gets, and what they are. Strings live as long as the set. */
size_t listen_set_count(const struct listen_set *s);
const char *listen_set_name(const struct listen_set *s,
                            size_t i); /* "unknown" where nobody named it, as in systemd */
const char *listen_set_address(const struct listen_set *s,
                               size_t i); /* text, with the port that was chosen */
bool listen_set_is_slot(const struct listen_set *s, size_t i);
const char *
listen_set_fdnames(const struct listen_set *s); /* value of LISTEN_FDNAMES, the same for every slot */
unsigned listen_set_first_port(const struct listen_set *s); /* 0: none has a port */

/* The fds of one slot's worker, in order: listen_set_count() of them. They stay the set's: duplicate, do not close.
 * -ENOENT: the slot has none yet. */
int listen_set_fds(const struct listen_set *s, unsigned slot, int *ret_fds);

/* Slot numbers may have gaps. add: all or nothing, no-op for a slot that has its sockets. remove: see above. */
int listen_set_add_slot(struct listen_set *s, unsigned slot, struct problem *ret_problem);
void listen_set_remove_slot(struct listen_set *s, unsigned slot);

/* Where new connections go. The set remembers it, and applies it again when its sockets change. Cheap: one setsockopt an
 * address. At first all slots WAIT. The first error is returned, all addresses are tried. */
int listen_set_steer_slot(struct listen_set *s, unsigned slot, enum steer to);

/* Connections not accepted yet on the slot's own listeners, all addresses together; shared ones do not count. */
ssize_t listen_set_pending(const struct listen_set *s, unsigned slot);

/* Listens again where a worker has shut a listener down, or somebody has removed its file; call it before a worker of the
 * slot starts. Shared ones are checked as well. Returns how many were repaired, 0 mostly; where a file was made again,
 * the problem says so, and is untouched otherwise. On failure the others were still tried. An fd may refer to a new
 * socket afterwards; its number stays. */
int listen_set_check(struct listen_set *s, unsigned slot, struct problem *ret_problem);

#endif
