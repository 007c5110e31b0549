/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of streams run on: a stream over one end of a socketpair, on virtual time, so that
 * a test that hangs reaches its deadline at once.
 */

#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

#define DEADLINE MS(100000)

struct bench {
    int fds[2]; /* the stream is over the first */
    ait_stream *stream;
    const ait_stream_options *options;
    const char *input;
    size_t n_input, chunk;
    uint64_t delay; /* between chunks; 0: a millisecond */
    unsigned n;     /* whatever the test counts */
};

/* The same tests hold for a transport of one's own. */
#ifdef OVER_TRANSPORT
#define BENCH_FD(b) -EBADF

static ssize_t plain_read(void *userdata, void *buf, size_t n)
{
    return ait_read(((struct bench *)userdata)->fds[0], buf, n);
}

static ssize_t plain_write(void *userdata, const void *buf, size_t n)
{
    return ait_write(((struct bench *)userdata)->fds[0], buf, n);
}

static int plain_shutdown(void *userdata)
{
    return shutdown(((struct bench *)userdata)->fds[0], SHUT_WR) < 0 ? -errno : 0;
}

static bool owns_fd(const struct bench *b)
{
    return b->options && b->options->flags & AIT_STREAM_OWN_FD;
}

static void plain_close(void *userdata)
{
    struct bench *b = userdata;

    CHECK_EQ(owns_fd(b) ? ait_close(b->fds[0]) : ait_fd_forget(b->fds[0]), 0);
}

static inline int bench_open(struct bench *b)
{
    const ait_stream_transport transport = {
        .size = sizeof(transport),
        .read = plain_read,
        .write = plain_write,
        .shutdown = plain_shutdown,
        .close = plain_close,
    };
    ait_stream_options options = {.size = sizeof(options)};

    if (b->options)
        options = *b->options;
    options.flags &= ~(unsigned)AIT_STREAM_OWN_FD;
    return ait_stream_open_transport(&b->stream, &transport, b, &options);
}
#else
#define BENCH_FD(b) ((b)->fds[0])

static inline int bench_open(struct bench *b)
{
    return ait_stream_open(&b->stream, b->fds[0], b->options);
}
#endif

static int (*bench_body)(struct bench *b);

static int bench_main(void *userdata)
{
    struct bench *b = userdata;
    AIT_SCOPE(scope);
    int r;

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b->fds), 0);
    CHECK_EQ(bench_open(b), 0);
    CHECK_EQ(ait_scope_enter_after(&scope, AIT_SCOPE_FAIL_FAST, DEADLINE), 0);
    r = ait_scope_exit(scope, bench_body(b));
    b->stream = ait_stream_close(b->stream);
    for (int i = 0; i < 2; i++)
        if (b->fds[i] >= 0)
            CHECK_EQ(ait_close(b->fds[i]), 0);
    return r;
}

static inline void run_bench(int (*fn)(struct bench *b), struct bench *b)
{
    bench_body = fn;
    assert_int_equal(run_virtual(bench_main, b), 0);
}

static inline void run_plain(int (*fn)(struct bench *b), const ait_stream_options *options)
{
    run_bench(fn, &(struct bench){.options = options});
}

static inline int shut(struct bench *b)
{
    int fd = b->fds[1];

    b->fds[1] = -1;
    return ait_close(fd);
}

/* The peer: sends the input in chunks, then the end of the file. */
static int feed(void *userdata)
{
    struct bench *b = userdata;
    int r = 0;

    for (size_t done = 0, k; done < b->n_input && r >= 0; done += k) {
        k = b->n_input - done < b->chunk ? b->n_input - done : b->chunk;
        r = ait_write_all(b->fds[1], b->input + done, k, NULL);
        if (r >= 0)
            r = ait_sleep(b->delay > 0 ? b->delay
                                       : MS(1)); /* each chunk is read before the next comes */
    }
    return r < 0 ? r : shut(b);
}

static inline int start_feed(struct bench *b, const char *input, size_t n)
{
    b->input = input;
    b->n_input = n;
    return ait_task_spawn(NULL, feed, b, AIT_TASK_OPTIONS(.name = "feed"));
}
