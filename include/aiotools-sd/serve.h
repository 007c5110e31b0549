/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_SERVE_H
#define AIT_SERVE_H

/*
 * Serving the connections of listening sockets, each as a task of its own.
 *
 *     static int greet(int fd, void *userdata)
 *     {
 *             return ait_write_all(fd, "hello\n", 6, NULL);
 *     }
 *
 *     r = ait_serve_listeners(&fd, 1, greet, NULL, NULL);
 *
 * A connection that fails affects no other. Where descriptors or memory run out, accepting pauses
 * until a connection has ended, and clients wait in the sockets' queues. Cancelling the caller is
 * the way to stop: no more connections are accepted, and those that are open have the grace period
 * to end by themselves.
 */

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

/*
 * The task of one connection. fd is closed when it returns. An error is counted, and has no other
 * effect.
 */
typedef int (*ait_connection_fn)(int fd, void *userdata);

typedef struct ait_serve_counters {
    size_t size;         /* sizeof(ait_serve_counters), set by the caller */
    uint64_t n_accepted; /* connections so far */
    uint64_t n_failed;   /* that have ended with an error other than -ECANCELED */
    uint64_t n_pauses;   /* of accepting, for lack of descriptors, memory or room */
    unsigned n_active;   /* connections that are open now */
    int draining;        /* 1: no more are accepted; tell clients not to send another request */
} ait_serve_counters;

typedef struct ait_serve_options {
    size_t size;              /* sizeof(ait_serve_options) */
    unsigned max_connections; /* open at the same time; 0: no bound */
    uint64_t grace_usec;      /* once the caller is cancelled: how long connections may go on before
                                 they are cancelled. 0: at once; AIT_USEC_INFINITY: never */
    ait_serve_counters *counters; /* kept up to date during the call; borrowed. NULL: none */
    const char *name;             /* of the tasks of connections; NULL: "connection" */
    size_t stack_size;            /* of these tasks; 0: the default */
} ait_serve_options;

#define AIT_SERVE_OPTIONS(...) AIT_OPTIONS_(ait_serve_options, __VA_ARGS__)

/*
 * Accepts connections on n listening sockets, and calls fn for each in a task of its own, until the
 * caller is cancelled or accepting fails. The sockets stay the caller's. options may be NULL.
 *
 * At the end, connections that wait in the queues are still accepted, for the kernel has completed
 * their handshake. The call returns when no connection is left.
 *
 * Returns -ECANCELED, or the error that ended accepting. -EINVAL: there is no socket, or one of
 * them does not listen.
 */
int ait_serve_listeners(const int *fds, size_t n, ait_connection_fn fn, void *userdata,
                        const ait_serve_options *options);

AIT_END_DECLS

#endif
