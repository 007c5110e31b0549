/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "format.h"

/* Room for one line in its longest form, JSON of control characters; kept once it was needed. */
#define OUTPUT_SIZE     (64u * 1024)
/*
 * Room for bursts while the reader is behind, released when everything is written. A slower reader
 * loses lines.
 */
#define OUTPUT_SIZE_MAX (4u * 1024 * 1024)

enum output_kind { OUTPUT_FILE, OUTPUT_SOCKET, OUTPUT_POLLED, OUTPUT_DEAD };

struct output {
    int fd;
    bool own; /* fd is a description of our own */
    bool woken;
    enum output_kind kind;
    char *buf;
    size_t size, start, end;
    uint64_t dropped, reported;
};

struct log {
    enum log_format format;
    struct output outputs[LOG_CHANNELS];
    struct output *channel[LOG_CHANNELS]; /* both the same if stdout and stderr are the same file */
    bool (*wake)(void *userdata);
    void *userdata;
    char event[512]; /* text of the event being written: tasks have little stack */
    char name[];
};

/* ---- outputs --------------------------------------------------------------------------------- */

/*
 * O_NONBLOCK on an open file description that we share with a shell would confuse the shell, so we
 * open our own. A regular file would lose its offset that way, and never blocks in this sense.
 */
static void output_init(struct output *o, int fd)
{
    struct stat st;

    *o = (struct output){.fd = fd, .kind = OUTPUT_FILE};
    if (fstat(fd, &st) < 0) {
        o->kind = OUTPUT_DEAD;
        return;
    }
    if (S_ISSOCK(st.st_mode)) {
        o->kind = OUTPUT_SOCKET;
        return;
    }
    if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
        return;

    char path[sizeof("/proc/self/fd/") + 11];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own < 0) {
        o->kind = OUTPUT_POLLED;
        return;
    }
    o->fd = own;
    o->own = true;
}

static void output_done(struct output *o)
{
    if (o->own)
        close(o->fd);
    free(o->buf);
    *o = (struct output){.fd = -1, .kind = OUTPUT_DEAD};
}

