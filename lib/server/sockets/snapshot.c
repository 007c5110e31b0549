/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "socket.h"

enum kind { ALARM, TUNE, SHARE };

struct row;
typedef int (*restore_fn)(int fd, const struct row *row, const struct snapshot_value *wanted);

static int put_bytes(int fd, const struct row *row, const struct snapshot_value *wanted);
static int put_buffer(int fd, const struct row *row, const struct snapshot_value *wanted);
static int put_linger(int fd, const struct row *row, const struct snapshot_value *wanted);
static int put_clamp(int fd, const struct row *row, const struct snapshot_value *wanted);
static int put_mss(int fd, const struct row *row, const struct snapshot_value *wanted);
static int put_filter(int fd, const struct row *row, const struct snapshot_value *wanted);
static int put_keys(int fd, const struct row *row, const struct snapshot_value *wanted);

static const struct row {
    int level;
    int option; /* by number: headers are older than kernels */
    const char *name;
    enum kind kind;
    restore_fn put;       /* NULL: put_bytes() */
    bool default_changes; /* by a sysctl */
} rows[] = {
    /* A lock (SO_LOCK_FILTER) without a filter hurts nobody. */
    {SOL_SOCKET, SO_GET_FILTER, "SO_ATTACH_FILTER", ALARM, put_filter},
    {SOL_SOCKET, SO_DOMAIN, "IPV6_ADDRFORM", ALARM, NULL},
    {SOL_SOCKET, 62, "SO_BINDTODEVICE", ALARM, NULL}, /* SO_BINDTOIFINDEX */
    {SOL_SOCKET, SO_DONTROUTE, "SO_DONTROUTE", ALARM, NULL},
    {SOL_SOCKET, 47, "SO_MAX_PACING_RATE", ALARM, NULL},
    {SOL_SOCKET, SO_PEEK_OFF, "SO_PEEK_OFF", ALARM, NULL},
    {SOL_SOCKET, SO_RCVLOWAT, "SO_RCVLOWAT", ALARM, NULL},
    {SOL_SOCKET, SO_NO_CHECK, "SO_NO_CHECK", ALARM, NULL},
    {SOL_SOCKET, 83, "SO_PASSRIGHTS", ALARM, NULL},
    {SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR", TUNE, NULL},
    {SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT", TUNE, NULL},
    {SOL_SOCKET, SO_MARK, "SO_MARK", TUNE, NULL},
    {SOL_SOCKET, SO_PRIORITY, "SO_PRIORITY", TUNE, NULL},
    {SOL_SOCKET, SO_INCOMING_CPU, "SO_INCOMING_CPU", TUNE, NULL},
    {SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE", TUNE, NULL},
    {SOL_SOCKET, SO_LINGER, "SO_LINGER", TUNE, put_linger},
    {SOL_SOCKET, SO_OOBINLINE, "SO_OOBINLINE", TUNE, NULL},
    {SOL_SOCKET, SO_BROADCAST, "SO_BROADCAST", TUNE, NULL},
    {SOL_SOCKET, SO_RCVTIMEO, "SO_RCVTIMEO", TUNE, NULL},
    {SOL_SOCKET, SO_SNDTIMEO, "SO_SNDTIMEO", TUNE, NULL},
    {SOL_SOCKET, SO_BUSY_POLL, "SO_BUSY_POLL", TUNE, NULL, true},
    {SOL_SOCKET, SO_RCVBUF, "SO_RCVBUF", TUNE, put_buffer, true},
    {SOL_SOCKET, SO_SNDBUF, "SO_SNDBUF", TUNE, put_buffer, true},
    {SOL_SOCKET, 72, "SO_BUF_LOCK", TUNE, NULL},
    {SOL_SOCKET, SO_PASSCRED, "SO_PASSCRED", SHARE, NULL},
    {SOL_SOCKET, SO_PASSSEC, "SO_PASSSEC", SHARE, NULL},
    {SOL_SOCKET, 76, "SO_PASSPIDFD", SHARE, NULL},
    {SOL_SOCKET, SO_TIMESTAMP, "SO_TIMESTAMP", SHARE, NULL},
    {SOL_SOCKET, SO_TIMESTAMPNS, "SO_TIMESTAMPNS", SHARE, NULL},
    {SOL_SOCKET, SO_RXQ_OVFL, "SO_RXQ_OVFL", SHARE, NULL},

    {IPPROTO_IP, IP_TTL, "IP_TTL", ALARM, NULL, true},
    {IPPROTO_IP, IP_MINTTL, "IP_MINTTL", ALARM, NULL},
    {IPPROTO_IP, IP_OPTIONS, "IP_OPTIONS", ALARM, NULL},
    {IPPROTO_IP, 50, "IP_UNICAST_IF", ALARM, NULL},
    {IPPROTO_IP, IP_MULTICAST_ALL, "IP_MULTICAST_ALL", ALARM, NULL},
    {IPPROTO_IP, IP_TOS, "IP_TOS", TUNE, NULL},
    {IPPROTO_IP, IP_MTU_DISCOVER, "IP_MTU_DISCOVER", TUNE, NULL, true},
    {IPPROTO_IP, IP_TRANSPARENT, "IP_TRANSPARENT", TUNE, NULL},
    {IPPROTO_IP, IP_FREEBIND, "IP_FREEBIND", TUNE, NULL},
    {IPPROTO_IP, IP_MULTICAST_TTL, "IP_MULTICAST_TTL", TUNE, NULL},
    {IPPROTO_IP, IP_MULTICAST_LOOP, "IP_MULTICAST_LOOP", TUNE, NULL},
    {IPPROTO_IP, IP_RECVERR, "IP_RECVERR", SHARE, NULL},
    {IPPROTO_IP, IP_PKTINFO, "IP_PKTINFO", SHARE, NULL},
    {IPPROTO_IP, IP_RECVTOS, "IP_RECVTOS", SHARE, NULL},
    {IPPROTO_IP, IP_RECVTTL, "IP_RECVTTL", SHARE, NULL},
    {IPPROTO_IP, IP_RECVOPTS, "IP_RECVOPTS", SHARE, NULL},
    {IPPROTO_IP, IP_RETOPTS, "IP_RETOPTS", SHARE, NULL},
    {IPPROTO_IP, IP_RECVORIGDSTADDR, "IP_RECVORIGDSTADDR", SHARE, NULL},

    {IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY", ALARM, NULL},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS", ALARM, NULL, true},
    {IPPROTO_IPV6, 73, "IPV6_MINHOPCOUNT", ALARM, NULL},
    {IPPROTO_IPV6, IPV6_HOPOPTS, "IPV6_HOPOPTS", ALARM, NULL},
    {IPPROTO_IPV6, IPV6_RTHDRDSTOPTS, "IPV6_RTHDRDSTOPTS", ALARM, NULL},
    {IPPROTO_IPV6, IPV6_RTHDR, "IPV6_RTHDR", ALARM, NULL},
    {IPPROTO_IPV6, IPV6_DSTOPTS, "IPV6_DSTOPTS", ALARM, NULL},
    {IPPROTO_IPV6, 76, "IPV6_UNICAST_IF", ALARM, NULL},
    {IPPROTO_IPV6, 29, "IPV6_MULTICAST_ALL", ALARM, NULL},
    {IPPROTO_IPV6, IPV6_TCLASS, "IPV6_TCLASS", TUNE, NULL},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, "IPV6_MTU_DISCOVER", TUNE, NULL, true},
    {IPPROTO_IPV6, IPV6_DONTFRAG, "IPV6_DONTFRAG", TUNE, NULL},
    {IPPROTO_IPV6, IPV6_TRANSPARENT, "IPV6_TRANSPARENT", TUNE, NULL},
    {IPPROTO_IPV6, IPV6_FREEBIND, "IPV6_FREEBIND", TUNE, NULL},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, "IPV6_MULTICAST_HOPS", TUNE, NULL},
    {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, "IPV6_MULTICAST_LOOP", TUNE, NULL},
    {IPPROTO_IPV6, IPV6_RECVERR, "IPV6_RECVERR", SHARE, NULL},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO", SHARE, NULL},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, "IPV6_RECVHOPLIMIT", SHARE, NULL},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, "IPV6_RECVTCLASS", SHARE, NULL},

    {IPPROTO_TCP, 40, "TCP_AO", ALARM, put_keys}, /* TCP_AO_INFO */
    {IPPROTO_TCP, TCP_REPAIR, "TCP_REPAIR", ALARM, NULL},
    {IPPROTO_TCP, TCP_CORK, "TCP_CORK", ALARM, NULL},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, "TCP_WINDOW_CLAMP", ALARM, put_clamp},
    {IPPROTO_TCP, 37, "TCP_TX_DELAY", ALARM, NULL},
    {IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY", TUNE, NULL},
    {IPPROTO_TCP, TCP_MAXSEG, "TCP_MAXSEG", TUNE, put_mss},
    {IPPROTO_TCP, TCP_KEEPIDLE, "TCP_KEEPIDLE", TUNE, NULL, true},
    {IPPROTO_TCP, TCP_KEEPINTVL, "TCP_KEEPINTVL", TUNE, NULL, true},
    {IPPROTO_TCP, TCP_KEEPCNT, "TCP_KEEPCNT", TUNE, NULL, true},
    {IPPROTO_TCP, TCP_SYNCNT, "TCP_SYNCNT", TUNE, NULL, true},
    {IPPROTO_TCP, TCP_LINGER2, "TCP_LINGER2", TUNE, NULL, true},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT", TUNE, NULL},
    {IPPROTO_TCP, TCP_CONGESTION, "TCP_CONGESTION", TUNE, NULL, true},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT", TUNE, NULL},
    {IPPROTO_TCP, TCP_FASTOPEN, "TCP_FASTOPEN", TUNE, NULL},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, "TCP_NOTSENT_LOWAT", TUNE, NULL, true},
    {IPPROTO_TCP, 34, "TCP_FASTOPEN_NO_COOKIE", TUNE, NULL},
    {IPPROTO_TCP, 44, "TCP_RTO_MAX_MS", TUNE, NULL, true},
    {IPPROTO_TCP, 45, "TCP_RTO_MIN_US", TUNE, NULL, true},
    {IPPROTO_TCP, 46, "TCP_DELACK_MAX_US", TUNE, NULL},

    {IPPROTO_UDP, UDP_CORK, "UDP_CORK", ALARM, NULL},
    {IPPROTO_UDP, UDP_ENCAP, "UDP_ENCAP", ALARM, NULL},
    {IPPROTO_UDP, UDP_NO_CHECK6_TX, "UDP_NO_CHECK6_TX", TUNE, NULL},
    {IPPROTO_UDP, UDP_NO_CHECK6_RX, "UDP_NO_CHECK6_RX", TUNE, NULL},
    {IPPROTO_UDP, 103, "UDP_SEGMENT", TUNE, NULL},
    {IPPROTO_UDP, 104, "UDP_GRO", SHARE, NULL},
};

