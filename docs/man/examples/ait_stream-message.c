/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages consist of a head that ends with an empty line, a length of four bytes, and a body of
 * that length. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <aiotools-sd/aiotools-sd.h>

int read_message(ait_stream *stream, char **ret_body, uint32_t *ret_n);
int answer(ait_stream *stream, const char *format, ...) __attribute__((format(printf, 2, 3)));

int read_message(ait_stream *stream, char **ret_body, uint32_t *ret_n)
{
    const void *head, *next;
    char *body;
    size_t n_head;
    uint32_t n;
    int r;

    r = ait_stream_read_until(stream, "\n\n", 2, &head, &n_head);
    if (r <= 0)
        return r;
    /* Inspect it before consuming it. */
    if (ait_stream_peek(stream, sizeof(n), &next) < (ssize_t)sizeof(n))
        return -ENODATA;
    memcpy(&n, next, sizeof(n));
    (void)ait_stream_consume(stream, sizeof(n));
    body = n <= 1 << 20 ? malloc(n) : NULL;
    if (!body)
        return -EMSGSIZE;
    r = ait_stream_read_exact(stream, body, n, NULL);
    if (r <= 0) {
        free(body);
        return r;
    }
    *ret_body = body;
    *ret_n = n;
    return 1;
}

int answer(ait_stream *stream, const char *format, ...)
{
    va_list ap;
    int r;

    va_start(ap, format);
    r = ait_stream_vprintf(stream, format, ap);
    va_end(ap);
    if (r >= 0 && ait_stream_pending(stream) > 1000)
        r = ait_stream_flush(stream);
    return r < 0 ? r : ait_stream_fd(stream);
}

/* The data that is left after the end of the protocol. */
static int drain(ait_stream *stream)
{
    char rest[512];
    ssize_t n;

    while ((n = ait_stream_read(stream, rest, sizeof(rest))) > 0)
        continue;
    return (int)n;
}

int main(void)
{
    return drain(NULL) != -EINVAL;
}
