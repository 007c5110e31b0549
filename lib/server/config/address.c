/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACCEPTED                                                                                   \
    "write a port (8080), 127.0.0.1:8080, [::1]:8080, /run/name.sock, @abstract, udp:HOST:PORT "   \
    "or seqpacket:/path"

#define WHY_ADDRESS "is not an address; " ACCEPTED
#define WHY_EMPTY   "is empty; " ACCEPTED
#define WHY_PORT    "has no valid port; a port is a number from 0 (any free one) to 65535"
#define WHY_NO_PORT "has no port; write it after a colon, such as 127.0.0.1:8080"
#define WHY_HOST                                                                                   \
    "has a host name, and names are not looked up; write an address, such as 127.0.0.1:8080 or "   \
    "[::1]:8080"
#define WHY_PASSED   "names a socket that is passed; those are taken without an option, leave it out"
#define WHY_SEVERAL  "is more than one address; write --listen once for each"
#define WHY_URL      "is a URL; write the address alone, such as 127.0.0.1:8080"
#define WHY_BRACKETS "is an IPv6 address without brackets; write [::1]:8080"
#define WHY_RELATIVE "is a relative path; a socket's path begins with /"
#define WHY_LONG     "is too long for a socket; a path or abstract name has at most 107 bytes"
#define WHY_FOLDER   "ends in /, so it names a directory; write the path of the socket itself"
#define WHY_DEVICE   "names a network interface that does not exist; `ip link` lists them"
#define WHY_UNIX     "is not a path that begins with /; write /run/name.sock, or @abstract"
#define WHY_TCP      "is not a TCP address; write 8080, 127.0.0.1:8080 or [::1]:8080"
#define WHY_NAME                                                                                   \
    "has an invalid NAME; write 1 to 255 printable ASCII characters other than / : @ [ and blanks"
#define WHY_RESERVED "has a NAME that begins with aiotools-sd., which is reserved"

static const struct scheme {
    const char *prefix; /* "" comes last */
    int type;
    bool inet, local;
    const char *why; /* what is wrong with the other family */
} schemes[] = {
    {"udp:", SOCK_DGRAM, true, false,
     "is not a UDP address; write udp:127.0.0.1:53, udp:[::1]:53 or udp:53"},
    {"seqpacket:", SOCK_SEQPACKET, false, true,
     "is not a sequential-packet address; write seqpacket:/path or seqpacket:@abstract"},
    {"unix://", SOCK_STREAM, false, true, WHY_UNIX},
    {"unix:", SOCK_STREAM, false, true, WHY_UNIX},
    {"tcp://", SOCK_STREAM, true, false, WHY_TCP},
    {"tcp:", SOCK_STREAM, true, false, WHY_TCP},
    {"", SOCK_STREAM, true, true, NULL},
};

static int fail(int error, const char *why, const char **ret_why)
{
    if (ret_why)
        *ret_why = why;
    return error;
}

static int take_port(const char *text, struct address *a, const char **ret_why)
{
    unsigned long port;
    size_t n = strspn(text, "0123456789");

    if (n == 0 || n > 5 || text[n])
        return fail(-EINVAL, WHY_PORT, ret_why);
    port = strtoul(text, NULL, 10);
    if (port > UINT16_MAX)
        return fail(-EINVAL, WHY_PORT, ret_why);
    address_set_port(a, (unsigned)port);
    return 0;
}

static void set_in(struct address *a)
{
    memset(&a->in, 0, sizeof a->in);
    a->in.sin_family = AF_INET;
    a->size = sizeof a->in;
}

static void set_in6(struct address *a)
{
    memset(&a->in6, 0, sizeof a->in6);
    a->in6.sin6_family = AF_INET6;
    a->size = sizeof a->in6;
}

