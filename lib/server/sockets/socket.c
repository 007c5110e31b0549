/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elsewhere.h"
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

static int option_of(int fd, int option)
{
    int value = -1;
    socklen_t n = sizeof value;

    return getsockopt(fd, SOL_SOCKET, option, &value, &n) < 0 ? -1 : value;
}

/*
 * A TCP listener has nothing that its close could wait for, and a UDP socket neither. One that a
 * worker has made a connection of may linger, and has a lock that a worker may hold in the middle
 * of a call: it is only asked what is answered without that lock.
 */
static bool is_harmless(int fd)
{
    return option_of(fd, SO_DOMAIN) != AF_UNIX &&
           (option_of(fd, SO_ACCEPTCONN) == 1 || option_of(fd, SO_TYPE) == SOCK_DGRAM);
}

void listener_close(int fd)
{
    if (is_harmless(fd)) {
        close(fd);
    } else if (close_elsewhere(fd) < 0 && option_of(fd, SO_DOMAIN) != AF_UNIX) {
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){0}, sizeof(struct linger));
        close(fd);
    }
}

/* Under the same number. */
static int replace(int fresh, int fd)
{
    int old = fcntl(fd, F_DUPFD_CLOEXEC, 0), r;

    if (old < 0)
        return -errno;
    r = dup3(fresh, fd, O_CLOEXEC) < 0 ? -errno : 0;
    listener_close(old);
    return r;
}

/* Takes it out of the way of the new one, although other processes may have it. */
static void silence(int fd, const struct address *a)
{
    struct sockaddr_in6 mapped = a->in6;

    if (a->type == SOCK_STREAM) {
        (void)shutdown(fd, SHUT_RDWR);
        return;
    }
    /* A datagram socket stays in its group, and gets only what its peer sends: itself. */
    if (connect(fd, &a->sa, a->size) == 0 || a->sa.sa_family != AF_INET6)
        return;
    /* Where there is no IPv6, [::] is for IPv4 alone. */
    mapped.sin6_addr =
        (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
    (void)connect(fd, (const struct sockaddr *)&mapped, sizeof mapped);
}

/* Beside the old one, so that there is a listener at any time. */
static int reopen_inet(int fd, struct address *a, enum listener_kind kind)
{
    struct listener_file no_file = {0};
    int fresh, r;

    (void)set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (a->type == SOCK_STREAM)
        (void)set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    fresh = open_at(a, LISTENER_GROUP_JOIN, &no_file);
    if (fresh < 0)
        return fresh;
    silence(fd, a);
    r = replace(fresh, fd);
    close(fresh);
    if (r == 0 && kind == LISTENER_EXCLUSIVE)
        r = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 0);
    return r;
}

int listener_reopen(int fd, struct address *a, enum listener_kind kind, struct listener_file *file)
{
    int fresh, r = 0;

    if (address_is_inet(a))
        return reopen_inet(fd, a, kind);
    fresh = new_socket(a);
    if (fresh < 0)
        return fresh;
    listener_unlink(a, file);
    /* With a path the old socket stays where that cannot be bound: its workers may still serve. */
    if (address_path(a))
        r = listener_path_bind(fresh, a, file);
    if (r == 0)
        r = replace(fresh, fd);
    close(fresh);
    /* The others must be closed first: they hold the abstract name. */
    return r < 0 || address_path(a) ? r : bind_any(fd, a, kind, file);
}

static void disconnect(int fd)
{
    struct sockaddr none = {.sa_family = AF_UNSPEC};

    (void)connect(fd, &none, sizeof none);
}

static int bind_and_listen(int fd, const struct address *a)
{
    /*
     * shutdown() releases a port that the system had chosen, although getsockname() still shows it;
     * listen() alone would take another one. A socket that has kept its port returns EINVAL.
     */
    if (bind(fd, &a->sa, a->size) < 0 && errno != EINVAL)
        return -errno;
    return start_listening(fd, a);
}

int listener_relisten(int fd, const struct address *a)
{
    int r = bind_and_listen(fd, a);

    if (r == 0 && !listener_is_dead(fd, a))
        return 0;
    disconnect(fd);
    r = bind_and_listen(fd, a);
    return r == 0 && listener_is_dead(fd, a) ? -EBADFD : r;
}

static bool is_elsewhere(int fd, const struct address *a)
{
    struct address now;

    if (address_of_socket(fd, &now) < 0 || now.sa.sa_family != a->sa.sa_family)
        return true;
    if (now.sa.sa_family == AF_INET)
        return now.in.sin_port != a->in.sin_port || now.in.sin_addr.s_addr != a->in.sin_addr.s_addr;
    return now.in6.sin6_port != a->in6.sin6_port ||
           memcmp(&now.in6.sin6_addr, &a->in6.sin6_addr, sizeof now.in6.sin6_addr) != 0;
}

bool listener_is_dead(int fd, const struct address *a)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    int listening = 1;
    socklen_t size = sizeof listening;
    struct sockaddr_storage peer;
    socklen_t peer_size = sizeof peer;

    if (a->type != SOCK_DGRAM &&
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && !listening)
        return true;
    if (address_is_inet(a) && is_elsewhere(fd, a))
        return true;
    if (a->type == SOCK_STREAM && address_is_inet(a))
        return false;
    /* One that has a peer hears nobody else. */
    if (a->type == SOCK_DGRAM && getpeername(fd, (void *)&peer, &peer_size) == 0)
        return true;
    /* A unix socket still reports itself as listening, and a datagram socket reports nothing. */
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP));
}

