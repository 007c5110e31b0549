/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The system calls of ait_getaddrinfo() and ait_connect_host(), replaceable by tests that use
 * virtual time.
 */

#include <sys/socket.h>

struct addrinfo;

struct resolve_calls {
    /* On a thread of the pool; as getaddrinfo(3). */
    int (*lookup)(const char *host, const char *service, const struct addrinfo *hints,
                  struct addrinfo **ret);
    /* In the attempt's task. */
    int (*connect)(int fd, const struct sockaddr *addr, socklen_t len);
};

extern struct resolve_calls resolve_calls __attribute__((visibility("hidden")));
