/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <aiotools-sd/aiotools-sd.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

static int echo(int fd)
{
    char buf[4096];
    ssize_t n;
    int r = 0;

    while ((n = ait_read(fd, buf, sizeof(buf))) > 0 && r >= 0)
        r = ait_write_all(fd, buf, (size_t)n, NULL);
    (void)ait_close(fd);
    return n < 0 ? (int)n : r;
}

static int serve(void *userdata)
{
    int *listener = userdata, fd, r = 0;

    while ((fd = ait_accept(*listener, NULL, NULL)) >= 0 && r >= 0)
        r = echo(fd);
    return fd < 0 ? fd : r;
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (argc != 2 || listener < 0)
        return 1;
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", argv[1]);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(listener, 16) < 0)
        return 1;
    (void)ait_run(serve, &listener, 0); /* until SIGTERM */
    return unlink(argv[1]) < 0;
}