#define N_ROWS (sizeof rows / sizeof *rows)
_Static_assert(N_ROWS <= SNAPSHOT_OPTIONS, "a snapshot has a place for each row");

/* ---- reading --------------------------------------------------------------------------------- */

/* The number of its instructions. */
static struct snapshot_value value_of_filter(int fd)
{
    struct snapshot_value v = {.size = sizeof(socklen_t), .known = true};
    socklen_t n = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &n) < 0) {
        v.known = errno == EACCES; /* of eBPF */
        n = UINT32_MAX;
    }
    memcpy(v.bytes, &n, sizeof n);
    return v;
}

static struct snapshot_value value_of(int fd, const struct row *row)
{
    uint8_t bytes[64] = {0};
    socklen_t size = sizeof bytes;
    struct snapshot_value v = {0};

    if (row->put == put_filter)
        return value_of_filter(fd);
    if (getsockopt(fd, row->level, row->option, bytes, &size) < 0) {
        v.known = row->put == put_keys && errno == ENOENT; /* there are none */
        return v;
    }
    v.known = true;
    if (row->put == put_keys) {
        v.bytes[0] = true;
        return v;
    }
    v.size = (uint8_t)size;
    memcpy(v.bytes, bytes, sizeof v.bytes);
    return v;
}

static int number(const struct snapshot_value *v)
{
    int n;

    memcpy(&n, v->bytes, sizeof n);
    return n;
}

