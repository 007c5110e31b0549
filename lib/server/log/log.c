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
#include "shares.h"

/* Room for one line in its longest form, JSON of control characters; kept once it was needed. */
#define OUTPUT_SIZE     (64u * 1024)
/*
 * Room for bursts while the reader is behind, released when everything is written. A slower reader
 * loses lines.
 */
#define OUTPUT_SIZE_MAX SHARES_SIZE

/*
 * Lost lines of an output that cannot be written are reported on the other one: at once, and then
 * at intervals that double.
 */
#define TELL_INTERVAL  (10 * UINT64_C(1000000))
#define TELL_DOUBLINGS 6
/* At the end: when the log says that it waits for a reader, and how often it looks. */
#define SAY_WAITING    UINT64_C(1000000)
#define WAIT_STEP      100 /* ms */
/* Reports that are on their way at the same time. */
#define REPORTS_MAX    16

enum output_kind { OUTPUT_FILE, OUTPUT_SOCKET, OUTPUT_POLLED, OUTPUT_DEAD };

struct output;

/* A report that is in a buffer: where it ends in all that is ever written there, and what it says.
 */
struct report {
    uint64_t end, n;
    struct output *about;
    int slot;
};

struct output {
    int fd;
    bool own; /* fd is a description of our own */
    bool woken;
    bool terminal;
    enum output_kind kind;
    char *buf;
    size_t size, start, end;
    uint64_t written;           /* bytes, ever */
    bool torn;                  /* the last line written is not whole, and its rest is lost */
    int error;                  /* of the last write; 0: it went well */
    int why;                    /* lines are unreported: an errno, or 0: the reader is too slow */
    uint64_t dropped, reported; /* of no slot, or that could not be written */
    struct shares shares;
    struct report reports[REPORTS_MAX];
    unsigned n_reports;
    uint64_t told_at;
    unsigned n_told;
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
        o->error = o->why = errno;
        o->kind = OUTPUT_DEAD;
        return;
    }
    if (S_ISSOCK(st.st_mode)) {
        o->kind = OUTPUT_SOCKET;
        return;
    }
    if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
        return;
    o->terminal = isatty(fd) > 0;

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
    shares_done(&o->shares);
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

/* ---- what is written, and what is lost ------------------------------------------------------- */

/* The lines that were dropped, and those of them that a report in the buffer tells. */
static uint64_t *dropped_of(struct output *o, int slot)
{
    struct share *share = shares_of(&o->shares, slot);

    return share ? &share->dropped : &o->dropped;
}

static uint64_t *reported_of(struct output *o, int slot)
{
    struct share *share = shares_of(&o->shares, slot);

    return share ? &share->reported : &o->reported;
}

static void output_wrote(struct output *o, size_t n)
{
    unsigned arrived = 0;

    o->start += n;
    o->written += n;
    shares_wrote(&o->shares, o->written);
    while (arrived < o->n_reports && o->reports[arrived].end <= o->written)
        arrived++;
    o->n_reports -= arrived;
    memmove(o->reports, o->reports + arrived, o->n_reports * sizeof(*o->reports));
}

/* Nothing of what is pending will be written. Its lines are dropped, and its reports never made. */
static void output_lose(struct output *o, int error)
{
    uint64_t n = 0;

    for (const char *p = o->buf + o->start; p < o->buf + o->end; p++)
        n += *p == '\n';
    for (; o->n_reports > 0; n--) {
        struct report *lost = &o->reports[--o->n_reports];

        *reported_of(lost->about, lost->slot) -= lost->n;
    }
    /* As if it were: positions only grow. */
    o->written += o->end - o->start;
    shares_wrote(&o->shares, o->written);
    if (o->start > 0)
        o->torn = o->buf[o->start - 1] != '\n';
    o->dropped += n;
    o->error = o->why = error;
    o->start = o->end = 0;
}

static void output_shrink(struct output *o)
{
    o->start = o->end = 0;
    o->woken = false;
    if (o->size > OUTPUT_SIZE) {
        free(o->buf);
        o->buf = NULL;
        o->size = 0;
    }
}

/*
 * True while something is pending. After an error later lines may fit again: a disk gets room, a
 * FIFO another reader.
 */
static bool output_flush(struct output *o)
{
    while (o->start < o->end) {
        ssize_t n = o->torn ? output_write(o, "\n", 1)
                            : output_write(o, o->buf + o->start, o->end - o->start);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0) {
            output_lose(o, n < 0 ? errno : EIO);
            break;
        }
        o->error = 0;
        if (o->torn)
            o->torn = false;
        else
            output_wrote(o, (size_t)n);
    }
    output_shrink(o);
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

