/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The log: lines of the workers' stdout and stderr, and the supervisor's own events, in one format.
 *
 *     prefix   web[2:12345] text          web: slot 2, pid 12345: ready
 *     plain    text                       web: slot 2, pid 12345: ready
 *     json     {"time":...,"name":"web","slot":2,"pid":12345,"stream":"stdout","message":"text"}
 *              {"time":...,"name":"web","level":"info","slot":2,"pid":12345,"message":"ready"}
 *
 * An event may have fields of its own. They become members of the JSON object; the text says for
 * people what they say for programs.
 *
 * Control characters in an event, and in all that goes to a terminal, are made visible (format.h).
 *
 * What workers write to stdout goes to our stdout; their stderr and our events go to our stderr.
 *
 * Nothing here blocks, suspends or knows a loop. Each output has a bounded buffer, of which each
 * slot has a share (shares.h); where that is full, whole lines are dropped and counted, and the
 * count is the first line of that slot written afterwards. Events have room of their own.
 * So are lines that cannot be written: the disk is full, the reader has ended. Their number is told
 * on the other output, if that is another file. Each lost line is in exactly one report that
 * arrives. The owner of the log waits for POLLOUT on log_pending_fd() and calls log_flush(); the
 * wake callback tells when that becomes necessary. No call fails: a log that cannot be written is
 * no reason for a server to stop.
 *
 * A stream belongs to one worker; it is embedded in its owner and holds memory only while a line is
 * unfinished. The log must outlive its streams.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/config.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };
enum log_channel { LOG_STDOUT, LOG_STDERR, LOG_CHANNELS };

/* Longer lines are split into marked pieces. */
#define LOG_LINE_MAX 8192u

/* No slot, no pid */
#define LOG_NO_SLOT (-1)

struct log;

struct log_stream {
    struct log *log;
    int slot;
    pid_t pid;
    enum log_channel channel;
    bool split; /* the unfinished line has been written in part */
    char *rest; /* the unfinished line */
    size_t n_rest, size;
};

/*
 * The fds are borrowed. The log writes through a non-blocking open file description of its own if
 * it can get one.
 */
int log_new(struct log **ret, const char *name, enum log_format format, int stdout_fd,
            int stderr_fd);
/* Tries to write what is pending. Accepts NULL, returns NULL. */
struct log *log_free(struct log *log);

/*
 * Sets a callback that is called when output begins to wait for an fd, so that the owner arranges
 * for log_flush(). It is never called from inside log_flush(). It returns false if nobody will call
 * log_flush(); then it is called again later.
 */
void log_set_wake(struct log *log, bool (*wake)(void *userdata), void *userdata);
/* The fd whose POLLOUT the channel waits for; -1: nothing is pending. */
int log_pending_fd(struct log *log, enum log_channel channel);
/* Writes as much as the fds accept. Returns true while something is pending. */
bool log_flush(struct log *log);
/*
 * The same at the end of the process: waits for slow readers until one has taken nothing for
 * idle_usec, for at most usec in total, or until hurry_fd can be read (-1: none). What is left then
 * is dropped, and the other output says so.
 */
void log_finish(struct log *log, uint64_t idle_usec, uint64_t usec, int hurry_fd);
/* Lines dropped so far. */
uint64_t log_dropped(struct log *log);

void log_stream_init(struct log_stream *stream, struct log *log, int slot, pid_t pid,
                     enum log_channel channel);
/* data is what was read from the worker. */
void log_stream_feed(struct log_stream *stream, const void *data, size_t n);
/*
 * How long, in microseconds, the worker's output should be left unread now: its slot holds a large
 * part of the buffer. A worker that floods then waits, before lines are dropped.
 */
uint64_t log_stream_pause(const struct log_stream *stream);
/* Writes an unfinished last line. The stream may be used again. */
void log_stream_end(struct log_stream *stream);

/* An event of the supervisor, one line without newline. pid 0: none. */
void log_event(struct log *log, enum log_level level, int slot, pid_t pid, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

struct log_field {
    const char *key;  /* of the object; a fixed word */
    const char *text; /* any bytes; with raw: JSON */
    bool raw;
};

/* The same with fields, borrowed for the call. */
void log_event_fields(struct log *log, enum log_level level, int slot, pid_t pid,
                      const struct log_field *fields, size_t n_fields, const char *format, ...)
    __attribute__((format(printf, 7, 8)));
