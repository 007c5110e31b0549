/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "writer.h"

#include <poll.h>

static void wake(void *userdata)
{
    struct log_writer *writer = userdata;

    for (unsigned i = 0; i < LOG_CHANNELS; i++)
        (void)ait_event_set(writer->outputs[i].pending);
}

static int write_output(void *userdata)
{
    struct log_output *output = userdata;
    struct log *log = output->writer->log;
    int r = 0;

    while (r >= 0) {
        int fd = log_pending_fd(log, output->channel);

        if (fd >= 0) {
            r = ait_poll(fd, POLLOUT);
            (void)log_flush(log);
        } else {
            r = ait_event_wait(output->pending);
            (void)ait_event_clear(output->pending);
        }
    }
    return r;
}

int log_writer_start(struct log_writer *writer, struct log *log, ait_scope *scope)
{
    int r = 0;

    writer->log = log;
    for (unsigned i = 0; i < LOG_CHANNELS && r >= 0; i++) {
        writer->outputs[i] = (struct log_output){.writer = writer, .channel = i};
        r = ait_event_new(&writer->outputs[i].pending);
        if (r >= 0)
            r = ait_scope_spawn(scope, NULL, write_output, &writer->outputs[i],
                                AIT_TASK_OPTIONS(.name = "log"));
    }
    log_set_wake(log, wake, writer);
    return r;
}

void log_writer_done(struct log_writer *writer)
{
    if (writer->log)
        log_set_wake(writer->log, NULL, NULL);
    for (unsigned i = 0; i < LOG_CHANNELS; i++)
        writer->outputs[i].pending = ait_event_unref(writer->outputs[i].pending);
}
