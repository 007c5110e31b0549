/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * OpenSSL from tasks: a TLS echo server, and a client for it.
 *
 *     aiotools-sd run --listen=8443 -- recipe-openssl serve CERTIFICATE KEY
 *     recipe-openssl echo HOST PORT CA-FILE TEXT
 *
 * The socket is non-blocking, and the task waits with ait_poll() where OpenSSL wants to. OpenSSL's
 * error queue belongs to the thread, and so to all tasks: as with errno, it is cleared right before
 * a call and read right after it, with nothing between that can suspend.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <aiotools-sd/aiotools-sd.h>

#define PATIENCE (30 * AIT_USEC_PER_SEC)

/* ---- a stream over TLS ----------------------------------------------------------------------- */

struct tls {
    SSL *ssl;
    int fd;
    bool broken; /* nothing more may be said, not even goodbye */
};

/* After a call that has not succeeded: waits, and returns 1 if the call is to be made again. */
static int tls_result(struct tls *t, int result)
{
    int error = errno, r;

    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_WANT_READ:
        r = ait_poll(t->fd, POLLIN);
        return r < 0 ? r : 1;
    case SSL_ERROR_WANT_WRITE:
        r = ait_poll(t->fd, POLLOUT);
        return r < 0 ? r : 1;
    case SSL_ERROR_SYSCALL:
        t->broken = true;
        return error ? -error : -ECONNRESET;
    default: /* the peer ended without saying so, or broke the protocol */
        t->broken = true;
        return -EPROTO;
    }
}

#define TLS_CALL(t, call)                                                                          \
    ({                                                                                             \
        int result_, r_;                                                                           \
        do {                                                                                       \
            ERR_clear_error();                                                                     \
            errno = 0;                                                                             \
            result_ = (call);                                                                      \
            r_ = result_ > 0 ? result_ : tls_result(t, result_);                                   \
        } while (result_ <= 0 && r_ > 0);                                                          \
        r_;                                                                                        \
    })

static ssize_t tls_read(void *userdata, void *buf, size_t n)
{
    struct tls *t = userdata;

    return TLS_CALL(t, SSL_read(t->ssl, buf, n < INT_MAX ? (int)n : INT_MAX));
}

static ssize_t tls_write(void *userdata, const void *buf, size_t n)
{
    struct tls *t = userdata;

    return TLS_CALL(t, SSL_write(t->ssl, buf, n < INT_MAX ? (int)n : INT_MAX));
}

/* Says goodbye; does not wait for the other side to say it. */
static int tls_shutdown(void *userdata)
{
    struct tls *t = userdata;

    if (t->broken)
        return -EPIPE;
    ERR_clear_error();
    return SSL_shutdown(t->ssl) < 0 ? -EPIPE : 0;
}

static void tls_close(void *userdata)
{
    struct tls *t = userdata;

    (void)ait_close(t->fd);
}

static void tls_destroy(void *userdata)
{
    struct tls *t = userdata;

    SSL_free(t->ssl);
    free(t);
}

static const ait_stream_transport tls_transport = {
    .size = sizeof(tls_transport),
    .read = tls_read,
    .write = tls_write,
    .shutdown = tls_shutdown,
    .close = tls_close,
    .destroy = tls_destroy,
};

static int tls_handshake(struct tls *t)
{
    AIT_SCOPE(limit);
    int r = ait_scope_enter_after(&limit, 0, PATIENCE);

    if (r >= 0)
        r = ait_scope_exit(limit, TLS_CALL(t, SSL_do_handshake(t->ssl)));
    return r < 0 ? r : r == 0 ? -ECONNRESET : 0;
}

/* fd belongs to the stream, or is closed. host: of the server; NULL: we are the server. */
static int tls_open(ait_stream **ret, SSL_CTX *context, int fd, const char *host)
{
    struct tls *t = calloc(1, sizeof(*t));
    int r = -ENOMEM;

    if (t)
        *t = (struct tls){.ssl = SSL_new(context), .fd = fd};
    if (t && t->ssl && SSL_set_fd(t->ssl, fd) == 1) {
        if (host) {
            SSL_set_connect_state(t->ssl);
            r = SSL_set_tlsext_host_name(t->ssl, host) == 1 && SSL_set1_host(t->ssl, host) == 1
                    ? 0
                    : -EINVAL;
        } else {
            SSL_set_accept_state(t->ssl);
            r = 0;
        }
    }
    if (r >= 0)
        r = tls_handshake(t);
    if (r >= 0)
        r = ait_stream_open_transport(ret, &tls_transport, t, NULL);
    if (r < 0) {
        (void)ait_close(fd);
        if (t)
            tls_destroy(t);
    }
    return r;
}

