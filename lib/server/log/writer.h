/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Writes what a slow reader of our output has not accepted yet. Each output has a task of its own,
 * which lives only while data is waiting, since a sleeping task would cost a page of memory.
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

/*
 * The writer must not move. Its tasks live in the scope; call log_writer_done() after the scope was
 * left.
 */
void log_writer_init(struct log_writer *writer, struct log *log, ait_scope *scope);
void log_writer_done(struct log_writer *writer);