static ssize_t output_write(struct output *o, const char *buf, size_t n)
{
    struct pollfd p = {.fd = o->fd, .events = POLLOUT};

    switch (o->kind) {
    case OUTPUT_SOCKET:
        return send(o->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    case OUTPUT_POLLED:
        /* A pipe that polls writable takes PIPE_BUF bytes without blocking. */
        if (poll(&p, 1, 0) <= 0) {
            errno = EAGAIN;
            return -1;
        }
        return write(o->fd, buf, n < 4096 ? n : 4096);
    default:
        return write(o->fd, buf, n);
    }
}

/* True while something is pending. */
static bool output_flush(struct output *o)
{
    while (o->start < o->end) {
        ssize_t n = output_write(o, o->buf + o->start, o->end - o->start);

        if (n > 0)
            o->start += (size_t)n;
        else if (n < 0 && errno == EINTR)
            continue;
        else if (n < 0 && errno == EAGAIN)
            return true;
        else if (n < 0 && errno == ENOSPC) /* these lines are lost, later ones may fit again */
            break;
        else {
            o->kind = OUTPUT_DEAD;
            break;
        }
    }
    o->start = o->end = 0;
    o->woken = false;
    if (o->size > OUTPUT_SIZE) {
        free(o->buf);
        o->buf = NULL;
        o->size = 0;
    }
    return false;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/*
 * Makes room, by moving pending data to the front or by doubling the buffer. False: it is at its
 * limit.
 */
static bool output_grow(struct output *o)
{
    size_t size = o->size ? 2 * o->size : OUTPUT_SIZE;

    if (o->start > 0 && (o->start > o->size / 4 || size > OUTPUT_SIZE_MAX)) {
        memmove(o->buf, o->buf + o->start, o->end - o->start);
        o->end -= o->start;
        o->start = 0;
        return true;
    }
    char *buf = size > OUTPUT_SIZE_MAX ? NULL : realloc(o->buf, size);
    if (!buf)
        return false;
    o->buf = buf;
    o->size = size;
    return true;
}

static struct log_text output_text(struct output *o)
{
    if (!o->buf && !output_grow(o))
        return (struct log_text){.full = true};
    return (struct log_text){.p = o->buf + o->end, .end = o->buf + o->size};
}

/* A line counts only when all of it fits. */
static bool output_commit(struct output *o, const struct log_text *t)
{
    if (t->full)
        return false;
    o->end = (size_t)(t->p - o->buf);
    return true;
}

static uint64_t realtime_usec(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static bool output_try(struct log *log, struct output *o, const struct log_record *record)
{
    struct log_text t = output_text(o);

    log_format_record(&t, log->format, log->name, record);
    return output_commit(o, &t);
}

static bool output_put(struct log *log, struct output *o, struct log_record *record)
{
    record->time = realtime_usec();
    if (output_try(log, o, record))
        return true;
    (void)output_flush(o);
    while (!output_try(log, o, record))
        if (!output_grow(o))
            return false;
    return true;
}

static void output_report_dropped(struct log *log, struct output *o)
{
    uint64_t n = o->dropped - o->reported;
    char text[96];

    if (n == 0)
        return;
    int k = snprintf(text, sizeof(text), "%llu line%s dropped: the reader of the log is too slow",
                     (unsigned long long)n, n == 1 ? "" : "s");
    struct log_record record = {
        .event = true,
        .level = LOG_LEVEL_WARNING,
        .slot = LOG_NO_SLOT,
        .text = text,
        .n = (size_t)k,
    };
    if (output_put(log, o, &record))
        o->reported = o->dropped;
}

/*
 * After a loss nothing is accepted until half of the buffer is free, so that one report stands for
 * many lines.
 */
static bool output_recovers(struct output *o)
{
    if (o->dropped == o->reported)
        return true;
    (void)output_flush(o);
    return o->end - o->start <= OUTPUT_SIZE_MAX / 2;
}

static void log_put(struct log *log, enum log_channel channel, struct log_record *record)
{
    struct output *o = log->channel[channel];

    if (o->kind != OUTPUT_DEAD && output_recovers(o)) {
        output_report_dropped(log, o);
        if (output_put(log, o, record))
            return;
    }
    o->dropped++;
}

static void log_push(struct log *log, enum log_channel channel)
{
    struct output *o = log->channel[channel];

    if (!output_flush(o) || o->woken || !log->wake)
        return;
    o->woken = log->wake(log->userdata);
}

/* ---- streams --------------------------------------------------------------------------------- */

void log_stream_init(struct log_stream *stream, struct log *log, int slot, pid_t pid,
                     enum log_channel channel)
{
    *stream = (struct log_stream){.log = log, .slot = slot, .pid = pid, .channel = channel};
}

static void stream_put(struct log_stream *s, const char *text, size_t n, bool split)
{
    struct log_record record = {
        .channel = s->channel,
        .slot = s->slot,
        .pid = s->pid,
        .split = split,
        .text = text,
        .n = n,
    };

    log_put(s->log, s->channel, &record);
}

static bool stream_reserve(struct log_stream *s, size_t n)
{
    size_t size = s->size ? s->size : 256;

    if (n <= s->size)
        return true;
    while (size < n)
        size *= 2;
    char *p = realloc(s->rest, size);
    if (!p)
        return false;
    s->rest = p;
    s->size = size;
    return true;
}

static void stream_forget(struct log_stream *s)
{
    free(s->rest);
    s->rest = NULL;
    s->n_rest = s->size = 0;
}

/* Keeps the beginning of a line. If memory is short, the line is written in pieces. */
static void stream_keep(struct log_stream *s, const char *text, size_t n)
{
    if (!stream_reserve(s, s->n_rest + n)) {
        if (s->n_rest > 0)
            stream_put(s, s->rest, s->n_rest, true);
        stream_forget(s);
        stream_put(s, text, n, true);
        s->split = true;
        return;
    }
    memcpy(s->rest + s->n_rest, text, n);
    s->n_rest += n;
}

/*
 * The end of a line. Nothing is left to write if the last piece of a split line ended exactly at
 * the limit.
 */
static void stream_line(struct log_stream *s, const char *text, size_t n)
{
    if (s->n_rest > 0) {
        stream_keep(s, text, n);
        text = s->rest;
        n = s->n_rest;
    }
    if (n > 0 || !s->split)
        stream_put(s, text, n, false);
    s->split = false;
    stream_forget(s);
}

/*
 * Takes at most what fits into one piece of a line, and returns how much that was, including the
 * newline.
 */
static size_t stream_take(struct log_stream *s, const char *p, size_t n)
{
    size_t room = LOG_LINE_MAX - s->n_rest;
    const char *newline = memchr(p, '\n', n < room + 1 ? n : room + 1);

    if (newline) {
        stream_line(s, p, (size_t)(newline - p));
        return (size_t)(newline - p) + 1;
    }
    if (n <= room) {
        stream_keep(s, p, n);
        return n;
    }
    /* the piece is full, and the line continues */
    stream_keep(s, p, room);
    if (s->n_rest > 0)
        stream_put(s, s->rest, s->n_rest, true);
    s->n_rest = 0;
    s->split = true;
    return room;
}

void log_stream_feed(struct log_stream *stream, const void *data, size_t n)
{
    const char *p = data;

    while (n > 0) {
        size_t k = stream_take(stream, p, n);
        p += k;
        n -= k;
    }
    log_push(stream->log, stream->channel);
}

void log_stream_end(struct log_stream *stream)
{
    if (stream->n_rest > 0)
        stream_line(stream, "", 0);
    stream->split = false;
    stream_forget(stream);
    if (stream->log)
        log_push(stream->log, stream->channel);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void put_event(struct log *log, struct log_record *record, const char *format, va_list ap)
{
    const size_t size = sizeof(log->event);
    int k = vsnprintf(log->event, size, format, ap);

    record->event = true;
    record->channel = LOG_STDERR;
    record->text = log->event;
    record->n = k < 0 ? 0 : (size_t)k < size ? (size_t)k : size - 1;
    log_put(log, LOG_STDERR, record);
    log_push(log, LOG_STDERR);
}

void log_event(struct log *log, enum log_level level, int slot, pid_t pid, const char *format, ...)
{
    struct log_record record = {.level = level, .slot = slot, .pid = pid};
    va_list ap;

    va_start(ap, format);
    put_event(log, &record, format, ap);
    va_end(ap);
}

void log_event_fields(struct log *log, enum log_level level, int slot, pid_t pid,
                      const struct log_field *fields, size_t n_fields, const char *format, ...)
{
    struct log_record record = {
        .level = level,
        .slot = slot,
        .pid = pid,
        .fields = fields,
        .n_fields = n_fields,
    };
    va_list ap;

    va_start(ap, format);
    put_event(log, &record, format, ap);
    va_end(ap);
}

/* ---- the log --------------------------------------------------------------------------------- */

static bool same_file(int a, int b)
{
    struct stat x, y;

    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int log_new(struct log **ret, const char *name, enum log_format format, int stdout_fd,
            int stderr_fd)
{
    size_t n = strlen(name) + 1;
    struct log *log = calloc(1, sizeof(*log) + n);

    if (!log)
        return -ENOMEM;
    memcpy(log->name, name, n);
    log->format = format;
    output_init(&log->outputs[LOG_STDERR], stderr_fd);
    log->channel[LOG_STDERR] = log->channel[LOG_STDOUT] = &log->outputs[LOG_STDERR];
    if (same_file(stdout_fd, stderr_fd))
        log->outputs[LOG_STDOUT] = (struct output){.fd = -1, .kind = OUTPUT_DEAD};
    else {
        output_init(&log->outputs[LOG_STDOUT], stdout_fd);
        log->channel[LOG_STDOUT] = &log->outputs[LOG_STDOUT];
    }
    *ret = log;
    return 0;
}

struct log *log_free(struct log *log)
{
    if (!log)
        return NULL;
    (void)log_flush(log);
    for (int i = 0; i < LOG_CHANNELS; i++)
        output_done(&log->outputs[i]);
    free(log);
    return NULL;
}

void log_set_wake(struct log *log, bool (*wake)(void *userdata), void *userdata)
{
    log->wake = wake;
    log->userdata = userdata;
}

int log_pending_fd(struct log *log, enum log_channel channel)
{
    const struct output *o = &log->outputs[channel];

    return o->start < o->end && o->kind != OUTPUT_DEAD ? o->fd : -1;
}

bool log_flush(struct log *log)
{
    bool pending = false;

    for (int i = 0; i < LOG_CHANNELS; i++) {
        struct output *o = &log->outputs[i];

        if (o->kind == OUTPUT_DEAD)
            continue;
        if (!output_flush(o) && o->dropped > o->reported) {
            output_report_dropped(log, o);
            (void)output_flush(o);
        }
        pending |= o->start < o->end;
    }
    return pending;
}

static uint64_t monotonic_usec(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void log_finish(struct log *log, uint64_t usec)
{
    uint64_t end = monotonic_usec() + usec;

    while (log_flush(log)) {
        uint64_t now = monotonic_usec();
        struct pollfd p[LOG_CHANNELS] = {
            {.fd = log_pending_fd(log, LOG_STDOUT), .events = POLLOUT},
            {.fd = log_pending_fd(log, LOG_STDERR), .events = POLLOUT},
        };

        if (now >= end || poll(p, LOG_CHANNELS, (int)((end - now) / 1000) + 1) == 0)
            return;
    }
}

uint64_t log_dropped(struct log *log)
{
    return log->outputs[LOG_STDOUT].dropped + log->outputs[LOG_STDERR].dropped;
}
