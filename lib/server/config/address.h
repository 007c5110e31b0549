/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * address: where a server listens, as text, as a sockaddr, and as read back from a socket.
 *
 * Accepted: 8080 (= [::]:8080, both families), 127.0.0.1:8080, [::1]:8080, [fe80::1%eth0]:8080,
 * /run/x.sock, @abstract, udp:PORT, udp:HOST:PORT, seqpacket:/path, seqpacket:@abstract. Host names
 * are not looked up. A value type: no allocation, nothing to free, may be copied. Knows nothing of
 * file descriptors but address_of_socket().
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ADDRESS_TEXT_MAX 160

struct address {
    int type;       /* SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET */
    int protocol;   /* IPPROTO_TCP, IPPROTO_UDP, 0 for unix; what an inherited socket has */
    bool any;       /* given as a port alone: 0.0.0.0 is used if the system has no IPv6 */
    socklen_t size; /* of the sockaddr; 0: no address (not a socket) */
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
};

/*
 * 0, or -EINVAL, -ENAMETOOLONG, -ENODEV (no such interface) with a constant clause as in parse.h.
 */
int address_parse(const char *text, struct address *ret, const char **ret_why);

/* Which sockets workers get. */
enum listen_model {
    LISTEN_DEFAULT, /* slot for TCP and UDP that we open, else shared */
    LISTEN_SLOT,    /* asked for: status 64 if an address cannot have it */
    LISTEN_SHARED,
};

/*
 * Names of sockets that we store with the service manager begin with this. Users cannot give such a
 * name.
 */
#define ADDRESS_STORED_PREFIX "aiotools-sd."

/* [NAME=]ADDRESS. The name is copied to ret_name ("" where there is none). */
#define ADDRESS_NAME_MAX 255
int address_parse_named(const char *text, char ret_name[static ADDRESS_NAME_MAX + 1],
                        struct address *ret, const char **ret_why);

/* Reads back a socket's type, protocol and bound address. -ENOTSOCK: fd is not a socket. */
int address_of_socket(int fd, struct address *ret);

/*
 * As address_parse() takes it; always terminated, at most ADDRESS_TEXT_MAX bytes; control
 * characters become '?'.
 */
const char *address_format(const struct address *a, char buffer[static ADDRESS_TEXT_MAX]);

bool address_is_inet(const struct address *a);
bool address_is_wildcard(const struct address *a);
/* A path in the file system (not abstract), or NULL. */
const char *address_path(const struct address *a);
/* In host order; 0 where there is none. */
unsigned address_port(const struct address *a);
void address_set_port(struct address *a, unsigned port);

/*
 * Whether a socket bound to `bound` is what `wanted` asks for: equal type, protocol and address.
 * Port 0 in `wanted` matches any port with `any_port`; a wanted port alone is matched by [::] and
 * by 0.0.0.0.
 */
bool address_matches(const struct address *wanted, const struct address *bound, bool any_port);
/*
 * Whether both cannot be listened on at the same time: they are equal, or one is a wildcard that
 * covers the other.
 */
bool address_overlaps(const struct address *a, const struct address *b);
