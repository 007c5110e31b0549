/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Both buffers are [head, tail) of one block. A reader owns the read buffer while it waits for
 * more. The right to use the write buffer is handed from task to task. A task inside a call holds a
 * reference, so that closing cannot free anything under it.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aiotools-sd/io.h>
#include <aiotools-sd/stream.h>

#include "options.h"
#include "wait.h"

#define READ_FIRST ((size_t)4096) /* what the read buffer begins with */
#define READ_LIMIT ((size_t)64 * 1024)
#define WRITE_SIZE ((size_t)8 * 1024)
#define LARGEST    (SIZE_MAX / 4)

struct buffer {
    char *data;
    size_t head, tail;
    size_t capacity; /* one byte more is allocated */
};

struct ait_stream {
    struct ait_loop *loop;
    uint32_t refs;
    int fd; /* -1: closed, or a transport */
    bool own_fd;
    bool closed;
    bool reading;
    bool writing;
    bool has_next; /* a byte behind a full buffer: there is more than the limit */
    char next;
    struct buffer in, out;
    size_t read_limit, write_size;
    struct list writers;            /* waiters */
    ait_stream_transport transport; /* all zero: none, but an fd */
    void *userdata;
};

/* ---- buffers --------------------------------------------------------------------------------- */

static size_t held(const struct buffer *b)
{
    return b->tail - b->head;
}

static void drop(struct buffer *b, size_t n)
{
    b->head += n;
    if (b->head == b->tail)
        b->head = b->tail = 0;
}

static void move_down(struct buffer *b)
{
    if (b->head == 0)
        return;
    memmove(b->data, b->data + b->head, held(b));
    b->tail -= b->head;
    b->head = 0;
}

static int grow(struct buffer *b, size_t capacity)
{
    char *data;

    if (b->capacity >= capacity)
        return 0;
    data = realloc(b->data, capacity + 1);
    if (!data)
        return -ENOMEM;
    b->data = data;
    b->capacity = capacity;
    return 0;
}

