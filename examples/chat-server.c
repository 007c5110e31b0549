/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A chat room: chat-server [PORT]. Each client has two tasks in one scope: one reads lines, the
 * other writes what the room says. The queue between the room and a client drops its oldest line
 * when it is full, so a client that does not read holds up no other. Try it with "nc 127.0.0.1
 * PORT" in two terminals.
 */
#include <aiotools-sd/aiotools-sd.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES_BEHIND 100
#define FAREWELL     AIT_USEC_PER_SEC

struct client {
    ait_stream *stream;
    ait_queue *outbox; /* of strings */
    char name[32];
    struct client *next;
};

static struct client *clients;

/* ---- the room: plain data without locks, since nothing here waits ---------------------------- */

__attribute__((format(printf, 1, 2))) static void tell_all(const char *format, ...)
{
    char *line = NULL, *copy;
    va_list ap;

    va_start(ap, format);
    int n = vasprintf(&line, format, ap);
    va_end(ap);
    for (struct client *c = clients; c && n >= 0; c = c->next)
        if ((copy = strdup(line)) && ait_queue_try_put(c->outbox, copy) < 0)
            free(copy);
    free(n >= 0 ? line : NULL);
}

static void join(struct client *c)
{
    tell_all("* %s has come\n", c->name);
    c->next = clients;
    clients = c;
}

static void part(struct client *c)
{
    for (struct client **p = &clients; *p; p = &(*p)->next)
        if (*p == c) {
            *p = c->next;
            tell_all("* %s has gone\n", c->name);
            return;
        }
}

/* ---- one client ------------------------------------------------------------------------------ */

/* Sends the outbox, and flushes when it is empty. */
static int write_lines(void *userdata)
{
    struct client *c = userdata;
    void *line;
    int r;

    while ((r = ait_queue_get(c->outbox, &line)) > 0) {
        r = ait_stream_write(c->stream, line, strlen(line), NULL);
        free(line);
        if (r >= 0 && ait_queue_size(c->outbox) == 0)
            r = ait_stream_flush(c->stream);
        if (r < 0)
            return r;
    }
    return r;
}

static int read_lines(struct client *c)
{
    char *line;

    int r = ait_stream_printf(c->stream, "Your name?\n");
    if (r >= 0)
        r = ait_stream_flush(c->stream);
    if (r >= 0)
        r = ait_stream_read_line(c->stream, &line, NULL);
    if (r <= 0)
        return r;
    (void)snprintf(c->name, sizeof(c->name), "%s", *line ? line : "nobody");
    join(c);
    while ((r = ait_stream_read_line(c->stream, &line, NULL)) > 0)
        tell_all("%s: %s\n", c->name, line);
    part(c);
    return r;
}

static int talk(struct client *c)
{
    AIT_SCOPE(scope); /* reader and writer; if one fails, both end */

    int r = ait_scope_enter(&scope, AIT_SCOPE_FAIL_FAST);
    if (r >= 0)
        r = ait_scope_spawn(scope, NULL, write_lines, c, AIT_TASK_OPTIONS(.name = "writer"));
    if (r >= 0)
        r = read_lines(c);
    (void)ait_queue_close(c->outbox); /* the writer sends the rest and ends */
    return ait_scope_exit(scope, r);
}

/* The server stops. Although this task is cancelled, it has a second to tell the client. */
static void say_goodbye(struct client *c)
{
    AIT_SHIELD(FAREWELL)
        if (ait_stream_printf(c->stream, "* The room is closing\n") >= 0)
            (void)ait_stream_flush(c->stream);
}

static int client_main(void *userdata)
{
    AIT_CLEANUP(ait_queue_unrefp) ait_queue *outbox = NULL;
    AIT_CLEANUP(ait_stream_closep) ait_stream *stream = NULL;
    int fd = (int)(intptr_t)userdata;

    int r = ait_stream_open(&stream, fd, AIT_STREAM_OPTIONS(.flags = AIT_STREAM_OWN_FD));
    if (r < 0)
        return ait_close(fd);
    r = ait_queue_new(&outbox, LINES_BEHIND, AIT_QUEUE_DROP_OLDEST, free);
    if (r < 0)
        return r;
    struct client c = {.stream = stream, .outbox = outbox};
    r = talk(&c);
    if (r == -ECANCELED)
        say_goodbye(&c);
    return 0; /* a client that disconnects is not an error */
}

/* ---- the server ------------------------------------------------------------------------------ */

static int listen_on(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 128) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return -errno;
    printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
    (void)fflush(stdout);
    return fd;
}

static int serve(void *userdata)
{
    int listener = *(int *)userdata;
    AIT_SCOPE(room);

    int r = ait_scope_enter(&room, 0);
    while (r >= 0 && (r = ait_accept(listener, NULL, NULL)) >= 0) {
        int fd = r;

        r = ait_scope_spawn(room, NULL, client_main, (void *)(intptr_t)fd,
                            AIT_TASK_OPTIONS(.name = "client"));
        if (r < 0)
            (void)ait_close(fd);
    }
    return ait_scope_exit(room, r); /* SIGTERM has cancelled all tasks; waits for the farewells */
}

int main(int argc, char **argv)
{
    int listener = listen_on(argc > 1 ? (unsigned)atoi(argv[1]) : 0);

    int r = listener < 0 ? listener : ait_run(serve, &listener, 0);
    if (listener >= 0)
        (void)close(listener);
    if (r < 0 && r != -ECANCELED)
        fprintf(stderr, "chat-server: %s\n", strerror(-r));
    return r < 0 && r != -ECANCELED;
}
