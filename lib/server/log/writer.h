/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_LOG_WRITER_H
#define SERVER_LOG_WRITER_H

/*
 * Writes what a slow reader of our output has not taken yet: a task an output, which lives as long as something waits. (One that slept would be
 * a page of memory each.)
 */

#include <aiotools-sd/aiotools-sd.h>

#include "log.h"

struct log_output {
    struct log_writer *writer;
    enum log_channel channel;
    bool runs;
};

struct log_writer {
    struct log *log;
    ait_scope *scope;
    struct log_output outputs[LOG_CHANNELS];
};

/* The writer must stay where it is. Its tasks live in the scope; log_writer_done() when that has been left. */
void log_writer_init(struct log_writer *writer, struct log *log, ait_scope *scope);
void log_writer_done(struct log_writer *writer);

#endif
