/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "path.h"

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

static int start_listening(int fd, const struct address *a)
{
    if (a->type == SOCK_DGRAM)
        return 0;
    return listen(fd, INT_MAX) < 0 ? -errno : 0; /* net.core.somaxconn bounds it */
}

static int set_inet_options(int fd, const struct address *a, enum listener_kind kind)
{
    int r = 0;

    if (a->sa.sa_family == AF_INET6 && address_is_wildcard(a))
        r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    /* For UDP it means something else: that others may take over the port. */
    if (r == 0 && a->type == SOCK_STREAM)
        r = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (r == 0 && kind == LISTENER_GROUP_JOIN)
        r = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    return r;
}

static int bind_inet(int fd, struct address *a, enum listener_kind kind)
{
    struct address bound;
    int r = set_inet_options(fd, a, kind);

    if (r < 0)
        return r;
    if (bind(fd, &a->sa, a->size) < 0)
        return -errno;
    r = start_listening(fd, a);
    /*
     * Only now: with it, two servers of one user that start at the same time would both get through
     * bind() and listen().
     */
    if (r == 0 && kind == LISTENER_GROUP_FIRST)
        r = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (r == 0)
        r = address_of_socket(fd, &bound);
    if (r == 0)
        address_set_port(a, address_port(&bound));
    return r;
}

static int bind_abstract(int fd, const struct address *a)
{
    if (bind(fd, &a->sa, a->size) < 0)
        return -errno;
    return start_listening(fd, a);
}

static int bind_any(int fd, struct address *a, enum listener_kind kind,
                    struct listener_file *ret_file)
{
    if (address_is_inet(a))
        return bind_inet(fd, a, kind);
    if (address_path(a))
        return listener_path_bind(fd, a, ret_file);
    return bind_abstract(fd, a);
}

static int new_socket(const struct address *a)
{
    int fd = socket(a->sa.sa_family, a->type | SOCK_CLOEXEC, a->protocol);

    return fd < 0 ? -errno : fd;
}

static int open_at(struct address *a, enum listener_kind kind, struct listener_file *ret_file)
{
    int fd = new_socket(a), r;

    if (fd < 0)
        return fd;
    r = bind_any(fd, a, kind, ret_file);
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

int listener_open(struct address *a, enum listener_kind kind, struct listener_file *ret_file)
{
    struct address in;
    int fd = open_at(a, kind, ret_file);

    if (!a->any || (fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL))
        return fd;

    in = *a;
    memset(&in.in6, 0, sizeof in.in6);
    in.in.sin_family = AF_INET;
    in.size = sizeof in.in;
    address_set_port(&in, address_port(a));
    fd = open_at(&in, kind, ret_file);
    if (fd >= 0)
        *a = in;
    return fd;
}

int listener_reopen(int fd, struct address *a, enum listener_kind kind, struct listener_file *file)
{
    int fresh = new_socket(a), r = 0;

    if (fresh < 0)
        return fresh;
    listener_unlink(a, file);
    /* With a path the old socket stays where that cannot be bound: its workers may still serve. */
    if (address_path(a))
        r = listener_path_bind(fresh, a, file);
    if (r == 0 && dup3(fresh, fd, O_CLOEXEC) < 0)
        r = -errno;
    close(fresh);
    /* The others must be closed first: they hold the abstract name or the port. */
    return r < 0 || address_path(a) ? r : bind_any(fd, a, kind, file);
}

int listener_relisten(int fd, const struct address *a)
{
    /*
     * shutdown() releases a port that the system had chosen, although getsockname() still shows it;
     * listen() alone would take another one. A socket that has kept its port returns EINVAL.
     */
    if (bind(fd, &a->sa, a->size) < 0 && errno != EINVAL)
        return -errno;
    return start_listening(fd, a);
}

bool listener_is_dead(int fd, const struct address *a)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    int listening = 1;
    socklen_t size = sizeof listening;

    if (a->type != SOCK_DGRAM &&
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && !listening)
        return true;
    if (a->type == SOCK_STREAM && address_is_inet(a))
        return false;
    /* A unix socket still reports itself as listening, and a datagram socket reports nothing. */
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP));
}

int listener_restore(const struct address *a, const struct listener_file *file)
{
    return address_path(a) ? listener_path_restore(a, file) : 0;
}

void listener_unlink(const struct address *a, struct listener_file *file)
{
    listener_path_unlink(a, file);
}
