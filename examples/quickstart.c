/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An echo server. Each connection is a task; 30 s of silence end it. SIGTERM stops the server. */
#include <aiotools-sd/aiotools-sd.h>
#include <errno.h>
#include <systemd/sd-daemon.h>

static int echo_once(int fd)
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

static int connection(void *userdata)
{
    int fd = (int)(intptr_t)userdata;

    while (echo_once(fd) > 0)
        continue;
    return ait_close(fd);
}

static int serve(void *userdata)
{
    AIT_SCOPE(clients); /* a block that ends when its tasks have ended */

    (void)userdata;
    int r = ait_scope_enter(&clients, AIT_SCOPE_SUPERVISOR);
    sd_notify(0, "READY=1");
    while (r >= 0 && (r = ait_accept(SD_LISTEN_FDS_START, NULL, NULL)) >= 0)
        r = ait_scope_spawn(clients, NULL, connection, (void *)(intptr_t)r, NULL);
    return ait_scope_exit(clients, r); /* cancelled by SIGTERM, as we are; waits for them */
}

int main(void)
{
    int r = ait_run(serve, NULL, 0);

    return r < 0 && r != -ECANCELED;
}