static int backlog_of(int fd, const struct address *a)
{
    struct listener_queue queue = {0};

    return listener_queue(fd, a, &queue) < 0 ? 0 : (int)queue.limit;
}

void snapshot_take(struct snapshot *s, int fd, const struct address *a)
{
    *s =
        (struct snapshot){.taken = true, .flags = fcntl(fd, F_GETFL), .backlog = backlog_of(fd, a)};
    for (size_t i = 0; i < N_ROWS; i++)
        s->values[i] = value_of(fd, &rows[i]);
}

/* ---- putting back ---------------------------------------------------------------------------- */

#define CLAMP_MAX (65535 << 14) /* the largest window that TCP can announce */

static int put(int fd, int level, int option, const void *value, socklen_t size)
{
    return setsockopt(fd, level, option, value, size) < 0 ? -errno : 0;
}

static int put_bytes(int fd, const struct row *row, const struct snapshot_value *wanted)
{
    return put(fd, row->level, row->option, wanted->bytes, wanted->size);
}

/* The kernel doubles it, and only CAP_NET_ADMIN exceeds the system's limit. */
static int put_buffer(int fd, const struct row *row, const struct snapshot_value *wanted)
{
    int half = number(wanted) / 2;
    int forced = row->option == SO_RCVBUF ? SO_RCVBUFFORCE : SO_SNDBUFFORCE;

    if (put(fd, SOL_SOCKET, forced, &half, sizeof half) == 0)
        return 0;
    return put(fd, SOL_SOCKET, row->option, &half, sizeof half);
}

/* The time is only taken where it is on. */
static int put_linger(int fd, const struct row *row, const struct snapshot_value *wanted)
{
    struct linger linger;

    memcpy(&linger, wanted->bytes, sizeof linger);
    linger.l_onoff = 1;
    (void)put(fd, row->level, row->option, &linger, sizeof linger);
    return put_bytes(fd, row, wanted);
}

