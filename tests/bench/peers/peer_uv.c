/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

/*
 * The rows of bench-ait that a callback library can do: timers and echo.
 */

static uv_loop_t loop;

static void ignore(uv_timer_t *timer)
{
    (void)timer;
}

static int timers(struct bench *b)
{
    uv_timer_t *all = calloc(b->n, sizeof(*all));
    uint32_t seed = 1;

    if (!all)
        return -ENOMEM;
    for (unsigned s = 0; s < b->samples; s++) {
        bench_begin(b);
        uv_update_time(&loop);
        for (uint64_t i = 0; i < b->n; i++) {
            uv_timer_init(&loop, &all[i]);
            uv_timer_start(&all[i], ignore, 1 + bench_random(&seed) % 99, 0);
        }
        uv_run(&loop, UV_RUN_DEFAULT);
        bench_end_as(b, b->n, s == 0 ? "cold_" : "");
    }
    free(all);
    return 0;
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    static char buffer[1024];

    (void)handle;
    (void)suggested;
    *ret = uv_buf_init(buffer, sizeof(buffer));
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    uv_buf_t answer = uv_buf_init(buffer->base, (unsigned)(n > 0 ? n : 0));

    if (n < 0 || (n > 0 && uv_try_write(stream, &answer, 1) != n))
        uv_close((uv_handle_t *)stream, on_closed);
}

static void on_connection(uv_stream_t *listener, int status)
{
    uv_tcp_t *connection = calloc(1, sizeof(*connection));

    if (status < 0 || !connection)
        return;
    uv_tcp_init(&loop, connection);
    if (uv_accept(listener, (uv_stream_t *)connection) < 0)
        uv_close((uv_handle_t *)connection, on_closed);
    else
        uv_read_start((uv_stream_t *)connection, allocate, on_read);
}

static int echo(struct bench *b)
{
    uv_tcp_t listener;

    (void)b;
    uv_tcp_init(&loop, &listener);
    uv_tcp_open(&listener, bench_listen());
    uv_listen((uv_stream_t *)&listener, 4096, on_connection);
    return uv_run(&loop, UV_RUN_DEFAULT);
}

static const struct bench_row rows[] = {{"timers", timers}, {"echo", echo}, {0}};

int main(int argc, char **argv)
{
    struct bench b;

    if (argc > 1 && strcmp(argv[1], "timers") != 0 && strcmp(argv[1], "echo") != 0)
        return 77;
    uv_loop_init(&loop);
    return bench_parse(&b, rows, argc, argv)->run(&b) < 0;
}
