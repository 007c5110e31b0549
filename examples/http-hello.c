/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * http-hello: a small HTTP/1.1 server that is started by `aiotools-sd run`, systemd or
 * systemd-socket-activate.
 *
 *     aiotools-sd run --workers=4 --listen=127.0.0.1:8080 -- http-hello
 *
 * It answers every request with the pid of the worker; /sleep/MS takes MS milliseconds to answer.
 *
 * Each connection is a task. SIGTERM cancels ait_serve_listeners(): connections that are still
 * queued are accepted, and the wait for a further request on connections that have had an answer
 * ends; they are closed. A connection that waits for its first request or has a request under way
 * waits in a shield, and gets `Connection: close` with its answer. No request is lost.
 */

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include <aiotools-sd/aiotools-sd.h>

#define BUFFER_SIZE 2048u
#define REQUEST_TIME                                                                               \
    (10 * AIT_USEC_PER_SEC) /* for a request to arrive, and for its answer to leave */
#define IDLE_TIME      (60 * AIT_USEC_PER_SEC) /* for the next request to begin */
#define LINGER_TIME    (1 * AIT_USEC_PER_SEC)  /* for the other side to close */
#define SLEEP_MAX_MSEC 60000u

/* Once it drains, answers say that the connection ends. */
static ait_serve_counters counters = {.size = sizeof(counters)};

struct connection {
    int fd;
    bool answered; /* and no further request has begun */
    size_t n;      /* bytes in the buffer */
    char buffer[BUFFER_SIZE];
};

struct request {
    size_t head, body; /* lengths; body does not have to be in the buffer */
    bool http_1_0, keep_alive, no_content;
    unsigned sleep_msec;
    const char *refusal; /* a status line, sent before the connection is closed */
};

/* ---- parsing --------------------------------------------------------------------------------- */

/* The length of the head with its empty line; 0 if it is not complete. */
static size_t head_length(const char *p, size_t n)
{
    const char *end = memmem(p, n, "\r\n\r\n", 4);

    return end ? (size_t)(end - p) + 4 : 0;
}

static bool value_has(const char *value, size_t n, const char *word)
{
    size_t k = strlen(word);

    for (size_t i = 0; i + k <= n; i++)
        if (strncasecmp(value + i, word, k) == 0)
            return true;
    return false;
}

static void parse_connection(struct request *r, const char *value, size_t n)
{
    if (value_has(value, n, "close"))
        r->keep_alive = false;
    else if (value_has(value, n, "keep-alive"))
        r->keep_alive = true;
}

static void parse_content_length(struct request *r, const char *value, size_t n)
{
    if (n == 0 || n > 12)
        r->refusal = "400 Bad Request";
    for (size_t i = 0; i < n && !r->refusal; i++) {
        if (!isdigit((unsigned char)value[i]))
            r->refusal = "400 Bad Request";
        r->body = r->body * 10 + (size_t)(value[i] - '0');
    }
}

static void parse_transfer_encoding(struct request *r, const char *value, size_t n)
{
    (void)value;
    (void)n;
    r->refusal = "411 Length Required";
}

static const struct {
    const char *name;
    void (*parse)(struct request *r, const char *value, size_t n);
} fields[] = {
    {"Connection", parse_connection},
    {"Content-Length", parse_content_length},
    {"Transfer-Encoding", parse_transfer_encoding},
};

static void parse_field(struct request *r, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);

    for (size_t i = 0; colon && i < sizeof(fields) / sizeof(*fields); i++) {
        const char *value = colon + 1, *end = line + n;

        if (strlen(fields[i].name) != (size_t)(colon - line) ||
            strncasecmp(line, fields[i].name, (size_t)(colon - line)) != 0)
            continue;
        while (value < end && (*value == ' ' || *value == '\t'))
            value++;
        while (value < end && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        fields[i].parse(r, value, (size_t)(end - value));
    }
}