static SSL_CTX *tls_context(const SSL_METHOD *method)
{
    SSL_CTX *context = SSL_CTX_new(method);

    /* A write that has to be repeated comes from wherever its bytes are then. */
    if (context)
        SSL_CTX_set_mode(context,
                         SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return context;
}

/* ---- the server ------------------------------------------------------------------------------ */

/* Each line comes back. */
static int echo(int fd, void *userdata)
{
    AIT_CLEANUP(ait_stream_closep) ait_stream *stream = NULL;
    size_t n;
    char *line;
    int r;

    fd = dup(fd); /* the stream's own; ait_serve_listeners() closes the first */
    r = fd < 0 ? -errno : tls_open(&stream, userdata, fd, NULL);
    while (r >= 0 && (r = ait_stream_read_line(stream, &line, &n)) > 0) {
        r = ait_stream_printf(stream, "%.*s\n", (int)n, line);
        if (r >= 0)
            r = ait_stream_flush(stream);
    }
    if (r == 0)
        r = ait_stream_shutdown(stream);
    return r;
}

static int serve(void *userdata)
{
    int listener = SD_LISTEN_FDS_START;

    (void)sd_notify(0, "READY=1");
    return ait_serve_listeners(&listener, 1, echo, userdata,
                               AIT_SERVE_OPTIONS(.grace_usec = 5 * AIT_USEC_PER_SEC));
}

static int serve_main(char *argv[])
{
    SSL_CTX *context = tls_context(TLS_server_method());
    int r = -ENOMEM;

    if (sd_listen_fds(1) != 1)
        r = -ENOTSOCK;
    else if (context && SSL_CTX_use_certificate_chain_file(context, argv[0]) == 1 &&
             SSL_CTX_use_PrivateKey_file(context, argv[1], SSL_FILETYPE_PEM) == 1)
        r = ait_run(serve, context, 0);
    else
        ERR_print_errors_fp(stderr);
    SSL_CTX_free(context);
    return r == -ECANCELED ? 0 : r;
}

/* ---- the client ------------------------------------------------------------------------------ */

struct client {
    SSL_CTX *context;
    const char *host, *port, *text;
};

static int ask(void *userdata)
{
    AIT_CLEANUP(ait_stream_closep) ait_stream *stream = NULL;
    const struct client *c = userdata;
    char *line;
    int fd, r;

    r = ait_connect_host(&fd, c->host, c->port, NULL);
    if (r >= 0)
        r = tls_open(&stream, c->context, fd, c->host);
    if (r >= 0)
        r = ait_stream_printf(stream, "%s\n", c->text);
    if (r >= 0)
        r = ait_stream_flush(stream);
    if (r >= 0)
        r = ait_stream_read_line(stream, &line, NULL);
    if (r > 0)
        printf("%s\n", line);
    if (r > 0)
        r = ait_stream_shutdown(stream);
    return r;
}

static int client_main(char *argv[])
{
    struct client c = {tls_context(TLS_client_method()), argv[0], argv[1], argv[3]};
    int r = -ENOMEM;

    if (c.context && SSL_CTX_load_verify_locations(c.context, argv[2], NULL) == 1) {
        SSL_CTX_set_verify(c.context, SSL_VERIFY_PEER, NULL);
        r = ait_run(ask, &c, 0);
    }
    SSL_CTX_free(c.context);
    return r;
}

int main(int argc, char *argv[])
{
    int r;

    (void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to the socket by write(2) */
    if (argc == 4 && strcmp(argv[1], "serve") == 0) {
        r = serve_main(argv + 2);
    } else if (argc == 6 && strcmp(argv[1], "echo") == 0) {
        r = client_main(argv + 2);
    } else {
        fprintf(stderr, "usage: recipe-openssl serve CERTIFICATE KEY\n"
                        "       recipe-openssl echo HOST PORT CA-FILE TEXT\n");
        return 2;
    }
    if (r < 0)
        fprintf(stderr, "recipe-openssl: %s\n", strerror(-r));
    return r < 0;
}