/* "  SL  LOCAL:PORT REMOTE:PORT ... UID TIMEOUT INODE ..." */
static bool has_remote(const char *line, ino_t inode)
{
    char remote[33];
    unsigned long long found;

    return sscanf(line,
                  " %*u: %*32[0-9A-F]:%*x %32[0-9A-F]:%*x %*x %*x:%*x %*x:%*x %*x %*u %*u %llu",
                  remote, &found) == 2 &&
           found == inode && strspn(remote, "0") < 32;
}

bool listener_had_peer(int fd, const struct address *a)
{
    char line[256];
    bool had = false;
    struct stat st;
    FILE *f;

    if (a->type != SOCK_DGRAM || a->sa.sa_family != AF_INET6 || fstat(fd, &st) < 0)
        return false;
    f = fopen("/proc/net/udp6", "re");
    while (f && !had && fgets(line, sizeof line, f))
        had = has_remote(line, st.st_ino);
    if (f)
        fclose(f);
    return had;
}

int listener_revive(int fd, const struct address *a)
{
    if (a->type != SOCK_DGRAM)
        return address_is_inet(a) ? listener_relisten(fd, a) : -EOPNOTSUPP;
    disconnect(fd);
    if (a->sa.sa_family == AF_INET6) /* listener_had_peer() */
        return -EBADFD;
    /* It has forgotten a port that the system had chosen. */
    if (address_is_inet(a) && is_elsewhere(fd, a))
        (void)bind(fd, &a->sa, a->size);
    return listener_is_dead(fd, a) ? -EBADFD : 0;
}

int listener_restore(const struct address *a, const struct listener_file *file)
{
    return address_path(a) ? listener_path_restore(a, file) : 0;
}

/* The kernel's answer about one socket: its attribute with the lengths of the queues. */
static int find_queue(const char *answer, ssize_t n, struct listener_queue *ret)
{
    const struct nlmsghdr *h = (const void *)answer;
    const struct unix_diag_msg *m = NLMSG_DATA(h);
    size_t left;

    if (n < (ssize_t)NLMSG_LENGTH(sizeof *m) || h->nlmsg_len > (size_t)n ||
        h->nlmsg_type != SOCK_DIAG_BY_FAMILY)
        return -EOPNOTSUPP;
    left = h->nlmsg_len - NLMSG_LENGTH(sizeof *m);
    for (const struct nlattr *a = (const void *)(m + 1);
         left >= sizeof *a && a->nla_len >= sizeof *a && a->nla_len <= left;) {
        size_t step = NLA_ALIGN(a->nla_len);

        if (a->nla_type == UNIX_DIAG_RQLEN &&
            a->nla_len >= NLA_HDRLEN + sizeof(struct unix_diag_rqlen)) {
            const struct unix_diag_rqlen *q = (const void *)((const char *)a + NLA_HDRLEN);

            *ret = (struct listener_queue){.waiting = q->udiag_rqueue,
                                           .limit = q->udiag_wqueue,
                                           .full = q->udiag_rqueue > q->udiag_wqueue};
            return 0;
        }
        if (step >= left)
            break;
        left -= step;
        a = (const void *)((const char *)a + step);
    }
    return -EOPNOTSUPP;
}

/* Nothing but the diagnosis of sockets, as in ss(8), knows how many wait at a unix socket. */
static int queue_of_unix(int fd, struct listener_queue *ret)
{
    _Alignas(struct nlmsghdr) char answer[1024];
    struct {
        struct nlmsghdr header;
        struct unix_diag_req request;
    } ask = {
        .header = {.nlmsg_len = sizeof ask,
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST},
        .request = {.sdiag_family = AF_UNIX,
                    .udiag_states = UINT32_MAX,
                    .udiag_show = UDIAG_SHOW_RQLEN,
                    .udiag_cookie = {UINT32_MAX, UINT32_MAX}},
    };
    struct stat st;
    ssize_t n = -1;
    int diag;

    if (fstat(fd, &st) < 0)
        return -errno;
    ask.request.udiag_ino = (uint32_t)st.st_ino;
    diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (diag < 0)
        return -EOPNOTSUPP;
    if (send(diag, &ask, sizeof ask, 0) == sizeof ask)
        n = recv(diag, answer, sizeof answer, MSG_DONTWAIT);
    close(diag);
    return n < 0 ? -EOPNOTSUPP : find_queue(answer, n, ret);
}

static int queue_of_tcp(int fd, struct listener_queue *ret)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;

    *ret = (struct listener_queue){0};
    /* A connection has a lock that a worker may hold. */
    if (option_of(fd, SO_ACCEPTCONN) == 0)
        return 0;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return -errno;
    /* On a listener these fields are the length of the accept queue, and its limit. */
    if (info.tcpi_state == TCP_LISTEN)
        *ret = (struct listener_queue){.waiting = info.tcpi_unacked,
                                       .limit = info.tcpi_sacked,
                                       .full = info.tcpi_unacked > info.tcpi_sacked};
    return 0;
}

int listener_queue(int fd, const struct address *a, struct listener_queue *ret)
{
    if (a->type == SOCK_DGRAM) {
        *ret = (struct listener_queue){0};
        return 0;
    }
    return address_is_inet(a) ? queue_of_tcp(fd, ret) : queue_of_unix(fd, ret);
}

void listener_unlink(const struct address *a, struct listener_file *file)
{
    listener_path_unlink(a, file);
}
