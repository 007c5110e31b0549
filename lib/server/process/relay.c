/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

/* -EAFNOSUPPORT: an address that is libsystemd's to understand. */
static int connect_manager(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t n = path ? strlen(path) : 0;

    if (n == 0)
        return -ENOENT;
    if ((path[0] != '/' && path[0] != '@') || n >= sizeof(address.sun_path))
        return -EAFNOSUPPORT;
    memcpy(address.sun_path, path, n);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    else
        n++;

    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) >= 0)
        return fd;
    int error = errno;
    (void)close(fd);
    return -error;
}

/* False: there is no room now. A manager that has gone is nobody's concern. */
static bool send_now(int fd, struct guardian_post *post)
{
    union {
        struct cmsghdr alignment;
        char room[CMSG_SPACE(GUARDIAN_FDS_MAX * sizeof(int))];
    } control;
    struct iovec iov = {post->message.text, strlen(post->message.text)};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    if (post->n_fds > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(post->n_fds * sizeof(int));
        memset(&control, 0, message.msg_controllen);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(post->n_fds * sizeof(int)),
                              .cmsg_level = SOL_SOCKET,
                              .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(c), post->fds, post->n_fds * sizeof(int));
    }
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno != EAGAIN;
}

void relay_go_on(struct relay *relay)
{
    if (!send_now(relay->fd, &relay->post))
        return;
    (void)close(relay->fd);
    relay->fd = -1;
    guardian_post_done(&relay->post);
}

void relay_put(struct relay *relay, const struct guardian_post *post)
{
    relay->post = *post;
    relay->fd = connect_manager();
    if (relay->fd >= 0) {
        relay_go_on(relay);
        return;
    }
    if (relay->fd == -EAFNOSUPPORT)
        (void)sd_pid_notify_with_fds(0, 0, relay->post.message.text, relay->post.fds,
                                     (unsigned)relay->post.n_fds);
    relay->fd = -1;
    guardian_post_done(&relay->post);
}
