/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_STREAM_H
#define AIT_STREAM_H

/*
 * A file descriptor, or any other transport such as TLS, with a buffer in each direction: for
 * lines, records, exact sizes, and small writes that are sent together.
 *
 * Cancellation loses nothing. What a cancelled read had received stays in the buffer. A cancelled
 * write has accepted either all of its bytes or, if they fit the buffer, none. One task at a time
 * reads (-EBUSY for a second one). Writes of several tasks are served in order and are never mixed.
 * One task may read while another writes.
 *
 * Pointers into the read buffer are valid until the next call that reads the stream. The stream
 * belongs to its loop. It does not flush by itself: data is sent by ait_stream_flush(), or when the
 * buffer is full. It is not a FILE and cannot seek.
 */

#include <stdarg.h>

#include <aiotools-sd/base.h>

AIT_BEGIN_DECLS

typedef struct ait_stream ait_stream;

enum {
    AIT_STREAM_OWN_FD = 1 << 0, /* closing the stream closes the fd */
};

typedef struct ait_stream_options {
    size_t size;       /* sizeof(ait_stream_options) */
    unsigned flags;    /* AIT_STREAM_OWN_FD */
    size_t read_limit; /* maximum size of the read buffer in bytes, and so of a line; 0: 64 KiB */
    size_t write_size; /* bytes of the write buffer; 0: 8 KiB */
} ait_stream_options;

#define AIT_STREAM_OPTIONS(...) AIT_OPTIONS_(ait_stream_options, __VA_ARGS__)

/* Makes a stream over fd. Buffers are allocated when first needed. options may be NULL. */
int ait_stream_open(ait_stream **ret, int fd, const ait_stream_options *options) AIT_MUST_CHECK;
/*
 * Drops buffered data of both directions. Calls that wait in the stream return -EBADF. Returns
 * NULL. Not a suspension point.
 */
ait_stream *ait_stream_close(ait_stream *stream);
AIT_DEFINE_CLEANUP_(ait_stream, ait_stream_close)

/* -EBADF: it is closed, or has a transport of its own. */
int ait_stream_fd(const ait_stream *stream);

/*
 * What a stream sends and receives through, in place of a file descriptor. All callbacks get the
 * userdata that the stream was opened with. read and write are called in the task that uses the
 * stream, and suspend it by ait_* calls, such as ait_poll(). They return negative errnos as the
 * ait_* calls do. One call of each is under way at a time.
 */
typedef struct ait_stream_transport {
    size_t size; /* sizeof(ait_stream_transport) */
    /* Receives at least one and at most n bytes; 0 is the end. Returns how many. */
    ssize_t (*read)(void *userdata, void *buf, size_t n);
    /* Sends at least one of the n bytes. Returns how many. */
    ssize_t (*write)(void *userdata, const void *buf, size_t n);
    /*
     * Tells the other side that no more follows; returns 0. May suspend. NULL: the transport cannot
     * say it.
     */
    int (*shutdown)(void *userdata);
    /*
     * Called by ait_stream_close(): calls that wait in the transport have to return, as they do
     * when ait_close() closes their fd. Cannot suspend. NULL: none can be waiting.
     */
    void (*close)(void *userdata);
    /* Called last, when no call is under way any more. Cannot suspend. May be NULL. */
    ait_destroy_fn destroy;
} ait_stream_transport;

#define AIT_STREAM_TRANSPORT(...) AIT_OPTIONS_(ait_stream_transport, __VA_ARGS__)

/*
 * Makes a stream over a transport, which is copied. On success userdata belongs to the stream.
 * -EINVAL: read or write is NULL, or options have AIT_STREAM_OWN_FD.
 */
int ait_stream_open_transport(ait_stream **ret, const ait_stream_transport *transport,
                              void *userdata, const ait_stream_options *options) AIT_MUST_CHECK;

/*
 * Reads a line as soon as it is complete. Returns 1, the line in ret_line without its "\n" or
 * "\r\n" and terminated by a zero byte, and its length in ret_n (may be NULL). The rest before the
 * end of the file counts as a line. Returns 0 at the end of the file. -EMSGSIZE: the line is longer
 * than the limit; it stays in the buffer, for ait_stream_peek() and ait_stream_consume(). The line
 * may be modified in place.
 */
int ait_stream_read_line(ait_stream *stream, char **ret_line, size_t *ret_n);

/*
 * Reads up to and including the first occurrence of the n bytes at delimiter. Returns 1, with data
 * that is borrowed from the buffer. Returns 0 if the file has ended and nothing is left. -ENODATA:
 * the file ended before the delimiter; the data stays in the buffer. -EMSGSIZE as above.
 */
int ait_stream_read_until(ait_stream *stream, const void *delimiter, size_t n, const void **ret,
                          size_t *ret_n);

/*
 * Reads exactly n bytes and returns 1. Returns 0 if the file has ended and nothing is left.
 * -ENODATA: the file ended after fewer bytes. On failure ret_done (may be NULL) tells how many
 * bytes have been moved to buf, so that the caller can continue there. It is 0 if n is within the
 * limit; the data is then still in the stream.
 */
int ait_stream_read_exact(ait_stream *stream, void *buf, size_t n, size_t *ret_done);

/*
 * Reads at least one and at most n bytes; 0 is the end of the file. Waits only if the buffer is
 * empty.
 */
ssize_t ait_stream_read(ait_stream *stream, void *buf, size_t n);

/*
 * Waits until n bytes are in the buffer, and returns a pointer to all that there are, without
 * consuming them. Returns their number, which is less than n only at the end of the file.
 * -EMSGSIZE: n is greater than the limit.
 */
ssize_t ait_stream_peek(ait_stream *stream, size_t n, const void **ret);
/* Drops up to n bytes from the buffer and returns how many. Not a suspension point. */
ssize_t ait_stream_consume(ait_stream *stream, size_t n);
/* The number of bytes in the read buffer. */
ssize_t ait_stream_available(const ait_stream *stream);

/*
 * Appends n bytes to the data to be sent, and returns 0. Waits only if the buffer is full or other
 * tasks are writing. On failure ret_done (may be NULL) tells how many bytes were accepted: 0 if n
 * is within the size of the buffer.
 */
int ait_stream_write(ait_stream *stream, const void *buf, size_t n, size_t *ret_done);
/* Writes formatted text, all or nothing, whatever its length. */
int ait_stream_printf(ait_stream *stream, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int ait_stream_vprintf(ait_stream *stream, const char *format, va_list ap)
    __attribute__((format(printf, 2, 0)));
/* Waits until all written data has gone to the kernel. On failure the rest stays in the buffer. */
int ait_stream_flush(ait_stream *stream);
/*
 * Flushes, and tells the other side that no more follows: the end of a socket's writing direction,
 * or what the transport has for it. Reading goes on. -EOPNOTSUPP: neither a socket nor a transport
 * that can say it.
 */
int ait_stream_shutdown(ait_stream *stream);
/* The number of bytes that are not flushed. */
ssize_t ait_stream_pending(const ait_stream *stream);

AIT_END_DECLS

#endif
