/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connects to the address of a host that answers first, and copies data in both directions, as nc
 * does: happy-eyeballs HOST SERVICE. On stderr it prints each attempt, and the result.
 */
#include <aiotools-sd/aiotools-sd.h>

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_TIME (10 * AIT_USEC_PER_SEC)

static const char *text_of(const struct sockaddr *addr, socklen_t len, char *buf, size_t n)
{
    char host[64], service[16]; /* numeric */

    if (getnameinfo(addr, len, host, sizeof(host), service, sizeof(service),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return "an unknown address";
    (void)snprintf(buf, n, "%s port %s", host, service);
    return buf;
}

/* Called before each attempt. setsockopt() and bind() belong here as well. */
static int on_attempt(int fd, const struct sockaddr *addr, socklen_t len, void *userdata)
{
    char buf[200];

    (void)fd;
    (void)userdata;
    fprintf(stderr, "trying %s\n", text_of(addr, len, buf, sizeof(buf)));
    return 0;
}

static int dial(char **argv)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    char buf[200];
    int r, fd = -1;

    AIT_TIMEOUT(r, CONNECT_TIME) /* -ETIME if no address has answered in time */
        r = ait_connect_host(&fd, argv[1], argv[2], AIT_CONNECT_OPTIONS(.prepare = on_attempt));
    if (r < 0)
        return r;
    if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0)
        fprintf(stderr, "connected to %s\n",
                text_of((struct sockaddr *)&peer, len, buf, sizeof(buf)));
    return fd;
}

struct direction {
    int from, to;
};

static int copy(void *userdata)
{
    struct direction *d = userdata;
    char buf[4096];
    ssize_t n;

    while ((n = ait_read(d->from, buf, sizeof(buf))) > 0) {
        int r = ait_write_all(d->to, buf, (size_t)n, NULL);
        if (r < 0)
            return r;
    }
    if (n == 0)
        (void)shutdown(d->to, SHUT_WR); /* harmless if it is not a socket */
    return (int)n;
}

/* Reads until the end of the peer's data; writing runs concurrently. */
static int talk(int fd)
{
    struct direction there = {STDIN_FILENO, fd}, back = {fd, STDOUT_FILENO};
    AIT_SCOPE(sending);

    int r = ait_scope_enter(&sending, AIT_SCOPE_FAIL_FAST);
    if (r < 0)
        return r;
    r = ait_scope_spawn(sending, NULL, copy, &there, NULL);
    if (r >= 0)
        r = copy(&back);
    (void)ait_scope_cancel(sending);
    return ait_scope_exit(sending, r);
}

static int run(void *userdata)
{
    int fd = dial(userdata);

    if (fd < 0)
        return fd;
    int r = talk(fd);
    (void)ait_close(fd);
    return r;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: happy-eyeballs HOST SERVICE\n");
        return 2;
    }
    int r = ait_run(run, argv, 0);
    if (r < 0)
        fprintf(stderr, "happy-eyeballs: %s\n",
                r == -ETIME ? "no address has answered" : strerror(-r));
    return r < 0;
}
