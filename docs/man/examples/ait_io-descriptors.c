/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An open file is passed over a socket. */
#include <stdio.h>
#include <sys/un.h>

#include <aiotools-sd/aiotools-sd.h>

int ask_for_file(const struct sockaddr_un *broker, int *ret_fd);
int hand_over(int connection, int fd);

int ask_for_file(const struct sockaddr_un *broker, int *ret_fd)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;
    size_t n_fds = 0;
    char byte;

    r = ait_connect(fd, (const struct sockaddr *)broker, sizeof(*broker));
    if (r >= 0)
        r = (int)ait_write(fd, "?", 1);
    if (r >= 0)
        r = (int)ait_recv_fds(fd, &byte, 1, ret_fd, 1, &n_fds);
    (void)ait_close(fd);
    return r < 0 ? r : (int)n_fds;
}

int hand_over(int connection, int fd)
{
    return (int)ait_send_fds(connection, "!", 1, &fd, 1);
}
