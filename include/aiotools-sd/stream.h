/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef AIT_STREAM_H
#define AIT_STREAM_H

/*
 * A file descriptor with a buffer in each direction: lines, records, exact sizes, and small writes that leave together.
 *
 * Nothing is lost by cancelling: what a read had got when it was cancelled stays in the buffer, and a write has either taken over all of
 * its bytes or, where they fit the buffer, none. One task at a time reads (-EBUSY for a second one); writes of several tasks are
 * served in the order of their calls and are never mixed. One task may read while another writes.
 *
 * Pointers into the read buffer hold until the next call that reads the stream. The stream belongs to its loop. It does not flush by
 * itself: what was written leaves with ait_stream_flush(), or when the buffer is full. It is no FILE, and it does not seek.
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
    size_t read_limit; /* bytes that the read buffer may grow to, hence the longest line; 0: 64 KiB */
    size_t write_size; /* bytes of the write buffer; 0: 8 KiB */
} ait_stream_options;

#define AIT_STREAM_OPTIONS(...) AIT_OPTIONS_(ait_stream_options, __VA_ARGS__)

/* A stream over fd. Buffers are allocated when first needed. options may be NULL. */
int ait_stream_open(ait_stream **ret, int fd, const ait_stream_options *options) AIT_MUST_CHECK;
/* Drops what is buffered in either direction; calls that wait in the stream return -EBADF. Returns NULL. Not a suspension point. */
ait_stream *ait_stream_close(ait_stream *stream);
AIT_DEFINE_CLEANUP_(ait_stream, ait_stream_close)

int ait_stream_fd(const ait_stream *stream);

/*
 * A line, as soon as there is a whole one: 1, and the line without its "\n" or "\r\n", terminated by a null byte, in ret_line; its
 * length in ret_n (may be NULL). What is left before the end of the file counts as a line. 0: end of file. -EMSGSIZE: the line is
 * longer than the limit; it stays in the buffer (ait_stream_peek(), ait_stream_consume()). It may be changed where it lies.
 */
int ait_stream_read_line(ait_stream *stream, char **ret_line, size_t *ret_n);

/*
 * All up to and including the first occurrence of the n bytes at delimiter: 1, borrowed from the buffer. 0: end of file and
 * nothing left. -ENODATA: end of file before the delimiter; what there is stays in the buffer. -EMSGSIZE as above.
 */
int ait_stream_read_until(ait_stream *stream, const void *delimiter, size_t n, const void **ret,
                          size_t *ret_n);

/*
 * Exactly n bytes: 1. 0: end of file and nothing left. -ENODATA: end of file after less. On failure ret_done (may be NULL) says how many
 * bytes have been moved to buf, to go on from there: 0 where n is within the limit; what came then is still in the stream.
 */
int ait_stream_read_exact(ait_stream *stream, void *buf, size_t n, size_t *ret_done);

/* At least one and at most n bytes; 0 is end of file. Waits only where nothing is buffered. */
ssize_t ait_stream_read(ait_stream *stream, void *buf, size_t n);

/*
 * Waits until n bytes are in the buffer, and lends all there are, without taking them. Returns how many: fewer than n only at the end
 * of the file. -EMSGSIZE: n is greater than the limit.
 */
ssize_t ait_stream_peek(ait_stream *stream, size_t n, const void **ret);
/* Drops up to n bytes from the buffer; returns how many. Not a suspension point. */
ssize_t ait_stream_consume(ait_stream *stream, size_t n);
/* How many bytes are in the buffer. */
ssize_t ait_stream_available(const ait_stream *stream);

/*
 * Puts n bytes behind those that were written before; returns 0. Waits only where the buffer is full, or others are writing.
 * On failure ret_done (may be NULL) says how many bytes were taken: 0 where n is within the size of the buffer.
 */
int ait_stream_write(ait_stream *stream, const void *buf, size_t n, size_t *ret_done);
/* Formats; all or nothing, whatever the length. */
int ait_stream_printf(ait_stream *stream, const char *format, ...) __attribute__((format(printf, 2, 3)));
int ait_stream_vprintf(ait_stream *stream, const char *format, va_list ap)
    __attribute__((format(printf, 2, 0)));
/* Waits until all that was written has gone to the kernel. On failure what has not stays in the buffer. */
int ait_stream_flush(ait_stream *stream);
/* How many bytes wait to be flushed. */
ssize_t ait_stream_pending(const ait_stream *stream);

AIT_END_DECLS

#endif
