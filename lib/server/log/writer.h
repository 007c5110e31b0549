/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_LOG_WRITER_H
#define SERVER_LOG_WRITER_H

/*
 * Writes what a slow reader of our output has not taken yet: a task an output, which sleeps while nothing waits.
 */

#include <aiotools-sd/aiotools-sd.h>

#include "log.h"

struct log_output {
    struct log_writer *writer;
    enum log_channel channel;
    ait_event *pending;
};

struct log_writer {
    struct log *log;
    struct log_output outputs[LOG_CHANNELS];
};

/* Zero-initialised before; the writer must stay where it is, and outlive the scope. On failure log_writer_done() all the same. */
int log_writer_start(struct log_writer *writer, struct log *log, ait_scope *scope);
void log_writer_done(struct log_writer *writer);

#endif