static void append(struct buffer *b, const void *data, size_t n)
{
    if (n > 0)
        memcpy(b->data + b->tail, data, n);
    b->tail += n;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int stream_new(struct ait_stream **ret, const ait_stream_options *options, unsigned flags)
{
    struct ait_stream *s;
    ait_stream_options o;
    int r;

    r = options_copy(&o, sizeof(o), options);
    if (r < 0)
        return r;
    if (o.read_limit > LARGEST || o.write_size > LARGEST || o.flags & ~flags)
        return -EINVAL;
    if (!this_loop)
        return loop_foreign();
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->loop = this_loop;
    s->refs = 1;
    s->fd = -1;
    s->own_fd = o.flags & AIT_STREAM_OWN_FD;
    s->read_limit = o.read_limit > 0 ? o.read_limit : READ_LIMIT;
    s->write_size = o.write_size > 0 ? o.write_size : WRITE_SIZE;
    list_init(&s->writers);
    *ret = s;
    return 0;
}

AIT_PUBLIC int ait_stream_open(ait_stream **ret, int fd, const ait_stream_options *options)
{
    int r;

    if (!ret)
        return -EINVAL;
    r = fd < 0 ? -EBADF : stream_new(ret, options, AIT_STREAM_OWN_FD);
    if (r >= 0)
        (*ret)->fd = fd;
    return r;
}

AIT_PUBLIC int ait_stream_open_transport(ait_stream **ret, const ait_stream_transport *transport,
                                         void *userdata, const ait_stream_options *options)
{
    ait_stream_transport t;
    int r;

    if (!ret || !transport)
        return -EINVAL;
    r = options_copy(&t, sizeof(t), transport);
    if (r >= 0 && (!t.read || !t.write))
        r = -EINVAL;
    if (r >= 0)
        r = stream_new(ret, options, 0);
    if (r < 0)
        return r;
    (*ret)->transport = t;
    (*ret)->userdata = userdata;
    return 0;
}

static void stream_unref(struct ait_stream *s)
{
    if (--s->refs > 0)
        return;
    free(s->in.data);
    free(s->out.data);
    if (s->transport.destroy)
        s->transport.destroy(s->userdata);
    free(s);
}

AIT_PUBLIC ait_stream *ait_stream_close(ait_stream *stream)
{
    int fd;

    if (!stream)
        return NULL;
    fd = stream->fd;
    stream->fd = -1;
    stream->closed = true;
    wait_serve_all(&stream->writers);
    if (stream->transport.close)
        stream->transport.close(stream->userdata);
    if (stream->own_fd)
        (void)ait_close(fd);
    else if (fd >= 0 && (stream->reading || stream->writing))
        (void)ait_fd_forget(fd);
    stream_unref(stream);
    return NULL;
}

AIT_PUBLIC int ait_stream_fd(const ait_stream *stream)
{
    return !stream ? -EINVAL : stream->fd < 0 ? -EBADF : stream->fd;
}

/* ---- what is beneath ------------------------------------------------------------------------- */

/* A callback that claims more than it was asked for is not believed. */
static ssize_t checked(const struct ait_stream *s, ssize_t k, size_t n)
{
    if (s->closed)
        return -EBADF;
    return k > 0 && (size_t)k > n ? -EIO : k;
}

static ssize_t receive(struct ait_stream *s, void *buf, size_t n)
{
    if (likely(!s->transport.read))
        return ait_read(s->fd, buf, n);
    return checked(s, s->transport.read(s->userdata, buf, n), n);
}

static ssize_t transmit(struct ait_stream *s, const void *buf, size_t n)
{
    ssize_t k;

    if (likely(!s->transport.write))
        return ait_write(s->fd, buf, n);
    k = s->transport.write(s->userdata, buf, n);
    return k == 0 ? -EIO : checked(s, k, n);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The byte that was looked at is data like the rest as soon as there is room for it. */
static void settle(struct ait_stream *s)
{
    struct buffer *b = &s->in;

    if (likely(!s->has_next) || held(b) == b->capacity)
        return;
    if (b->tail == b->capacity)
        move_down(b);
    append(b, &s->next, 1);
    s->has_next = false;
}

static int reader_enter(struct ait_stream *s)
{
    struct ait_loop *loop;
    struct ait_task *t;
    int r;

    if (!s)
        return -EINVAL;
    LOOP_CHECK(s->loop);
    s->refs++;
    r = op_enter(&loop, &t);
    if (r >= 0 && s->closed)
        r = -EBADF;
    if (r >= 0 && s->reading)
        r = -EBUSY;
    if (r < 0) {
        stream_unref(s);
        return r;
    }
    s->reading = true;
    settle(s);
    return 0;
}

static int reader_leave(struct ait_stream *s, int r)
{
    s->reading = false;
    stream_unref(s);
    return r;
}

/* The buffer is full: is that the end, which is no error, or is there more? */
static int look_behind(struct ait_stream *s)
{
    ssize_t k = s->has_next ? 1 : receive(s, &s->next, 1);

    if (k <= 0)
        return k < 0 ? (int)k : -ENODATA;
    s->has_next = true;
    return -EMSGSIZE;
}

/* Behind what is buffered. -ENODATA: there is no room, and nothing that would need it. */
static int make_room(struct ait_stream *s)
{
    struct buffer *b = &s->in;
    size_t capacity = b->capacity > 0 ? b->capacity * 2 : READ_FIRST;

    if (b->tail < b->capacity)
        return 0;
    if (b->head > 0) {
        move_down(b);
        return 0;
    }
    if (b->capacity >= s->read_limit)
        return look_behind(s);
    return grow(b, capacity < s->read_limit ? capacity : s->read_limit);
}

/* Waits for more: 1; 0 is the end of the file. */
static int fill(struct ait_stream *s)
{
    ssize_t k;
    int r;

    settle(s);
    r = make_room(s);
    if (r < 0)
        return r == -ENODATA ? 0 : r;
    k = receive(s, s->in.data + s->in.tail, s->in.capacity - s->in.tail);
    if (k <= 0)
        return (int)k;
    s->in.tail += (size_t)k;
    return 1;
}

/* Waits until the delimiter occurs, and returns where the data including it ends. */
static int find(struct ait_stream *s, const void *delimiter, size_t n, size_t *ret_size)
{
    struct buffer *b = &s->in;
    size_t seen = 0; /* up to where none can begin */
    const char *p;
    int r;

    for (;;) {
        p = held(b) > seen ? memmem(b->data + b->head + seen, held(b) - seen, delimiter, n) : NULL;
        if (p) {
            *ret_size = (size_t)(p - (b->data + b->head)) + n;
            return 1;
        }
        seen = held(b) >= n ? held(b) - (n - 1) : 0;
        r = fill(s);
        if (r <= 0)
            return r;
    }
}

/* Cuts the first size bytes off as a line. */
static void take_line(struct buffer *b, size_t size, char **ret_line, size_t *ret_n)
{
    char *line = b->data + b->head;

    drop(b, size);
    if (size > 0 && line[size - 1] == '\n') {
        size--;
        if (size > 0 && line[size - 1] == '\r')
            size--;
    }
    line[size] = '\0';
    *ret_line = line;
    if (ret_n)
        *ret_n = size;
}

AIT_PUBLIC int ait_stream_read_line(ait_stream *stream, char **ret_line, size_t *ret_n)
{
    size_t size;
    int r;

    if (!ret_line)
        return -EINVAL;
    r = reader_enter(stream);
    if (r < 0)
        return r;
    r = find(stream, "\n", 1, &size);
    if (r == 0 && held(&stream->in) > 0) {
        size = held(&stream->in);
        r = 1;
    }
    if (r > 0)
        take_line(&stream->in, size, ret_line, ret_n);
    return reader_leave(stream, r);
}

AIT_PUBLIC int ait_stream_read_until(ait_stream *stream, const void *delimiter, size_t n,
                                     const void **ret, size_t *ret_n)
{
    size_t size;
    int r;

    if (!delimiter || n == 0 || !ret || !ret_n)
        return -EINVAL;
    r = reader_enter(stream);
    if (r < 0)
        return r;
    r = find(stream, delimiter, n, &size);
    if (r > 0) {
        *ret = stream->in.data + stream->in.head;
        *ret_n = size;
        drop(&stream->in, size);
    } else if (r == 0 && held(&stream->in) > 0) {
        r = -ENODATA;
    }
    return reader_leave(stream, r);
}

static size_t take(struct buffer *b, void *buf, size_t n)
{
    if (n > held(b))
        n = held(b);
    if (n > 0)
        memcpy(buf, b->data + b->head, n);
    drop(b, n);
    return n;
}

/* What the buffer can hold: all or nothing. */
static int read_whole(struct ait_stream *s, void *buf, size_t n)
{
    int r;

    while (held(&s->in) < n) {
        r = fill(s);
        if (r <= 0)
            return r == 0 && held(&s->in) > 0 ? -ENODATA : r;
    }
    (void)take(&s->in, buf, n);
    return 1;
}

static int read_pieces(struct ait_stream *s, char *buf, size_t n, size_t *ret_done)
{
    size_t done = take(&s->in, buf, n);
    ssize_t k = 1;

    settle(s);
    done += take(&s->in, buf + done, n - done);
    while (done < n) {
        k = receive(s, buf + done, n - done);
        if (k <= 0)
            break;
        done += (size_t)k;
    }
    *ret_done = done;
    if (done == n)
        return 1;
    return k == 0 && done > 0 ? -ENODATA : (int)k;
}

AIT_PUBLIC int ait_stream_read_exact(ait_stream *stream, void *buf, size_t n, size_t *ret_done)
{
    size_t done = 0;
    int r;

    if (!buf && n > 0)
        return -EINVAL;
    r = reader_enter(stream);
    if (r >= 0)
        r = reader_leave(stream, n <= stream->read_limit ? read_whole(stream, buf, n)
                                                         : read_pieces(stream, buf, n, &done));
    if (r > 0)
        done = n;
    if (ret_done)
        *ret_done = done;
    return r;
}

AIT_PUBLIC ssize_t ait_stream_read(ait_stream *stream, void *buf, size_t n)
{
    ssize_t k = 1;
    int r;

    if (!buf && n > 0)
        return -EINVAL;
    r = reader_enter(stream);
    if (r < 0)
        return r;
    if (n == 0) {
        k = 0;
    } else if (held(&stream->in) == 0 && n >= READ_FIRST) {
        k = receive(stream, buf, n);
    } else {
        if (held(&stream->in) == 0)
            k = fill(stream);
        if (k > 0)
            k = (ssize_t)take(&stream->in, buf, n);
    }
    (void)reader_leave(stream, 0);
    return k;
}

AIT_PUBLIC ssize_t ait_stream_peek(ait_stream *stream, size_t n, const void **ret)
{
    ssize_t k;
    int r;

    if (!ret)
        return -EINVAL;
    r = reader_enter(stream);
    if (r < 0)
        return r;
    r = n > stream->read_limit ? -EMSGSIZE : 1;
    while (r > 0 && held(&stream->in) < n)
        r = fill(stream);
    k = r < 0 ? r : (ssize_t)held(&stream->in);
    if (k >= 0)
        *ret = k > 0 ? stream->in.data + stream->in.head : "";
    (void)reader_leave(stream, 0);
    return k;
}

AIT_PUBLIC ssize_t ait_stream_consume(ait_stream *stream, size_t n)
{
    if (!stream)
        return -EINVAL;
    LOOP_CHECK(stream->loop);
    if (stream->reading)
        return -EBUSY;
    if (n > held(&stream->in))
        n = held(&stream->in);
    drop(&stream->in, n);
    settle(stream);
    return (ssize_t)n;
}

AIT_PUBLIC ssize_t ait_stream_available(const ait_stream *stream)
{
    return stream ? (ssize_t)held(&stream->in) : -EINVAL;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Waits for the task's turn to write. */
static int wait_for_turn(struct ait_stream *s, struct ait_loop *loop, struct ait_task *t)
{
    const struct wait what = {.kind = "turn to write to stream", .object = s};
    struct waiter w = {.task = t};

    if (!wait_in(loop, &s->writers, &w, &what))
        return -ECANCELED;
    return s->closed ? -EBADF : 0;
}

static int writer_enter(struct ait_stream *s)
{
    struct ait_loop *loop;
    struct ait_task *t;
    int r;

    if (!s)
        return -EINVAL;
    LOOP_CHECK(s->loop);
    s->refs++;
    r = op_enter(&loop, &t);
    if (r >= 0 && s->closed)
        r = -EBADF;
    if (r >= 0 && s->writing)
        r = wait_for_turn(s, loop, t);
    if (r < 0) {
        stream_unref(s);
        return r;
    }
    s->writing = true;
    return 0;
}

/* Hands the right to write to the next in line: no other task can come between. */
static int writer_leave(struct ait_stream *s, int r)
{
    if (list_empty(&s->writers))
        s->writing = false;
    else
        (void)wait_serve(&s->writers);
    stream_unref(s);
    return r;
}

static int flush_all(struct ait_stream *s)
{
    while (held(&s->out) > 0) {
        ssize_t k = transmit(s, s->out.data + s->out.head, held(&s->out));

        if (k < 0)
            return (int)k;
        drop(&s->out, (size_t)k);
    }
    return 0;
}

/* What is buffered, and behind it, without being copied, what there is no room for. */
static ssize_t transmit_both(struct ait_stream *s, const char *buf, size_t n)
{
    size_t before = held(&s->out);
    struct iovec iov[] = {{before > 0 ? s->out.data + s->out.head : NULL, before},
                          {(char *)buf, n}};

    if (before == 0)
        return transmit(s, buf, n);
    if (s->transport.write)
        return transmit(s, iov[0].iov_base, before);
    return ait_writev(s->fd, iov, 2);
}

static int write_through(struct ait_stream *s, const char *buf, size_t n, size_t *ret_done)
{
    size_t done = 0;
    ssize_t k = 0;

    while (done < n && k >= 0) {
        size_t before = held(&s->out);

        k = transmit_both(s, buf + done, n - done);
        if (k > 0 && (size_t)k < before) {
            drop(&s->out, (size_t)k);
        } else if (k > 0) {
            drop(&s->out, before);
            done += (size_t)k - before;
        }
    }
    *ret_done = done;
    return k < 0 ? (int)k : 0;
}

/* Until there is room for n bytes, which are not more than the buffer's size. */
static int reserve(struct ait_stream *s, size_t n)
{
    int r;

    r = grow(&s->out, s->write_size);
    if (r < 0)
        return r;
    if (n > s->out.capacity - held(&s->out))
        r = flush_all(s);
    if (r >= 0 && n > s->out.capacity - s->out.tail)
        move_down(&s->out);
    return r;
}

AIT_PUBLIC int ait_stream_write(ait_stream *stream, const void *buf, size_t n, size_t *ret_done)
{
    size_t done = 0;
    int r;

    if (!buf && n > 0)
        return -EINVAL;
    r = writer_enter(stream);
    if (r >= 0) {
        if (n > stream->write_size) {
            r = write_through(stream, buf, n, &done);
        } else {
            r = reserve(stream, n);
            if (r >= 0) {
                append(&stream->out, buf, n);
                done = n;
            }
        }
        (void)writer_leave(stream, r);
    }
    if (ret_done)
        *ret_done = done;
    return r;
}

/* The length of the text, or the error. If there was room for the text, it is in the buffer. */
static int format_into(struct buffer *b, size_t *ret_n, const char *format, va_list ap)
{
    size_t room = b->capacity - b->tail;
    va_list copy;
    int n;

    va_copy(copy, ap);
    n = vsnprintf(b->data + b->tail, room + 1, format, copy);
    va_end(copy);
    if (n < 0)
        return -EINVAL;
    if ((size_t)n <= room)
        b->tail += (size_t)n;
    *ret_n = (size_t)n;
    return (size_t)n <= room;
}

static int print(struct ait_stream *s, const char *format, va_list ap)
{
    size_t n;
    int r;

    r = reserve(s, 0);
    if (r < 0)
        return r;
    move_down(&s->out);
    while ((r = format_into(&s->out, &n, format, ap)) == 0) {
        r = held(&s->out) > 0 ? flush_all(s) : grow(&s->out, n);
        if (r < 0)
            break;
    }
    return r < 0 ? r : 0;
}

AIT_PUBLIC int ait_stream_vprintf(ait_stream *stream, const char *format, va_list ap)
{
    int r;

    if (!format)
        return -EINVAL;
    r = writer_enter(stream);
    return r < 0 ? r : writer_leave(stream, print(stream, format, ap));
}

AIT_PUBLIC int ait_stream_printf(ait_stream *stream, const char *format, ...)
{
    va_list ap;
    int r;

    va_start(ap, format);
    r = ait_stream_vprintf(stream, format, ap);
    va_end(ap);
    return r;
}

AIT_PUBLIC int ait_stream_flush(ait_stream *stream)
{
    int r;

    r = writer_enter(stream);
    return r < 0 ? r : writer_leave(stream, flush_all(stream));
}

static int shut_down(struct ait_stream *s)
{
    int r = flush_all(s);

    if (r < 0)
        return r;
    if (s->transport.read) {
        r = s->transport.shutdown ? s->transport.shutdown(s->userdata) : -EOPNOTSUPP;
        return s->closed ? -EBADF : r < 0 ? r : 0;
    }
    if (shutdown(s->fd, SHUT_WR) < 0)
        return errno == ENOTSOCK ? -EOPNOTSUPP : -errno;
    return 0;
}

AIT_PUBLIC int ait_stream_shutdown(ait_stream *stream)
{
    int r;

    r = writer_enter(stream);
    return r < 0 ? r : writer_leave(stream, shut_down(stream));
}

AIT_PUBLIC ssize_t ait_stream_pending(const ait_stream *stream)
{
    return stream ? (ssize_t)held(&stream->out) : -EINVAL;
}
