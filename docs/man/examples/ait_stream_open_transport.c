/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <aiotools-sd/aiotools-sd.h>

/* One stream over the two pipes of a child process. */
static ssize_t child_read(void *userdata, void *buf, size_t n)
{
    return ait_read(ait_child_stdio(userdata, 1), buf, n);
}

static ssize_t child_write(void *userdata, const void *buf, size_t n)
{
    return ait_write(ait_child_stdio(userdata, 0), buf, n);
}

static int child_shutdown(void *userdata)
{
    return ait_child_close_stdio(userdata, 0);
}

static void child_close(void *userdata)
{
    (void)ait_child_close_stdio(userdata, 0);
    (void)ait_child_close_stdio(userdata, 1);
}

static int program(void *userdata)
{
    AIT_CLEANUP(ait_stream_closep) ait_stream *stream = NULL;
    AIT_CHILD(sort);
    char *line;
    int r;

    r = ait_spawn(&sort, AIT_ARGV("sort"),
                  AIT_SPAWN_OPTIONS(.flags = AIT_SPAWN_STDIN_PIPE | AIT_SPAWN_STDOUT_PIPE));
    if (r >= 0)
        r = ait_stream_open_transport(&stream,
                                      AIT_STREAM_TRANSPORT(.read = child_read, .write = child_write,
                                                           .shutdown = child_shutdown,
                                                           .close = child_close),
                                      sort, NULL);
    if (r >= 0)
        r = ait_stream_printf(stream, "pear\napple\nfig\n");
    if (r >= 0)
        r = ait_stream_shutdown(stream);
    while (r >= 0 && (r = ait_stream_read_line(stream, &line, NULL)) > 0)
        printf("%s\n", line);
    return r;
}

int main(void)
{
    int r = ait_run(program, NULL, 0);

    if (r < 0)
        fprintf(stderr, "%s\n", strerror(-r));
    return r < 0;
}
