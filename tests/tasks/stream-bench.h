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

static int (*bench_body)(struct bench *b);

static int bench_main(void *userdata)
{
    struct bench *b = userdata;
    AIT_SCOPE(scope);
    int r;

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b->fds), 0);
    CHECK_EQ(ait_stream_open(&b->stream, b->fds[0], b->options), 0);
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