/* HOST%INTERFACE without the brackets */
static int take_in6_host(char *host, struct address *a, const char **ret_why)
{
    char *percent = strchr(host, '%');

    set_in6(a);
    if (percent) {
        *percent = 0;
        a->in6.sin6_scope_id = if_nametoindex(percent + 1);
        if (a->in6.sin6_scope_id == 0)
            return fail(-ENODEV, WHY_DEVICE, ret_why);
    }
    if (inet_pton(AF_INET6, host, &a->in6.sin6_addr) != 1)
        return fail(-EINVAL, WHY_ADDRESS, ret_why);
    return 0;
}

static int parse_in6(const char *text, struct address *a, const char **ret_why)
{
    char host[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE];
    const char *end = strchr(text, ']');
    size_t n;
    int r;

    if (!end || (size_t)(end - text - 1) >= sizeof host)
        return fail(-EINVAL, WHY_ADDRESS, ret_why);
    n = (size_t)(end - text - 1);
    memcpy(host, text + 1, n);
    host[n] = 0;

    r = take_in6_host(host, a, ret_why);
    if (r < 0)
        return r;
    if (end[1] != ':')
        return fail(-EINVAL, WHY_NO_PORT, ret_why);
    return take_port(end + 2, a, ret_why);
}

/* Says which of the usual slips it is. */
static int refuse_host(const char *text, const char *colon, const char **ret_why)
{
    struct in6_addr in6;
    struct in_addr in;

    if (strncmp(text, "fd", 2) == 0 && text[2] && strchr(":@=", text[2]))
        return fail(-EINVAL, WHY_PASSED, ret_why);
    if (strchr(text, ','))
        return fail(-EINVAL, WHY_SEVERAL, ret_why);
    if (strstr(text, "://"))
        return fail(-EINVAL, WHY_URL, ret_why);
    if (inet_pton(AF_INET6, text, &in6) == 1 ||
        (colon && memchr(text, ':', (size_t)(colon - text)) &&
         !text[strspn(text, "0123456789abcdefABCDEF:.%")]))
        return fail(-EINVAL, WHY_BRACKETS, ret_why);
    if (inet_pton(AF_INET, text, &in) == 1)
        return fail(-EINVAL, WHY_NO_PORT, ret_why);
    if (strchr(text, '/'))
        return fail(-EINVAL, WHY_RELATIVE, ret_why);
    if (colon && colon > text)
        return fail(-EINVAL, WHY_HOST, ret_why);
    return fail(-EINVAL, WHY_ADDRESS, ret_why);
}