/* A listener cannot go back to none. */
static int put_clamp(int fd, const struct row *row, const struct snapshot_value *wanted)
{
    int value = number(wanted) ? number(wanted) : CLAMP_MAX;

    return put(fd, row->level, row->option, &value, sizeof value);
}

/* What was read may be the system's default. */
static int put_mss(int fd, const struct row *row, const struct snapshot_value *wanted)
{
    struct snapshot_value now;
    int none = 0;

    (void)put(fd, row->level, row->option, &none, sizeof none);
    now = value_of(fd, row);
    return number(&now) == number(wanted) ? 0 : put_bytes(fd, row, wanted);
}

/* Another one in place of one that came in cannot be undone. */
static int put_filter(int fd, const struct row *row, const struct snapshot_value *wanted)
{
    int zero = 0;

    (void)row;
    if (number(wanted) != 0)
        return -EOPNOTSUPP;
    return put(fd, SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof zero);
}

static int put_keys(int fd, const struct row *row, const struct snapshot_value *wanted)
{
    (void)fd, (void)row, (void)wanted;
    return -EOPNOTSUPP;
}

static bool differs(const struct row *row, const struct snapshot_value *wanted,
                    const struct snapshot_value *now)
{
    if (!wanted->known)
        return false;
    if (now->known && row->put == put_buffer)
        return number(now) < number(wanted);
    if (now->known && row->put == put_clamp && number(wanted) == 0)
        return number(now) != 0 && number(now) < CLAMP_MAX;
    return !now->known || now->size != wanted->size ||
           memcmp(now->bytes, wanted->bytes, sizeof now->bytes) != 0;
}

/* As it is today. */
static bool is_default(const struct row *row, const struct address *a,
                       const struct snapshot_value *now)
{
    struct snapshot_value fresh;
    int fd;

    if (!row->default_changes || !now->known)
        return false;
    fd = socket(a->sa.sa_family, a->type | SOCK_CLOEXEC, a->protocol);
    if (fd < 0)
        return false;
    fresh = value_of(fd, row);
    close(fd);
    return !differs(row, &fresh, now) && !differs(row, now, &fresh);
}

static void count(struct snapshot_changes *c, const char *name, int result, bool said)
{
    size_t n = strlen(c->names);

    c->n += result >= 0;
    c->n_left += result < 0;
    if (said || result < 0)
        (void)snprintf(c->names + n, sizeof c->names - n, "%s%s", n > 0 ? ", " : "", name);
}

static void restore_flags(const struct snapshot *s, int fd, enum snapshot_scope scope,
                          struct snapshot_changes *c)
{
    int shared = O_ASYNC | (scope == SNAPSHOT_ALL ? O_NONBLOCK : 0);
    int flags = fcntl(fd, F_GETFL), changed = (flags ^ s->flags) & shared;

    if (flags < 0 || s->flags < 0)
        return;
    if (changed)
        count(c, "O_ASYNC", fcntl(fd, F_SETFL, flags ^ changed) < 0 ? -errno : 0,
              changed & O_ASYNC);
    if (fcntl(fd, F_GETOWN) != 0)
        (void)fcntl(fd, F_SETOWN, 0);
    if (fcntl(fd, F_GETSIG) != 0)
        (void)fcntl(fd, F_SETSIG, 0);
}

static void restore_backlog(const struct snapshot *s, int fd, const struct address *a,
                            struct snapshot_changes *c)
{
    if (s->backlog > 0 && backlog_of(fd, a) < s->backlog && listen(fd, s->backlog) == 0)
        c->n++;
}

static bool is_in(enum kind kind, enum snapshot_scope scope)
{
    return kind == ALARM || scope == SNAPSHOT_ALL || (kind == TUNE && scope == SNAPSHOT_MOST);
}

void snapshot_restore(const struct snapshot *s, int fd, const struct address *a,
                      enum snapshot_scope scope, struct snapshot_changes *ret)
{
    *ret = (struct snapshot_changes){0};
    if (!s->taken)
        return;
    for (size_t i = 0; i < N_ROWS; i++) {
        const struct row *row = &rows[i];
        struct snapshot_value now;

        if (!s->values[i].known || !is_in(row->kind, scope))
            continue;
        now = value_of(fd, row);
        if (!differs(row, &s->values[i], &now) || is_default(row, a, &now))
            continue;
        count(ret, row->name,
              scope == SNAPSHOT_LOOK ? 0
                                     : (row->put ? row->put : put_bytes)(fd, row, &s->values[i]),
              row->kind == ALARM);
    }
    if (scope == SNAPSHOT_LOOK)
        return;
    restore_flags(s, fd, scope, ret);
    if (scope != SNAPSHOT_ALARM)
        restore_backlog(s, fd, a, ret);
}
