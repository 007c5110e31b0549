/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>

#include "message.h"
#include "raw.h"

RAW_CODE static struct cmsghdr *control_of(struct guardian_registration *r)
{
    return (struct cmsghdr *)(void *)r->control;
}

void guardian_registration_init(struct guardian_registration *r, const struct guardian_tree *tree)
{
    *r = (struct guardian_registration){.message = {.kind = GUARDIAN_ADD, .tree = *tree}};
    r->iov = (struct iovec){.iov_base = &r->message, .iov_len = sizeof(r->message)};
    r->header = (struct msghdr){
        .msg_iov = &r->iov,
        .msg_iovlen = 1,
        .msg_control = r->control,
        .msg_controllen = sizeof(r->control),
    };
    *control_of(r) = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)),
        .cmsg_level = SOL_SOCKET,
        .cmsg_type = SCM_RIGHTS,
    };
}

/* A guardian that has died with a message unread is as dead as any. */
RAW_CODE static int sent(long r)
{
    return r == -ECONNRESET ? -EPIPE : r < 0 ? (int)r : 0;
}

RAW_CODE int guardian_register_self(struct guardian_registration *r, int fd)
{
    pid_t self = (pid_t)raw_call(SYS_getpid);
    long pidfd = raw_call(SYS_pidfd_open, self, 0);
    if (pidfd < 0)
        return (int)pidfd;
    r->message.tree.pid = self;
    *(int *)(void *)CMSG_DATA(control_of(r)) = (int)pidfd;
    long n = raw_call(SYS_sendmsg, fd, &r->header, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)raw_call(SYS_close, pidfd);
    return sent(n);
}

int guardian_send(int fd, const struct guardian_message *message, int pidfd)
{
    struct guardian_registration r;

    guardian_registration_init(&r, &message->tree);
    r.message.kind = message->kind;
    memcpy(CMSG_DATA(control_of(&r)), &pidfd, sizeof(pidfd));
    if (pidfd < 0) {
        r.header.msg_control = NULL;
        r.header.msg_controllen = 0;
    }
    return sent(sendmsg(fd, &r.header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0);
}
