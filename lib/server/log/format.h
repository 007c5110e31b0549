/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Formats one record of the log. Pure: it writes into a buffer that the caller owns, allocates
 * nothing, and does not use stdio, since tasks with one page of stack call it for each line. A
 * record that does not fit marks the text as full, and the caller discards it.
 *
 * What a terminal would act on is made visible: control characters except the tab, separators of
 * lines, and bytes that are not UTF-8 become \xNN. So it is in all events, whose words may come
 * from a worker: the name of a process, a path, a status. A line of a worker that does not go to a
 * terminal stays as it is; in JSON, everything is a string.
 */

#include "log.h"

struct log_text {
    char *p, *end;
    bool full;
};

struct log_record {
    uint64_t time; /* microseconds of CLOCK_REALTIME; used by json */
    bool event;    /* of the supervisor, with a level; else a line of a worker, with a channel */
    enum log_level level;
    enum log_channel channel;
    bool split; /* the line continues in the next record */
    int slot;
    pid_t pid;
    const char *text;
    size_t n;
    bool terminal;                  /* prefix, plain: what is written goes to one */
    const struct log_field *fields; /* json */
    size_t n_fields;
};

/* Appends the record and a newline. */
void log_format_record(struct log_text *t, enum log_format format, const char *name,
                       const struct log_record *record);
