/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A filter. One task writes to it, and another reads from it. If cut short, it gets SIGINT and a
 * second to end. */
#include <stdio.h>

#include <aiotools-sd/aiotools-sd.h>

static int talk(ait_child *child)
{
    AIT_CLEANUP(ait_stream_closep) ait_stream *stream = NULL;
    char *line;
    int r, fd;

    r = ait_write_all(ait_child_stdio(child, 0), "beta\nalpha\n", 11, NULL);
    if (r >= 0)
        r = ait_child_close_stdio(child, 0); /* the end of its input */
    if (r < 0)
        return r;
    fd = ait_child_take_stdio(child, 1);
    r = ait_stream_open(&stream, fd, AIT_STREAM_OPTIONS(.flags = AIT_STREAM_OWN_FD));
    if (r < 0) {
        (void)ait_close(fd);
        return r;
    }
    while ((r = ait_stream_read_line(stream, &line, NULL)) > 0)
        puts(line);
    return r;
}

static int sort(void *userdata)
{
    AIT_CHILD(child);
    siginfo_t info;
    int r;

    r = ait_spawn(&child, AIT_ARGV("sort"),
                  AIT_SPAWN_OPTIONS(.flags = AIT_SPAWN_STDIN_PIPE | AIT_SPAWN_STDOUT_PIPE));
    if (r >= 0)
        r = ait_child_set_stop(child, SIGINT, AIT_USEC_PER_SEC);
    if (r >= 0)
        r = talk(child);
    if (r >= 0)
        r = ait_child_supervise(child, &info);
    return r < 0 ? r : ait_child_exit_code(child);
}

int main(void)
{
    return ait_run(sort, NULL, 0) != 0;
}
