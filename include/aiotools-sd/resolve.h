/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_RESOLVE_H
#define AIT_RESOLVE_H

/*
 * Names to addresses, and names to connections.
 *
 * Lookups are those of the C library, with all that nsswitch.conf says, on a thread of the pool (offload.h); an address in figures needs no
 * thread. ait_connect_host() is "happy eyeballs" (RFC 8305): the addresses are tried in turn, families alternating, each a little after the
 * one before or as soon as that has failed; the first connection wins and all others are closed before the call returns.
 *
 * Limits on time are scopes' deadlines. There is no cache.
 */

#include <sys/socket.h>

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

struct addrinfo;

/*
 * As getaddrinfo(3); host, service and hints may be NULL. Returns 0, and in ret a list that is the caller's to pass to freeaddrinfo(). A
 * caller that is cancelled does not wait for the lookup, which ends by itself.
 *
 * -ENOENT: no such host, or it has no address of that family (EAI_NONAME, EAI_NODATA, EAI_ADDRFAMILY). -EAGAIN: the name servers do not answer at the moment
 * (EAI_AGAIN). -EREMOTEIO: they refuse (EAI_FAIL). -EPROTONOSUPPORT: no such service (EAI_SERVICE). -EAFNOSUPPORT, -ESOCKTNOSUPPORT,
 * -EINVAL (EAI_BADFLAGS), -ENOMEM, -EOVERFLOW (a name that is too long); or the error of a system call.
 */
int ait_getaddrinfo(struct addrinfo **ret, const char *host, const char *service,
                    const struct addrinfo *hints);

/* Called with each socket before it connects, to set options or bind it; negative: the attempt fails with that. Must not suspend. */
typedef int (*ait_connect_prepare_fn)(int fd, const struct sockaddr *addr, socklen_t len, void *userdata);

typedef struct ait_connect_options {
    size_t size;                    /* sizeof(ait_connect_options) */
    int family;                     /* AF_INET or AF_INET6; 0: both */
    int socktype;                   /* 0: SOCK_STREAM */
    uint64_t delay;                 /* usec from one attempt to the next; 0: 250 ms */
    size_t max_attempts;            /* addresses that are tried at most; 0: all */
    ait_connect_prepare_fn prepare; /* may be NULL */
    void *userdata;                 /* of prepare */
} ait_connect_options;

#define AIT_CONNECT_OPTIONS(...) AIT_OPTIONS_(ait_connect_options, __VA_ARGS__)

/*
 * A connection to the host. Returns 0, and in ret_fd a socket, close-on-exec and non-blocking, that is the caller's to ait_close(). Where
 * all attempts fail: the error of the first that did. The errors of ait_getaddrinfo(); -ENOENT also where there is no address to try.
 * options may be NULL; host NULL is this machine.
 */
int ait_connect_host(int *ret_fd, const char *host, const char *service, const ait_connect_options *options);
/* The same with a list of addresses in the order of preference, which stays the caller's. */
int ait_connect_addresses(int *ret_fd, const struct addrinfo *addresses, const ait_connect_options *options);

AIT_END_DECLS

#endif
