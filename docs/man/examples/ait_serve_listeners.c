/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <aiotools-sd/aiotools-sd.h>

/* Answers each line by the line, and says goodbye once the server drains. */
static int talk(int fd, void *userdata)
{
    AIT_CLEANUP(ait_stream_closep) ait_stream *stream = NULL;
    const ait_serve_counters *counters = userdata;
    char *line;
    size_t n;
    int r;

    r = ait_stream_open(&stream, fd, NULL);
    while (r >= 0 && !counters->draining && (r = ait_stream_read_line(stream, &line, &n)) > 0) {
        r = ait_stream_printf(stream, "%.*s\n", (int)n, line);
        if (r >= 0)
            r = ait_stream_flush(stream);
    }
    if (r >= 0 && ait_stream_printf(stream, "bye\n") >= 0)
        r = ait_stream_flush(stream);
    return r;
}

/* A client; when it has its answer, the server is to end. */
static int client(void *userdata)
{
    const struct sockaddr *addr = userdata;
    char answer[16] = "";
    int fd, r;

    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    r = fd < 0 ? -errno : ait_connect(fd, addr, sizeof(struct sockaddr_in));
    if (r >= 0)
        r = ait_write_all(fd, "hello\n", 6, NULL);
    if (r >= 0)
        r = (int)ait_read(fd, answer, sizeof(answer) - 1);
    if (fd >= 0)
        ait_close(fd);
    return r < 0 ? r : strcmp(answer, "hello\n") == 0 ? -ESHUTDOWN : -EPROTO;
}

static int serve(void *userdata)
{
    ait_serve_counters counters = {.size = sizeof(counters)};
    int fd = *(const int *)userdata, r;

    r = ait_serve_listeners(&fd, 1, talk, &counters,
                            AIT_SERVE_OPTIONS(.max_connections = 1000,
                                              .grace_usec = 10 * AIT_USEC_PER_SEC,
                                              .counters = &counters));
    printf("%llu connection served\n", (unsigned long long)counters.n_accepted);
    return r;
}

static int program(void *userdata)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    AIT_SCOPE(both);
    int fd, r;

    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (listen(fd, 128) < 0 || getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        r = -errno;
    else
        r = ait_scope_enter(&both, AIT_SCOPE_FAIL_FAST);
    if (r >= 0)
        r = ait_scope_spawn(both, NULL, serve, &fd, NULL);
    if (r >= 0) {
        addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        r = ait_scope_spawn(both, NULL, client, &addr, NULL);
    }
    r = ait_scope_exit(both, r);
    ait_close(fd);
    return r == -ESHUTDOWN ? 0 : r;
}

int main(void)
{
    int r = ait_run(program, NULL, 0);

    if (r < 0)
        fprintf(stderr, "%s\n", strerror(-r));
    return r < 0;
}
