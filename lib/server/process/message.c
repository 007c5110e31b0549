/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "message.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEADER_SIZE offsetof(struct guardian_message, text)

union control {
    struct cmsghdr alignment;
    char room[CMSG_SPACE(GUARDIAN_FDS_MAX * sizeof(int))];
};

int guardian_send(int fd, enum guardian_message_kind kind, const char *text, const int *fds,
                  size_t n_fds)
{
    uint32_t header[] = {GUARDIAN_PROTOCOL, kind};
    size_t n = strlen(text);
    struct iovec iov[] = {{header, sizeof(header)}, {(void *)text, n}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    union control control;

    _Static_assert(sizeof(header) == HEADER_SIZE, "the header is what comes before the text");
    if (n >= GUARDIAN_TEXT_MAX || n_fds > GUARDIAN_FDS_MAX)
        return -E2BIG;
    if (n_fds > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        memset(&control, 0, message.msg_controllen);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(n_fds * sizeof(int)),
                              .cmsg_level = SOL_SOCKET,
                              .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return 0;
    /* One that has died with a message unread is as dead as any. */
    return errno == ECONNRESET ? -EPIPE : -errno;
}

static void take_fds(struct guardian_post *post, struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            post->n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(post->fds, CMSG_DATA(c), post->n_fds * sizeof(int));
        }
}

int guardian_receive(int fd, struct guardian_post *ret)
{
    struct iovec iov = {&ret->message, sizeof(ret->message) - 1};
    union control control;
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
    if (n == 0)
        return -EPIPE;
    ret->n_fds = 0;
    take_fds(ret, &message);
    if ((size_t)n < HEADER_SIZE)
        ret->message.kind = 0;
    ((char *)&ret->message)[n] = '\0';
    return 1;
}

void guardian_post_done(struct guardian_post *post)
{
    for (size_t i = 0; i < post->n_fds; i++)
        (void)close(post->fds[i]);
    post->n_fds = 0;
}
