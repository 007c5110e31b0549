/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_RESOLVE_H
#define AIT_RESOLVE_H

/*
 * Host names to addresses, and host names to connections.
 *
 * Lookups are those of the C library, as nsswitch.conf configures them, on a thread of the pool
 * (offload.h). A numeric address needs no thread. ait_connect_host() implements "happy eyeballs"
 * (RFC 8305): addresses are tried in turn, with alternating families, each a short time after the
 * one before or as soon as that has failed. The first connection wins, and all others are closed
 * before the call returns.
 *
 * Time limits are deadlines of scopes (scope.h). There is no cache.
 */

#include <sys/socket.h>

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

struct addrinfo;

/*
 * Like getaddrinfo(3). host, service and hints may be NULL. Returns 0, and in ret a list that the
 * caller must pass to freeaddrinfo(). A cancelled caller does not wait for the lookup, which ends
 * by itself.
 *
 * -ENOENT: no such host, or it has no address of that family (EAI_NONAME, EAI_NODATA,
 * EAI_ADDRFAMILY). -EAGAIN: the name servers do not answer at the moment (EAI_AGAIN). -EREMOTEIO:
 * the name servers refuse (EAI_FAIL). -EPROTONOSUPPORT: no such service (EAI_SERVICE), or no
 * such port.
 * -EAFNOSUPPORT, -ESOCKTNOSUPPORT, -EINVAL (EAI_BADFLAGS), -ENOMEM, -EOVERFLOW (the name is too
 * long), or the error of a system call.
 */
int ait_getaddrinfo(struct addrinfo **ret, const char *host, const char *service,
                    const struct addrinfo *hints);

/*
 * Called with each socket before it connects, to set options or to bind it. A negative result fails
 * that attempt. Must not suspend.
 */
typedef int (*ait_connect_prepare_fn)(int fd, const struct sockaddr *addr, socklen_t len,
                                      void *userdata);

typedef struct ait_connect_options {
    size_t size;                    /* sizeof(ait_connect_options) */
    int family;                     /* AF_INET or AF_INET6; 0: both */
    int socktype;                   /* 0: SOCK_STREAM */
    uint64_t delay;                 /* usec between attempts; 0: 250 ms */
    size_t max_attempts;            /* number of addresses to try; 0: all */
    ait_connect_prepare_fn prepare; /* may be NULL */
    void *userdata;                 /* passed to prepare */
} ait_connect_options;

#define AIT_CONNECT_OPTIONS(...) AIT_OPTIONS_(ait_connect_options, __VA_ARGS__)

/*
 * Connects to the host. Returns 0, and in ret_fd a socket that is close-on-exec, non-blocking, and
 * the caller's to ait_close(). If all attempts fail, returns the error of the first one that did.
 * Also returns the errors of ait_getaddrinfo(), and -ENOENT if there is no address to try. options
 * may be NULL; host NULL is this machine.
 */
int ait_connect_host(int *ret_fd, const char *host, const char *service,
                     const ait_connect_options *options);
/* The same with a list of addresses in order of preference, which stays the caller's. */
int ait_connect_addresses(int *ret_fd, const struct addrinfo *addresses,
                          const ait_connect_options *options);

AIT_END_DECLS

#endif