/* METHOD SP TARGET SP HTTP/1.x */
static void parse_request_line(struct request *r, const char *line, size_t n)
{
    static const char sleep_target[] = " /sleep/";
    const char *space = memchr(line, ' ', n);

    if (!space || n < 14 || memcmp(line + n - 9, " HTTP/1.", 8) != 0) {
        r->refusal = "400 Bad Request";
        return;
    }
    r->http_1_0 = line[n - 1] == '0';
    r->keep_alive = !r->http_1_0;
    r->no_content = strncmp(line, "HEAD ", 5) == 0;
    if (strncmp(space, sleep_target, strlen(sleep_target)) == 0) {
        unsigned long msec = strtoul(space + strlen(sleep_target), NULL, 10);
        r->sleep_msec = msec < SLEEP_MAX_MSEC ? (unsigned)msec : SLEEP_MAX_MSEC;
    }
}

static void parse_head(struct request *r, const char *head, size_t n)
{
    const char *p = head, *end = head + n - 2;

    *r = (struct request){.head = n};
    while (p < end) {
        size_t k = (size_t)((const char *)memmem(p, (size_t)(end + 2 - p), "\r\n", 2) - p);

        if (p == head)
            parse_request_line(r, p, k);
        else
            parse_field(r, p, k);
        p += k + 2;
    }
}

/* ---- one connection -------------------------------------------------------------------------- */

/*
 * Waits for more bytes. Only the wait for a further request can be cancelled, and only after a last
 * look: a request that has already arrived is served. 0: end of file, or time is up.
 */
static ssize_t receive(struct connection *c)
{
    bool idle = c->n == 0 && c->answered;
    AIT_SCOPE(scope);

    int r = ait_scope_enter_after(&scope, AIT_SCOPE_MOVE_ON | (idle ? 0 : AIT_SCOPE_SHIELD),
                                  idle ? IDLE_TIME : REQUEST_TIME);
    if (r < 0)
        return r;
    ssize_t n = ait_recv(c->fd, c->buffer + c->n, BUFFER_SIZE - c->n, 0);
    if (n == -ECANCELED && !ait_scope_is_expired(scope)) {
        n = recv(c->fd, c->buffer + c->n, BUFFER_SIZE - c->n, MSG_DONTWAIT);
        n = n < 0 ? 0 : n;
    }
    r = ait_scope_exit(scope, n < 0 ? (int)n : 0);
    if (n < 0)
        return r;
    c->n += (size_t)n;
    return n;
}

static void consume(struct connection *c, size_t n)
{
    c->n -= n;
    memmove(c->buffer, c->buffer + n, c->n);
}

/* 1: a head is in the buffer and parsed. 0: there is none, and none will come. */
static int receive_head(struct connection *c, struct request *ret)
{
    size_t head;

    while ((head = head_length(c->buffer, c->n)) == 0) {
        if (c->n == BUFFER_SIZE) {
            *ret = (struct request){.refusal = "431 Request Header Fields Too Large"};
            return 1;
        }
        ssize_t n = receive(c);
        if (n <= 0)
            return (int)n;
    }
    parse_head(ret, c->buffer, head);
    return 1;
}

/* Drops the request from the buffer and its body from the socket. */
static int skip_request(struct connection *c, const struct request *r)
{
    size_t left = r->body;

    consume(c, r->head);
    for (;;) {
        size_t n = left < c->n ? left : c->n;

        consume(c, n);
        left -= n;
        if (left == 0)
            return 1;
        c->answered = false;
        ssize_t k = receive(c);
        if (k <= 0)
            return (int)k;
    }
}

