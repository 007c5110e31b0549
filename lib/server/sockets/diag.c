/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "diag.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has_attribute(const struct nlmsghdr *h, unsigned type)
{
    const struct inet_diag_msg *m = NLMSG_DATA(h);
    size_t left = h->nlmsg_len - NLMSG_LENGTH(sizeof *m);

    for (const struct nlattr *a = (const void *)(m + 1);
         left >= sizeof *a && a->nla_len >= sizeof *a && a->nla_len <= left;) {
        size_t step = NLA_ALIGN(a->nla_len);

        if (a->nla_type == type)
            return true;
        if (step >= left)
            break;
        left -= step;
        a = (const void *)((const char *)a + step);
    }
    return false;
}

enum found { UNKNOWN, WITHOUT, WITH, END };

/* NLMSG_OK() compares the lengths as numbers of different signs. */
static bool is_whole(const struct nlmsghdr *h, int left)
{
    return left >= (int)sizeof(*h) && h->nlmsg_len >= sizeof(*h) && h->nlmsg_len <= (unsigned)left;
}

static enum found look_at(const char *answer, ssize_t n, ino_t inode)
{
    int left = (int)n;

    for (const struct nlmsghdr *h = (const void *)answer; is_whole(h, left);
         h = NLMSG_NEXT(h, left)) {
        const struct inet_diag_msg *m = NLMSG_DATA(h);

        if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || h->nlmsg_len < NLMSG_LENGTH(sizeof *m))
            return END;
        if (m->idiag_inode == (uint32_t)inode)
            return has_attribute(h, INET_DIAG_MD5SIG) ? WITH : WITHOUT;
    }
    return UNKNOWN;
}

static bool ask(int diag, const struct address *a)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } q = {
        .header = {.nlmsg_len = sizeof q,
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .request = {.sdiag_family = (uint8_t)a->sa.sa_family,
                    .sdiag_protocol = IPPROTO_TCP,
                    .idiag_ext = 1u << (INET_DIAG_INFO - 1), /* or it leaves them out */
                    .idiag_states = 1u << TCP_LISTEN,
                    .id.idiag_sport = htons((uint16_t)address_port(a))},
    };

    return send(diag, &q, sizeof q, 0) == sizeof q;
}

bool diag_has_keys(int fd, const struct address *a)
{
    _Alignas(struct nlmsghdr) char answer[16384];
    enum found found = UNKNOWN;
    struct stat st;
    int diag;

    if (!address_is_inet(a) || a->type != SOCK_STREAM || fstat(fd, &st) < 0)
        return false;
    diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (diag < 0)
        return false;
    if (ask(diag, a))
        while (found == UNKNOWN) {
            ssize_t n = recv(diag, answer, sizeof answer, MSG_DONTWAIT);

            found = n <= 0 ? END : look_at(answer, n, st.st_ino);
        }
    close(diag);
    return found == WITH;
}
