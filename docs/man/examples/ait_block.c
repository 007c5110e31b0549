/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <unistd.h>

#include <aiotools-sd/aiotools-sd.h>

/* The server's answer, or the previous value if the answer comes too late. */
static int refresh(int fd, char *text, size_t size)
{
    int r;

    AIT_MOVE_ON_AFTER(r, 10 * AIT_USEC_PER_MSEC) {
        ssize_t n = ait_read(fd, text, size - 1);

        if (n >= 0)
            text[n] = '\0';
        r = (int)n;
    }
    return r;
}

static int program(void *userdata)
{
    const int *fds = userdata;
    char text[64] = "unknown";
    int r;

    r = refresh(fds[0], text, sizeof(text));
    printf("the state is %s (%d)\n", text, r);

    /* The peer is told even if this task is being cancelled, within a time limit. */
    AIT_SHIELD(AIT_USEC_PER_SEC)
        (void)ait_write_all(fds[1], "bye\n", 4, NULL);
    return r;
}

int main(void)
{
    int fds[2];

    return pipe(fds) < 0 || ait_run(program, fds, 0) < 0;
}