static int send_answer(struct connection *c, const struct request *r, bool last)
{
    char body[64], answer[512];
    const char *status = r->refusal ? r->refusal : "200 OK";
    int n = snprintf(body, sizeof(body), "pid=%d\n", (int)getpid());

    n = snprintf(answer, sizeof(answer),
                 "HTTP/1.1 %s\r\n"
                 "Content-Type: text/plain\r\n"
                 "Content-Length: %d\r\n"
                 "X-Worker-Pid: %d\r\n"
                 "%s\r\n"
                 "%s",
                 status, n, (int)getpid(),
                 last          ? "Connection: close\r\n"
                 : r->http_1_0 ? "Connection: keep-alive\r\n"
                               : "",
                 r->no_content ? "" : body);
    return ait_write_all(c->fd, answer, (size_t)n, NULL);
}

/* The answer to a request that has arrived. From here on, nothing cancels it. */
static int answer(struct connection *c, const struct request *r, bool *ret_last)
{
    AIT_SCOPE(scope);

    int k = ait_scope_enter_after(&scope, AIT_SCOPE_SHIELD,
                                  REQUEST_TIME + r->sleep_msec * AIT_USEC_PER_MSEC);
    if (k < 0)
        return k;
    if (r->sleep_msec > 0)
        (void)ait_sleep(r->sleep_msec * AIT_USEC_PER_MSEC);
    /* a request that follows is answered before the connection is closed */
    *ret_last = r->refusal || !r->keep_alive || (counters.draining && c->n == 0);
    return ait_scope_exit(scope, send_answer(c, r, *ret_last));
}

/* Closing a socket with unread data would reset the connection, and lose answers in transit. */
static void close_gently(struct connection *c)
{
    AIT_SCOPE(scope);

    if (shutdown(c->fd, SHUT_WR) < 0 ||
        ait_scope_enter_after(&scope, AIT_SCOPE_SHIELD | AIT_SCOPE_MOVE_ON, LINGER_TIME) < 0)
        return;
    while (ait_recv(c->fd, c->buffer, BUFFER_SIZE, 0) > 0)
        continue;
    (void)ait_scope_exit(scope, 0);
}

static int serve_connection(int fd, void *userdata)
{
    struct connection c = {.fd = fd};
    struct request request;
    const int on = 1;
    bool last = false;
    int r = 1;

    (void)userdata;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    while (r > 0 && !last) {
        r = receive_head(&c, &request);
        if (r > 0 && !request.refusal)
            r = skip_request(&c, &request);
        if (r > 0) {
            r = answer(&c, &request, &last);
            r = r < 0 ? r : 1;
            c.answered = true;
        }
    }
    if (last || r == 0)
        close_gently(&c);
    return r;
}

/* ---- the server ------------------------------------------------------------------------------ */

struct server {
    int *fds, n;
};

static int serve(void *userdata)
{
    const struct server *s = userdata;

    sd_notify(0, "READY=1");
    return ait_serve_listeners(s->fds, (size_t)s->n, serve_connection, NULL,
                               AIT_SERVE_OPTIONS(.counters = &counters));
}

/* The sockets are inherited. O_NONBLOCK applies to all workers that share them. */
static int take_sockets(struct server *s)
{
    s->n = sd_listen_fds(1);
    if (s->n <= 0) {
        fprintf(stderr,
                "http-hello: no socket; write aiotools-sd run --listen=8080 -- http-hello\n");
        return -ENOENT;
    }
    s->fds = calloc((size_t)s->n, sizeof(*s->fds));
    if (!s->fds)
        return -ENOMEM;
    for (int i = 0; i < s->n; i++) {
        int fd = SD_LISTEN_FDS_START + i;

        if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
            fprintf(stderr,
                    "http-hello: fd %d is no listening stream socket; pass TCP or unix addresses\n",
                    fd);
            return -ENOTSOCK;
        }
        (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        s->fds[i] = fd;
    }
    return 0;
}

int main(void)
{
    struct server s = {0};
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    int r = take_sockets(&s);
    if (r >= 0 && (r = ait_run(serve, &s, 0)) < 0 && r != -ECANCELED)
        fprintf(stderr, "http-hello: %s\n", strerror(-r));
    free(s.fds);
    return r < 0 && r != -ECANCELED;
}
