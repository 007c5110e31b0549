/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "writer.h"

#include <errno.h>
#include <poll.h>

#define RETRY_PAUSE (100 * AIT_USEC_PER_MSEC)

static int write_output(void *userdata)
{
    struct log_output *output = userdata;
    int r = 0, fd;

    while (r >= 0 && (fd = log_pending_fd(output->writer->log, output->channel)) >= 0) {
        r = ait_poll(fd, POLLOUT);
        /* To end would be the end of the log: nobody would wake us again. */
        if (r < 0 && r != -ECANCELED)
            r = ait_sleep(RETRY_PAUSE);
        (void)log_flush(output->writer->log);
    }
    output->runs = false;
    return r;
}

static bool wake(void *userdata)
{
    struct log_writer *writer = userdata;
    bool all = true;

    for (unsigned i = 0; i < LOG_CHANNELS; i++) {
        struct log_output *output = &writer->outputs[i];

        if (!output->runs && log_pending_fd(writer->log, i) >= 0)
            output->runs = ait_scope_spawn(writer->scope, NULL, write_output, output,
                                           AIT_TASK_OPTIONS(.name = "log")) >= 0;
        all &= output->runs || log_pending_fd(writer->log, i) < 0;
    }
    return all;
}

void log_writer_init(struct log_writer *writer, struct log *log, ait_scope *scope)
{
    *writer = (struct log_writer){.log = log, .scope = scope};
    for (unsigned i = 0; i < LOG_CHANNELS; i++)
        writer->outputs[i] = (struct log_output){.writer = writer, .channel = i};
    log_set_wake(log, wake, writer);
}

void log_writer_done(struct log_writer *writer)
{
    if (writer->log)
        log_set_wake(writer->log, NULL, NULL);
}
