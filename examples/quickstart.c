/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An echo server. Each connection is a task; 30 s of silence end it. SIGTERM stops the server. */
#include <aiotools-sd/aiotools-sd.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

static ssize_t echo_once(int fd)
{
    char buf[512];
    AIT_SCOPE(limit); /* a block with a deadline */

    int r = ait_scope_enter_after(&limit, 0, 30 * AIT_USEC_PER_SEC);
    if (r < 0)
        return r;
    ssize_t n = ait_read(fd, buf, sizeof(buf)); /* suspends this task, no other */
    if (n > 0 && (r = ait_write_all(fd, buf, (size_t)n, NULL)) < 0)
        n = r;
    return ait_scope_exit(limit, (int)n); /* -ETIME after 30 s */
}

static int connection(int fd, void *userdata) /* fd is closed when this returns */
{
    ssize_t n;

    (void)userdata;
    do
        n = echo_once(fd);
    while (n > 0);
    return (int)n;
}

static int serve(void *userdata)
{
    int listener = SD_LISTEN_FDS_START;

    (void)userdata;
    sd_notify(0, "READY=1");
    /* Until SIGTERM cancels us. Connections then have 5 s to end by themselves. */
    return ait_serve_listeners(&listener, 1, connection, NULL,
                               AIT_SERVE_OPTIONS(.grace_usec = 5 * AIT_USEC_PER_SEC));
}

int main(void)
{
    int r = ait_run(serve, NULL, 0);

    if (r < 0 && r != -ECANCELED)
        fprintf(stderr, "quickstart: %s\n", strerror(-r));
    return r < 0 && r != -ECANCELED;
}
