/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <unistd.h>

#include <aiotools-sd/aiotools-sd.h>

static int answer_lines(ait_stream *stream)
{
    size_t length;
    char *line;
    int r;

    while ((r = ait_stream_read_line(stream, &line, &length)) > 0) {
        r = ait_stream_printf(stream, "%zu\n", length);
        /* Answers to requests that arrived together are sent together. */
        if (r >= 0 && ait_stream_available(stream) == 0)
            r = ait_stream_flush(stream);
        if (r < 0)
            return r;
    }
    return r < 0 ? r : ait_stream_flush(stream);
}

static int serve(void *userdata)
{
    AIT_CLEANUP(ait_stream_closep) ait_stream *stream = NULL;
    int r;

    r = ait_stream_open(&stream, (int)(intptr_t)userdata,
                        AIT_STREAM_OPTIONS(.read_limit = 4096, .flags = AIT_STREAM_OWN_FD));
    return r < 0 ? r : answer_lines(stream);
}

/* Started by a super-server, with the connection as standard input. */
int main(void)
{
    return ait_run(serve, (void *)(intptr_t)STDIN_FILENO, 0) < 0;
}