static int parse_in(const char *text, struct address *a, const char **ret_why)
{
    char host[INET_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');

    set_in(a);
    if (!colon || (size_t)(colon - text) >= sizeof host)
        return refuse_host(text, colon, ret_why);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    if (inet_pton(AF_INET, host, &a->in.sin_addr) != 1)
        return refuse_host(text, colon, ret_why);
    return take_port(colon + 1, a, ret_why);
}

static int parse_inet(const char *text, struct address *a, const char **ret_why)
{
    a->protocol = a->type == SOCK_DGRAM ? IPPROTO_UDP : IPPROTO_TCP;
    if (*text == '[')
        return parse_in6(text, a, ret_why);
    if (text[strspn(text, "0123456789")])
        return parse_in(text, a, ret_why);
    a->any = true;
    set_in6(a);
    return take_port(text, a, ret_why);
}

static int parse_local(const char *text, struct address *a, const char **ret_why)
{
    size_t n = strlen(text);

    if (n >= sizeof a->un.sun_path)
        return fail(-ENAMETOOLONG, WHY_LONG, ret_why);
    if (n == 1)
        return fail(-EINVAL, *text == '@' ? WHY_ADDRESS : WHY_FOLDER, ret_why);
    if (*text == '/' && text[n - 1] == '/')
        return fail(-EINVAL, WHY_FOLDER, ret_why);

    memset(&a->un, 0, sizeof a->un);
    a->un.sun_family = AF_UNIX;
    memcpy(a->un.sun_path, text, n);
    if (*text == '@') {
        a->un.sun_path[0] = 0;
        a->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    } else {
        a->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    }
    return 0;
}

int address_parse(const char *text, struct address *ret, const char **ret_why)
{
    const struct scheme *s = schemes;
    struct address a;
    bool local;
    int r;

    memset(&a, 0, sizeof a);
    if (!*text)
        return fail(-EINVAL, WHY_EMPTY, ret_why);
    while (strncmp(text, s->prefix, strlen(s->prefix)) != 0)
        s++;
    text += strlen(s->prefix);
    a.type = s->type;

    local = *text == '/' || *text == '@';
    if (local ? !s->local : !s->inet)
        return fail(-EINVAL, s->why, ret_why);
    r = local ? parse_local(text, &a, ret_why) : parse_inet(text, &a, ret_why);
    if (r < 0)
        return r;
    *ret = a;
    return 0;
}

static bool name_is_valid(const char *name, size_t n)
{
    if (n == 0 || n > ADDRESS_NAME_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (name[i] <= ' ' || name[i] > '~')
            return false;
    return true;
}

int address_parse_named(const char *text, char ret_name[static ADDRESS_NAME_MAX + 1],
                        struct address *ret, const char **ret_why)
{
    /* None of these can be in a name, so an equals sign behind one belongs to the address. */
    size_t n = strcspn(text, "=/:@[");
    bool named = text[n] == '=';
    int r;

    if (named && !name_is_valid(text, n))
        return fail(-EINVAL, WHY_NAME, ret_why);
    if (named && strncmp(text, ADDRESS_STORED_PREFIX, strlen(ADDRESS_STORED_PREFIX)) == 0)
        return fail(-EINVAL, WHY_RESERVED, ret_why);
    r = address_parse(named ? text + n + 1 : text, ret, ret_why);
    if (r < 0)
        return r;
    memcpy(ret_name, text, named ? n : 0);
    ret_name[named ? n : 0] = 0;
    return 0;
}

int address_of_socket(int fd, struct address *ret)
{
    struct address a;
    socklen_t n = sizeof a.type, size = sizeof a.un;

    memset(&a, 0, sizeof a);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &a.type, &n) < 0 || getsockname(fd, &a.sa, &size) < 0)
        return -errno;
    if (size > sizeof a.un)
        return -EAFNOSUPPORT;
    n = sizeof a.protocol;
    if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &a.protocol, &n) < 0)
        return -errno;
    a.size = size;
    *ret = a;
    return 0;
}

/*
 * The path or abstract name and its length. getsockname() includes a path's final zero or not, as
 * it was bound.
 */
static const char *local_name(const struct address *a, size_t *ret_n)
{
    size_t n = a->size - offsetof(struct sockaddr_un, sun_path);

    if (a->size <= offsetof(struct sockaddr_un, sun_path))
        n = 0;
    if (n > 0 && a->un.sun_path[0] != 0)
        n = strnlen(a->un.sun_path, n);
    *ret_n = n;
    return a->un.sun_path;
}

static const char *local_prefix(const struct address *a)
{
    return a->type == SOCK_STREAM ? "" : a->type == SOCK_SEQPACKET ? "seqpacket:" : "dgram:";
}

static void format_local(const struct address *a, char *buffer)
{
    size_t n;
    const char *name = local_name(a, &n);
    char *p = stpcpy(buffer, local_prefix(a));

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)name[i];

        *p++ = i == 0 && c == 0 ? '@' : c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    *p = 0;
}

static void format_inet(const struct address *a, char *buffer)
{
    const char *prefix = a->type == SOCK_DGRAM ? "udp:" : "";
    char host[INET6_ADDRSTRLEN], scope[IF_NAMESIZE] = "";

    if (a->sa.sa_family == AF_INET) {
        inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof host);
        snprintf(buffer, ADDRESS_TEXT_MAX, "%s%s:%u", prefix, host, address_port(a));
        return;
    }
    inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof host);
    if (a->in6.sin6_scope_id && !if_indextoname(a->in6.sin6_scope_id, scope))
        snprintf(scope, sizeof scope, "%u", a->in6.sin6_scope_id);
    snprintf(buffer, ADDRESS_TEXT_MAX, "%s[%s%s%s]:%u", prefix, host, *scope ? "%" : "", scope,
             address_port(a));
}