static uint64_t realtime_usec(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

enum put { PUT_DONE, PUT_FULL, PUT_REFUSED };

static size_t output_used(const struct output *o)
{
    return o->end - o->start;
}

/* A line counts only when all of it fits, and its slot does not hold too much. */
static enum put output_try(struct log *log, struct output *o, struct log_record *record)
{
    struct log_text t = output_text(o);
    uint64_t start = o->written + output_used(o);
    size_t n;

    record->terminal = o->terminal;
    log_format_record(&t, log->format, log->name, record);
    if (t.full)
        return PUT_FULL;
    n = (size_t)(t.p - o->buf) - o->end;
    if (!shares_admit(shares_of(&o->shares, record->slot), record->event, n, output_used(o)))
        return PUT_REFUSED;
    o->end += n;
    shares_add(&o->shares, record->slot, record->event, start, start + n);
    return PUT_DONE;
}

static bool output_put(struct log *log, struct output *o, struct log_record *record)
{
    enum put put;

    record->time = realtime_usec();
    if (output_try(log, o, record) == PUT_DONE)
        return true;
    (void)output_flush(o);
    while ((put = output_try(log, o, record)) == PUT_FULL)
        if (!output_grow(o))
            return false;
    return put == PUT_DONE;
}

static const char *output_name(const struct log *log, const struct output *o)
{
    if (log->channel[LOG_STDOUT] == log->channel[LOG_STDERR])
        return "the log";
    return o == log->channel[LOG_STDOUT] ? "standard output" : "standard error";
}

/* Writes to `to` what has been dropped of o, and there of a slot, or what is of none. */
static void report(struct log *log, struct output *o, int slot, struct output *to, bool at_end)
{
    uint64_t n = *dropped_of(o, slot) - *reported_of(o, slot);
    int why = slot < 0 ? o->why : 0;
    char text[160];
    int k;

    if (n == 0 || to->n_reports == REPORTS_MAX)
        return;
    k = snprintf(text, sizeof(text), "%llu line%s dropped: ", (unsigned long long)n,
                 n == 1 ? "" : "s");
    if (why != 0)
        k += snprintf(text + k, sizeof(text) - (size_t)k, "cannot write to %s: %s",
                      output_name(log, o), strerror(why));
    else if (at_end)
        k += snprintf(text + k, sizeof(text) - (size_t)k,
                      "the reader of %s has not taken them before the end", output_name(log, o));
    else
        k += snprintf(text + k, sizeof(text) - (size_t)k, "the reader of the log is too slow");
    struct log_record record = {
        .event = true,
        .level = LOG_LEVEL_WARNING,
        .slot = slot,
        .text = text,
        .n = (size_t)k < sizeof(text) ? (size_t)k : sizeof(text) - 1,
    };
    if (!output_put(log, to, &record))
        return;
    to->reports[to->n_reports++] = (struct report){
        .end = to->written + (to->end - to->start),
        .n = n,
        .about = o,
        .slot = slot,
    };
    *reported_of(o, slot) += n;
    if (slot < 0 && o->error == 0)
        o->why = 0;
}

static uint64_t monotonic_usec(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* The output on which something can be said about this one. */
static struct output *output_other(struct log *log, const struct output *o)
{
    struct output *other = log->channel[o == log->channel[LOG_STDOUT] ? LOG_STDERR : LOG_STDOUT];

    return other == o || other->kind == OUTPUT_DEAD || other->error != 0 ? NULL : other;
}

/* What an output that cannot be written has lost is reported on the other. */
static void output_tell(struct log *log, struct output *o, bool at_end)
{
    struct output *other = output_other(log, o);
    uint64_t now;

    if (!other || o->dropped == o->reported || (!at_end && o->error == 0))
        return;
    now = monotonic_usec();
    if (!at_end && o->n_told > 0 && now - o->told_at < TELL_INTERVAL << (o->n_told - 1))
        return;
    o->told_at = now;
    if (o->n_told <= TELL_DOUBLINGS)
        o->n_told++;
    report(log, o, LOG_NO_SLOT, other, at_end);
    (void)output_flush(other);
}

/*
 * After a loss nothing is accepted until half of the buffer is free, or of what a slot may hold, so
 * that one report stands for many lines.
 */
static bool output_recovers(struct output *o, int slot)
{
    const struct share *share = shares_of(&o->shares, slot);
    bool lost = o->dropped != o->reported, of_slot = share && share->dropped != share->reported;

    if (lost || of_slot)
        (void)output_flush(o);
    return (!lost || output_used(o) <= OUTPUT_SIZE_MAX / 2) &&
           (!of_slot || shares_recovers(share, output_used(o)));
}

static void log_put(struct log *log, enum log_channel channel, struct log_record *record)
{
    struct output *o = log->channel[channel];
    int slot = o->kind == OUTPUT_DEAD ? LOG_NO_SLOT : record->slot;

    if (o->kind != OUTPUT_DEAD && output_recovers(o, slot)) {
        report(log, o, LOG_NO_SLOT, o, false);
        if (slot >= 0)
            report(log, o, slot, o, false);
        if (output_put(log, o, record))
            return;
    }
    ++*dropped_of(o, slot);
}

static void log_push(struct log *log, enum log_channel channel)
{
    struct output *o = log->channel[channel];

    bool pending = output_flush(o);

    output_tell(log, o, false);
    if (!pending || o->woken || !log->wake)
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

uint64_t log_stream_pause(const struct log_stream *stream)
{
    struct output *o = stream->log->channel[stream->channel];

    return shares_pause(shares_of(&o->shares, stream->slot), output_used(o));
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

/* Whether there was something to report. */
static bool output_report_all(struct log *log, struct output *o)
{
    report(log, o, LOG_NO_SLOT, o, false);
    for (unsigned i = 0; i < o->shares.n_slots; i++)
        report(log, o, (int)i, o, false);
    return o->start < o->end;
}

bool log_flush(struct log *log)
{
    bool pending = false;

    for (int i = 0; i < LOG_CHANNELS; i++) {
        struct output *o = &log->outputs[i];

        if (o->kind == OUTPUT_DEAD)
            continue;
        if (!output_flush(o) && output_report_all(log, o))
            (void)output_flush(o);
        pending |= o->start < o->end;
    }
    return pending;
}

/* Lines that wait for a reader. */
static uint64_t output_pending(const struct output *o)
{
    uint64_t n = 0;

    for (const char *p = o->buf + o->start; p < o->buf + o->end; p++)
        n += *p == '\n';
    return n;
}

/* What the end waits for, on the output that does not have to wait. */
static void say_waiting(struct log *log)
{
    for (int i = 0; i < LOG_CHANNELS; i++) {
        struct output *o = log->channel[i], *other = output_other(log, o);

        if (o->start == o->end || !other || other->start < other->end)
            continue;
        log_event(log, LOG_LEVEL_INFO, LOG_NO_SLOT, 0,
                  "%llu lines wait for the reader of %s; SIGTERM or SIGINT ends the wait",
                  (unsigned long long)output_pending(o), output_name(log, o));
    }
}

static uint64_t written(const struct log *log)
{
    return log->outputs[LOG_STDOUT].written + log->outputs[LOG_STDERR].written;
}

static void wait_for_readers(struct log *log, uint64_t idle_usec, uint64_t usec, int hurry_fd)
{
    uint64_t begun = monotonic_usec(), last = begun, before = written(log), now;
    bool said = false;

    for (; log_flush(log); before = written(log)) {
        struct pollfd p[] = {
            {.fd = log_pending_fd(log, LOG_STDOUT), .events = POLLOUT},
            {.fd = log_pending_fd(log, LOG_STDERR), .events = POLLOUT},
            {.fd = hurry_fd, .events = POLLIN},
        };

        now = monotonic_usec();
        if (written(log) != before)
            last = now;
        if (now - last >= idle_usec || now - begun >= usec)
            return;
        if (!said && now - begun >= SAY_WAITING) {
            say_waiting(log);
            said = true;
        }
        (void)poll(p, sizeof(p) / sizeof(*p), WAIT_STEP);
        if (p[2].revents)
            return;
    }
}

/* At the end the slots do not matter any more. */
static void output_sum_up(struct output *o)
{
    for (unsigned i = 0; i < o->shares.n_slots; i++) {
        struct share *share = &o->shares.slots[i];

        o->dropped += share->dropped - share->reported;
        share->dropped = share->reported;
    }
}

void log_finish(struct log *log, uint64_t idle_usec, uint64_t usec, int hurry_fd)
{
    wait_for_readers(log, idle_usec, usec, hurry_fd);
    for (int i = 0; i < LOG_CHANNELS; i++) {
        if (output_flush(&log->outputs[i]))
            output_lose(&log->outputs[i], 0);
        output_sum_up(&log->outputs[i]);
    }
    for (int i = 0; i < LOG_CHANNELS; i++)
        output_tell(log, log->channel[i], true);
}

uint64_t log_dropped(struct log *log)
{
    uint64_t n = 0;

    for (int i = 0; i < LOG_CHANNELS; i++) {
        n += log->outputs[i].dropped;
        for (unsigned k = 0; k < log->outputs[i].shares.n_slots; k++)
            n += log->outputs[i].shares.slots[k].dropped;
    }
    return n;
}