const char *address_format(const struct address *a, char buffer[static ADDRESS_TEXT_MAX])
{
    if (address_is_inet(a))
        format_inet(a, buffer);
    else if (a->size >= sizeof a->sa.sa_family && a->sa.sa_family == AF_UNIX)
        format_local(a, buffer);
    else
        strcpy(buffer, "no address");
    return buffer;
}

bool address_is_inet(const struct address *a)
{
    return (a->size >= sizeof a->in && a->sa.sa_family == AF_INET) ||
           (a->size >= sizeof a->in6 && a->sa.sa_family == AF_INET6);
}

bool address_is_wildcard(const struct address *a)
{
    if (!address_is_inet(a))
        return false;
    if (a->sa.sa_family == AF_INET)
        return a->in.sin_addr.s_addr == htonl(INADDR_ANY);
    return IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

const char *address_path(const struct address *a)
{
    size_t n;
    const char *name;

    if (a->size < sizeof a->sa.sa_family || a->sa.sa_family != AF_UNIX)
        return NULL;
    name = local_name(a, &n);
    return n > 0 && *name ? name : NULL;
}

unsigned address_port(const struct address *a)
{
    if (!address_is_inet(a))
        return 0;
    return ntohs(a->sa.sa_family == AF_INET ? a->in.sin_port : a->in6.sin6_port);
}

void address_set_port(struct address *a, unsigned port)
{
    if (a->sa.sa_family == AF_INET)
        a->in.sin_port = htons((uint16_t)port);
    else if (a->sa.sa_family == AF_INET6)
        a->in6.sin6_port = htons((uint16_t)port);
}

static bool host_equal(const struct address *a, const struct address *b)
{
    if (a->sa.sa_family != b->sa.sa_family)
        return false;
    if (a->sa.sa_family == AF_INET)
        return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
    return IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr) &&
           a->in6.sin6_scope_id == b->in6.sin6_scope_id;
}

static bool local_equal(const struct address *a, const struct address *b)
{
    size_t n_a, n_b;
    const char *name_a = local_name(a, &n_a), *name_b = local_name(b, &n_b);

    return n_a == n_b && memcmp(name_a, name_b, n_a) == 0;
}

bool address_matches(const struct address *wanted, const struct address *bound, bool any_port)
{
    if (wanted->type != bound->type || wanted->protocol != bound->protocol)
        return false;
    if (!address_is_inet(wanted))
        return bound->size > 0 && bound->sa.sa_family == wanted->sa.sa_family &&
               local_equal(wanted, bound);
    if (!address_is_inet(bound))
        return false;
    if (address_port(wanted) != address_port(bound) && !(any_port && address_port(wanted) == 0))
        return false;
    return host_equal(wanted, bound) || (wanted->any && address_is_wildcard(bound));
}

/* What one of them takes, the other gets, too. */
bool address_overlaps(const struct address *a, const struct address *b)
{
    if (a->type != b->type)
        return false;
    if (!address_is_inet(a) || !address_is_inet(b))
        return address_is_inet(a) == address_is_inet(b) && local_equal(a, b);
    if (address_port(a) == 0 || address_port(a) != address_port(b))
        return false;
    if (host_equal(a, b))
        return true;
    /* [::] takes IPv4 as well; 0.0.0.0 takes no IPv6. */
    return (address_is_wildcard(a) &&
            (a->sa.sa_family == AF_INET6 || b->sa.sa_family == AF_INET)) ||
           (address_is_wildcard(b) && (b->sa.sa_family == AF_INET6 || a->sa.sa_family == AF_INET));
}
